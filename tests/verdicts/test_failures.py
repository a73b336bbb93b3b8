"""The failure ledger over stored reports."""

import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext

from branches.models import Branch
from tests import make
from tests.branches.story import tell_story
from tests.verdicts.make import (
    grow,
    make_issue,
    make_receipt,
    make_report,
    make_runner,
    push,
    push_proven,
    require,
    unit,
)
from verdicts.admission import read_gate
from verdicts.coverage import keep_covered
from verdicts.domain.coverage import Covered
from verdicts.domain.ledger import Turn
from verdicts.failures import fill_in
from verdicts.models import Coverage, Failure, FailureEntry, FailureLine, Issue, Report
from verdicts.progress import read_progress
from verdicts.quarantine import lift_quarantine
from verdicts.reports import file_report
from verdicts.soundness import find_faults
from verel_site.access.actors import SYSTEM
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def turns(failure: Failure) -> list[str]:
    return list(failure.entries.order_by("pk").values_list("turn", flat=True))


def only() -> Failure:
    return Failure.objects.get()


def probe(branch: Branch, seed: int, issues: int = 1) -> None:
    """Three runs on one head, of which the middle one finds nothing."""
    found = [make_issue(locator=f"{i}.py" if i else "test_clamp.py") for i in range(issues)]
    for run, told in enumerate((found, [], found)):
        push(branch, issues=told, elapsed_ms=10 * seed + run)


def faults(branch: Branch) -> list[str]:
    found = find_faults(project_id=branch.project_id, counts=Counter())
    return [str(fault) for fault in found]


def gate_texts(branch: Branch) -> list[str]:
    branch.refresh_from_db()
    return list(read_gate(branch).texts)


def test_a_failure_is_opened_resolved_and_comes_back_as_a_regression() -> None:
    _, trunk = make.make_run()
    first = push(trunk, issues=[make_issue()])
    failure = only()
    assert (failure.open, failure.sightings, failure.runs) == (True, 1, 1)
    assert (failure.scrubbed, failure.locator) == ("assert <num> == <num>", "test_clamp.py")
    mended = push(grow(trunk))
    failure.refresh_from_db()
    assert (failure.open, failure.resolved_report_id) == (False, mended.pk)
    assert read_gate(trunk).open
    again = push(grow(trunk), issues=[make_issue(message="assert 5 == 6")])
    failure.refresh_from_db()
    assert turns(failure) == [Turn.OPENED, Turn.RESOLVED, Turn.RETURNED]
    assert (failure.open, failure.returns, failure.sightings) == (True, 1, 2)
    assert (failure.first_report_id, failure.last_report_id) == (first.pk, again.pk)
    [text] = [text for text in gate_texts(trunk) if "regression" in text]
    assert text.startswith(
        f"regression guard: error, regression at test_clamp.py: {failure.fingerprint} came back, resolved on "
    )
    assert "by report 2 on main of r-1" in text
    assert faults(trunk) == []


def test_a_regression_stands_through_reruns_and_ends_when_it_is_gone() -> None:
    _, trunk = make.make_run()
    push(trunk, issues=[make_issue()])
    push(grow(trunk))
    push(grow(trunk), issues=[make_issue()])
    push(trunk, issues=[make_issue()], elapsed_ms=3)
    push(grow(trunk), issues=[make_issue("warning")])
    assert any("regression" in text for text in gate_texts(trunk))
    push(grow(trunk))
    assert gate_texts(trunk) == []
    assert not only().open


@pytest.mark.parametrize(
    ("grader", "issue"),
    [
        ("test", make_issue("warning")),
        ("test", make_issue(confidence="low")),
        ("llm_judge", make_issue()),
        ("test", make_issue(detail={"fallback": True})),
    ],
)
def test_what_shuts_no_gate_and_stand_ins_never_enter(grader: str, issue: dict[str, Any]) -> None:
    _, trunk = make.make_run()
    push(trunk, grader, [issue])
    assert not Failure.objects.exists()


def test_only_the_tool_that_found_it_resolves_it_and_only_by_running_on_another_head() -> None:
    _, trunk = make.make_run()
    push(trunk, "typecheck", [make_issue()], tool="mypy")
    grow(trunk)
    push(trunk, "typecheck", tool="pyright")
    push(trunk, "typecheck", errored=True, tool="mypy")
    push(trunk, "typecheck", [make_issue("warning")], tool="mypy")
    assert only().open
    push(trunk, "typecheck", tool="mypy", elapsed_ms=1)
    assert only().open, "on this head it was seen: the tool disagrees with itself"
    push(grow(trunk), "typecheck", tool="mypy")
    assert not only().open


def test_a_narrowed_run_resolves_only_the_tests_that_it_names() -> None:
    _, trunk = make.make_run()
    push(trunk, issues=[unit("clamp"), unit("valve")])
    push(grow(trunk), covered={"tests": ["unit::valve", "unit::dose"]})
    still = Failure.objects.get(open=True)
    assert still.first_report.issues.get(fingerprint=still.fingerprint).detail == {
        "test_id": "unit::clamp"
    }
    push(grow(trunk), covered={"tests": ["unit::clamp"]})
    assert not Failure.objects.filter(open=True).exists()
    assert faults(trunk) == []


def test_a_narrowed_linter_resolves_only_what_was_in_its_files() -> None:
    _, trunk = make.make_run()
    found = [make_issue(kind="lint", locator=f"src/{name}.py::os") for name in "ab"]
    push(trunk, "lint", found, tool="ruff")
    push(grow(trunk), "lint", tool="ruff", covered={"files": ["src/a.py"]})
    assert Failure.objects.get(open=True).locator == "src/b.py::os"
    push(grow(trunk), "lint", tool="ruff", covered={"files": ["src"]})
    assert not Failure.objects.filter(open=True).exists()


def test_what_a_suite_found_is_gone_by_a_run_of_that_suite() -> None:
    _, trunk = make.make_run()
    signer = make_runner(trunk.project)
    push_proven(signer, trunk, issues=[make_issue()])
    push(grow(trunk))
    push_proven(signer, grow(trunk), suite_digest="ef" * 32)
    assert only().open
    push_proven(signer, grow(trunk))
    assert not only().open


def test_a_signed_coverage_says_which_files_were_scanned() -> None:
    _, trunk = make.make_run()
    signer = make_runner(trunk.project)
    found = [make_issue(kind="lint", locator=f"src/{name}.py") for name in "ab"]
    push_proven(signer, trunk, "lint", found, coverage=["src/a.py", "src/b.py"])
    body = make_report(grow(trunk), "lint", covered={"files": ["src"]})
    receipt = make_receipt(signer, trunk, body, coverage=["src/a.py"])
    file_report(branch_id=trunk.pk, actor=SYSTEM, report=body | {"receipt": receipt})
    assert Failure.objects.get(open=True).locator == "src/b.py"


def test_verify_names_a_resolution_by_a_run_that_did_not_look_there() -> None:
    _, trunk = make.make_run()
    push(trunk, issues=[unit("clamp")])
    mended = push(grow(trunk), covered={"tests": ["unit::clamp"]})
    assert faults(trunk) == []
    Coverage.objects.filter(report=mended).delete()
    told = Covered(tests=frozenset({"unit::valve"}))
    keep_covered(report=mended, covered=told, earlier=Covered())
    assert [fault for fault in faults(trunk) if "it did not look there" in fault]


def test_a_fork_resolves_what_it_inherits_and_its_sibling_may_still_fail() -> None:
    story = tell_story(forks=2)
    push(story.trunk, issues=[make_issue()])
    left, right = Branch.objects.filter(parent=story.trunk).order_by("number")
    push(left)
    assert not only().open
    push(right, issues=[make_issue()])
    assert only().open
    assert turns(only()) == [Turn.OPENED, Turn.RESOLVED]
    assert not any("regression" in text for text in gate_texts(right)), "it never was mended there"
    push(grow(left), issues=[make_issue()])
    assert any("regression" in text for text in gate_texts(left))
    assert faults(left) == []


def test_a_fork_before_the_repair_inherits_the_failure_and_one_after_it_the_repair() -> None:
    _, trunk = make.make_run()
    push(grow(trunk), issues=[make_issue()])
    push(grow(trunk))
    grow(trunk)
    early = make.make_fork(trunk, 2).branch
    late = make.make_fork(trunk, 4).branch
    push(grow(early), issues=[make_issue()])
    push(grow(late), issues=[make_issue()])
    assert not any("regression" in text for text in gate_texts(early))
    assert any("regression" in text for text in gate_texts(late))


def test_a_later_run_brings_back_what_the_project_had_resolved() -> None:
    project = make.make_project()
    _, first = make.make_run(project)
    push(first, issues=[make_issue()])
    push(grow(first))
    _, second = make.make_run(project)
    push(second, issues=[make_issue()])
    failure = only()
    assert (failure.runs, failure.returns) == (2, 1)
    assert any("regression" in text for text in gate_texts(second))


def test_the_same_report_twice_is_one_sighting() -> None:
    _, trunk = make.make_run()
    push(trunk, issues=[make_issue(), make_issue(message="assert 7 == 8")])
    push(trunk, issues=[make_issue(), make_issue(message="assert 7 == 8")])
    assert (only().sightings, FailureEntry.objects.count()) == (1, 1)


def test_the_probe_puts_a_flaky_failure_into_quarantine_and_the_gate_says_so() -> None:
    _, trunk = make.make_run()
    push(trunk, issues=[make_issue()])
    push(trunk)
    assert only().ticket is None, "two runs are no probe yet"
    push(trunk, issues=[make_issue()], elapsed_ms=2)
    failure = only()
    assert failure.ticket is not None
    assert failure.ticket.reason == "test found it in 2 of 3 runs on one head"
    assert AuditEntry.objects.filter(action="failure.quarantine").count() == 1
    [text] = gate_texts(trunk)
    assert text.startswith("test: in quarantine as flaky, test_failure at test_clamp.py")
    assert read_gate(trunk).verdict == "warn"
    # Not even where it comes back after it was gone.
    push(grow(trunk))
    push(grow(trunk), issues=[make_issue()])
    assert read_gate(trunk).verdict == "warn"
    assert faults(trunk) == []


def test_a_person_lifts_a_quarantine_and_only_later_runs_renew_it() -> None:
    _, trunk = make.make_run()
    probe(trunk, 1)
    curator = make.make_person(trunk.project, Role.CURATOR)
    lift_quarantine(failure_id=only().pk, actor=curator, reason="the fixture was at fault")
    push(trunk, issues=[make_issue()], elapsed_ms=20)
    assert only().ticket is None
    assert read_gate(trunk).verdict == "fail"
    probe(trunk, 3)
    assert only().ticket is not None
    quarantined = [Turn.OPENED, Turn.QUARANTINED, Turn.LIFTED, Turn.QUARANTINED]
    assert turns(only()) == quarantined
    assert faults(trunk) == []


def test_an_unsigned_run_talks_no_signed_failure_out_of_the_gate() -> None:
    _, trunk = make.make_run()
    push_proven(make_runner(trunk.project), trunk, issues=[make_issue()])
    push(trunk)
    push(trunk, elapsed_ms=1)
    assert only().ticket is None


def test_unsigned_runs_quarantine_nothing_where_the_policy_asks_for_receipts() -> None:
    _, trunk = make.make_run()
    require(trunk.project, "test")
    probe(trunk, 1)
    assert only().ticket is None
    assert read_progress(actor=SYSTEM, branch=trunk).advice.quarantined == ()


def test_unsigned_runs_of_one_branch_do_not_quarantine_what_a_runner_found_on_another() -> None:
    _, trunk = make.make_run()
    _, other = make.make_run(trunk.project)
    push_proven(make_runner(trunk.project), trunk, issues=[make_issue()])
    probe(other, 1)
    assert only().ticket is None
    assert any(text.startswith("test: error") for text in gate_texts(trunk))
    assert read_progress(actor=SYSTEM, branch=other).advice.quarantined == ()


def test_signed_runs_that_disagree_quarantine_what_a_runner_found() -> None:
    _, trunk = make.make_run()
    signer = make_runner(trunk.project)
    for issues in ([make_issue()], [], [make_issue()]):
        push_proven(signer, trunk, issues=issues)
    assert only().ticket is not None


def test_the_loop_and_the_ledger_have_one_rule_of_what_is_flaky() -> None:
    _, trunk = make.make_run()

    def told() -> tuple[int, bool]:
        advice = read_progress(actor=SYSTEM, branch=trunk).advice
        return len(advice.flaky), only().ticket is not None

    push(trunk, issues=[make_issue()])
    push(trunk)
    assert told() == (0, False), "two runs are no probe"
    advice = read_progress(actor=SYSTEM, branch=trunk).advice
    assert (advice.step, advice.target) == ("probe", only().fingerprint)
    push(trunk, elapsed_ms=1)
    assert told() == (1, True)
    curator = make.make_person(trunk.project, Role.CURATOR)
    lift_quarantine(failure_id=only().pk, actor=curator, reason="the fixture was at fault")
    assert told() == (0, False)
    push(trunk, issues=[make_issue()], elapsed_ms=2)
    push(trunk, elapsed_ms=3)
    assert told() == (0, False)
    push(trunk, issues=[make_issue()], elapsed_ms=4)
    assert told() == (1, True)


@pytest.mark.skipif("connection.vendor == 'postgresql'", reason="it keeps every entry")
def test_reports_of_an_older_installation_are_filled_in_and_come_out_the_same() -> None:
    _, trunk = make.make_run()
    push(trunk, issues=[make_issue()])
    push(grow(trunk))
    push(grow(trunk), issues=[make_issue()])
    before = (turns(only()), only().sightings, only().open)
    FailureLine.objects.all().delete()
    for entry in FailureEntry.objects.order_by("-pk"):
        entry.delete()
    Failure.objects.all().delete()
    Report.objects.update(in_ledger=False)
    assert fill_in()
    assert not fill_in()
    assert (turns(only()), only().sightings, only().open) == before
    assert faults(trunk) == []


def test_verify_names_what_disagrees_with_the_stored_reports() -> None:
    _, trunk = make.make_run()
    push(trunk, issues=[make_issue(), make_issue(locator="b.py")])
    push(grow(trunk), issues=[make_issue(locator="b.py")])
    Failure.objects.filter(locator="test_clamp.py").update(open=True, sightings=9)
    Failure.objects.filter(locator="b.py").update(returns=1)
    told = " ".join(faults(trunk))
    assert "1 reports found it, and it says 9" in told
    assert "whether it is open" in told
    assert "it came back 0 times, and it says 1" in told
    Issue.objects.filter(locator="b.py").update(fingerprint="0" * 16)
    told = " ".join(faults(trunk))
    assert "no stored report ever found it" in told
    assert "missing: failure 0000000000000000" in told


def test_what_is_recorded_costs_the_same_whatever_the_ledger_holds() -> None:
    def count(branch: Branch, issues: int, times: int) -> int:
        for number in range(times):
            push(grow(branch), issues=[make_issue(locator=f"{i}.py") for i in range(number % 3)])
        grow(branch)
        body = make_report(branch, issues=[make_issue(locator=f"{i}.py") for i in range(issues)])
        with CaptureQueriesContext(connection) as queries:
            file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
        return len(queries)

    _, small = make.make_run()
    _, large = make.make_run()
    assert count(grow(small), 3, 6) == count(grow(large), 40, 30)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no trigger for it")
@pytest.mark.parametrize("statement", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}"])
def test_postgresql_keeps_every_entry(statement: str) -> None:
    _, trunk = make.make_run()
    push(trunk, issues=[make_issue()])
    with (
        pytest.raises(DatabaseError, match="is never changed"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format("verdicts_failureentry"))


@pytest.mark.django_db(transaction=True)
def test_reports_that_arrive_at_once_are_counted_once_each() -> None:
    project = make.make_project()
    branches = [make.make_run(project)[1] for _ in range(6)]
    start = threading.Barrier(len(branches))
    wrong: list[BaseException] = []

    def report(place: int, branch: Branch) -> None:
        try:
            start.wait(10)
            # Each in an order of its own, so that rows would be locked crosswise.
            places = [(n * (place + 1)) % 7 for n in range(7)]
            push(branch, issues=[make_issue(locator=f"{n}.py") for n in places])
            push(branch, issues=[make_issue(locator=f"{n}.py") for n in places], elapsed_ms=1)
        except BaseException as error:
            wrong.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=report, args=pair) for pair in enumerate(branches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert set(Failure.objects.values_list("sightings", "runs")) <= {(12, 6), (2, 1)}
    assert sum(Failure.objects.values_list("sightings", flat=True)) == sum(
        2 * len({(n * (place + 1)) % 7 for n in range(7)}) for place in range(6)
    )
    assert faults(branches[0]) == []


def test_a_probe_that_finds_many_flaky_costs_no_more_than_one_that_finds_two() -> None:
    def count(issues: int) -> int:
        _, trunk = make.make_run()
        with CaptureQueriesContext(connection) as queries:
            probe(trunk, 1, issues)
        assert Failure.objects.held().filter(project=trunk.project_id).count() == issues
        return len(queries)

    assert count(2) == count(30)
    assert AuditEntry.objects.filter(action="failure.quarantine").count() == 2
