"""No hollow green: what a run left out opens no gate in silence.

Through the door that reports come in by and the gate that merges use.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branches.models import Branch
from tests.branches.story import tell_story
from tests.make import make_run
from tests.verdicts.make import (
    SUITE,
    Signer,
    grow,
    make_issue,
    make_receipt,
    make_report,
    make_runner,
    push,
    unit,
)
from verdicts.admission import GateView, read_gate
from verdicts.domain.progress import Step
from verdicts.domain.terms import Verdict
from verdicts.models import Failure, Report
from verdicts.progress import read_progress
from verdicts.quarantine import quarantine_failure
from verdicts.reports import file_report
from verel_site.access.actors import SYSTEM

pytestmark = pytest.mark.django_db
NAMES = ("clamp", "dose", "valve")


def covered(*names: str) -> dict[str, list[str]]:
    return {"tests": [f"unit::{name}" for name in names]}


def run(branch: Branch, *names: str, failing: tuple[str, ...] = (), **extra: Any) -> Report:
    issues = [unit(name) for name in failing]
    return push(branch, issues=issues, covered=covered(*names), **extra)


def gate(branch: Branch) -> GateView:
    branch.refresh_from_db()
    return read_gate(branch)


def test_a_run_that_leaves_out_what_failed_before_opens_no_gate() -> None:
    _, trunk = make_run()
    run(trunk, *NAMES, failing=("clamp",))
    run(grow(trunk), "dose", "valve")
    told = gate(trunk)
    assert (told.verdict, told.open) == (Verdict.FAIL, False)
    assert told.texts == (
        "test: it did not look again at 1 failure that it found here before: unit::clamp",
        "test: it left out 1 test that it looked at here before: unit::clamp",
    )
    assert told.standings[0].verdict == "fail"
    advice = read_progress(actor=SYSTEM, branch=trunk).advice
    assert advice.step == Step.CONTINUE
    assert advice.why == f"nothing that was looked at fails, but {told.texts[1]}"
    run(grow(trunk), "dose", "valve")
    assert not gate(trunk).open, "leaving it out twice does not mend it"
    run(grow(trunk), *NAMES)
    assert (gate(trunk).open, gate(trunk).texts) == (True, ())
    assert read_progress(actor=SYSTEM, branch=trunk).advice.step == Step.STOP


def test_a_run_that_leaves_out_what_passed_before_says_so_for_as_long_as_it_does() -> None:
    _, trunk = make_run()
    run(trunk, *NAMES)
    text = "test: it left out 2 tests that it looked at here before: unit::clamp, unit::dose"
    for _ in range(2):
        run(grow(trunk), "valve")
        told = gate(trunk)
        assert (told.verdict, told.texts) == (Verdict.WARN, (text,))
        assert (told.standings[0].verdict, told.standings[0].why) == ("warn", text)
    run(trunk, *NAMES, elapsed_ms=1)
    assert gate(trunk).verdict == Verdict.PASS


def test_what_fails_and_what_was_left_out_stand_in_one_line() -> None:
    _, trunk = make_run()
    run(trunk, *NAMES)
    run(grow(trunk), "valve", failing=("valve",))
    line = gate(trunk).standings[0]
    assert (line.verdict, line.why.split("; ")[1:]) == (
        "fail",
        ["test: it left out 2 tests that it looked at here before: unit::clamp, unit::dose"],
    )


def test_files_that_a_scanner_looked_at_before_are_missed_by_folder_or_name() -> None:
    _, trunk = make_run()
    push(trunk, "security", covered={"files": ["src/a.py", "src/b.py", "docs/c.py", "d.py"]})
    push(grow(trunk), "security", covered={"files": ["src"]})
    assert gate(trunk).texts == (
        "security: it left out 2 files that it looked at here before: d.py, docs/c.py",
    )


def test_a_rerun_of_one_test_on_the_same_head_takes_no_failure_away() -> None:
    _, trunk = make_run()
    run(trunk, *NAMES, failing=("clamp",))
    run(trunk, "valve")
    assert gate(trunk).verdict == Verdict.FAIL
    run(trunk, *NAMES, elapsed_ms=1)
    assert gate(trunk).verdict == Verdict.PASS


def test_another_tool_of_a_grader_answers_for_nothing_that_the_first_one_found() -> None:
    _, trunk = make_run()
    push(trunk, "typecheck", [make_issue(locator="a.py::f")], tool="mypy")
    push(grow(trunk), "typecheck", tool="pyright")
    assert gate(trunk).texts == (
        "typecheck (mypy): it did not look again at 1 failure that it found here before: a.py::f",
    )
    push(trunk, "typecheck", tool="mypy")
    assert gate(trunk).open


def test_a_fork_is_held_to_what_its_parent_ran_and_failed_up_to_there() -> None:
    story = tell_story(forks=1)
    fork = Branch.objects.get(run=story.run, number=1)
    run(story.trunk, *NAMES, failing=("clamp",))
    run(grow(story.trunk), *NAMES, "later")
    run(fork, "dose")
    told = gate(fork)
    assert told.verdict == Verdict.FAIL
    assert told.texts == (
        "test: it did not look again at 1 failure that it found here before: unit::clamp",
        "test: it left out 2 tests that it looked at here before: unit::clamp, unit::valve",
    )
    run(grow(fork), *NAMES)
    assert gate(fork).open


def test_a_failure_in_quarantine_may_be_left_out_and_its_test_is_still_told() -> None:
    _, trunk = make_run()
    run(trunk, *NAMES, failing=("clamp",))
    run(grow(trunk), "dose", "valve")
    failure = Failure.objects.get()
    quarantine_failure(failure_id=failure.pk, actor=SYSTEM, reason="it comes and goes")
    assert gate(trunk).verdict == Verdict.WARN
    assert gate(trunk).texts == (
        "test: it left out 1 test that it looked at here before: unit::clamp",
    )


def prove(signer: Signer, branch: Branch, suite: str, *names: str, **extra: Any) -> Report:
    body = make_report(branch, covered=covered(*names), **extra)
    receipt = make_receipt(signer, branch, body, suite_digest=suite)
    return file_report(branch_id=branch.pk, actor=SYSTEM, report=body | {"receipt": receipt})


def test_what_a_rotation_retired_is_not_left_out() -> None:
    _, trunk = make_run()
    signer = make_runner(trunk.project)
    prove(signer, trunk, SUITE, *NAMES, issues=[unit("clamp")])
    prove(signer, grow(trunk), "ef" * 32, "dose", "fresh")
    assert (gate(trunk).open, gate(trunk).texts) == (True, ())
    prove(signer, grow(trunk), SUITE, "dose")
    assert gate(trunk).verdict == Verdict.FAIL, "a run of the suite is held to that suite"
    assert len(gate(trunk).texts) == 2


def test_a_report_of_an_older_head_that_comes_late_changes_nothing() -> None:
    _, trunk = make_run()
    older = {"head_digest": bytes(trunk.head_digest).hex()}
    run(trunk, *NAMES, failing=("clamp",))
    run(grow(trunk), "dose")
    before = gate(trunk).texts
    run(trunk, *NAMES, failing=("clamp",), elapsed_ms=7, **older)
    assert gate(trunk).texts == before
    assert not gate(trunk).open


steps = st.lists(
    st.tuples(
        st.sets(st.sampled_from(NAMES), min_size=1), st.sets(st.sampled_from(NAMES)), st.booleans()
    ),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_a_gate_passes_only_where_all_that_was_ever_run_ran_and_nothing_fails(
    told: list[tuple[set[str], set[str], bool]],
) -> None:
    """Each step runs some tests, of which some fail, on a new head or once more on the same."""
    _, trunk = make_run()
    failing: dict[str, bool] = {}
    for number, (ran, broken, moves) in enumerate(told):
        run(
            grow(trunk) if moves else trunk,
            *sorted(ran),
            failing=tuple(sorted(ran & broken)),
            elapsed_ms=number,
        )
        failing |= {name: name in broken for name in ran}
        verdict = gate(trunk).verdict
        assert verdict != Verdict.PASS or ran == failing.keys()
        held = Failure.objects.held().filter(project=trunk.project).exists()
        assert verdict == Verdict.FAIL or held or not any(failing.values())
        if ran == failing.keys():
            assert (verdict == Verdict.PASS) == (not any(failing.values()))
