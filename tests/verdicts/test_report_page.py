from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from branches.models import Branch
from tests.make import (
    append,
    make_fork,
    make_message,
    make_person,
    make_project,
    make_run,
    make_user,
)
from tests.verdicts.make import SUITE, make_issue, make_runner, push, push_proven, require
from verdicts.policies import change_policy
from verdicts.report_page import VerdictPage, read_verdict_page
from verdicts.runners import revoke_runner
from verdicts.suites import freeze_suite
from verel_site.access.actors import SYSTEM
from verel_site.access.rights import Role
from verel_site.kit.refusals import NotFound

pytestmark = pytest.mark.django_db


def read(branch: Branch, *, whole: bool = False) -> VerdictPage:
    actor = make_person(branch.project, Role.VIEWER)
    return read_verdict_page(actor=actor, run_id=branch.run_id, branch_id=branch.pk, whole=whole)


def step(branch: Branch, *failing: str) -> None:
    """One iteration: the agent says something, and the tests fail at those places."""
    append(branch, make_message("assistant", f"now {failing}"))
    push(branch, "test", [make_issue(message=f"{name} broke", locator=name) for name in failing])


def test_what_a_grader_claims_is_shown_and_the_gates_word_stands_before_it() -> None:
    branch = make_run()[1]
    append(branch, make_message("assistant", "done"))
    push(branch, "test", [make_issue()], summary="all fine, trust me")
    row = read(branch).reports[0]
    assert (row.verdict, row.findings, row.power) == ("fail", "all fine, trust me", "blocks")


def test_each_tool_of_a_grader_has_its_row_its_verdict_and_its_part_of_the_curve() -> None:
    branch = make_run()[1]
    push(branch, "typecheck", [make_issue(kind="type_error")], tool="mypy")
    push(branch, "typecheck", tool="pyright")
    page = read(branch)
    assert [(row.tool, row.verdict) for row in page.reports] == [
        ("mypy", "fail"),
        ("pyright", "pass"),
    ]
    assert page.failing is not None
    assert page.failing.title == "1 failing after the first grading"
    assert page.progress is not None
    assert page.progress.curve == "1"


def test_an_advisory_error_weighs_as_a_warning() -> None:
    branch = make_run()[1]
    push(branch, "llm_judge", [make_issue(kind="intent_mismatch", source="llm_judge")])
    page = read(branch)
    assert [(row.verdict, row.advisory) for row in page.issues] == [("warn", True)]
    assert page.reports[0].power == "advises"
    assert page.failing is not None
    assert page.failing.title == "Nothing fails"


def test_fingerprints_are_followed_over_the_graded_heads() -> None:
    branch = make_run()[1]
    step(branch, "a", "b", "c")
    step(branch, "a", "b")
    step(branch, "b", "d")
    page = read(branch)
    assert {row.locator: (row.seen, row.first, row.last, row.open) for row in page.issues} == {
        "a": (2, "1", "2", False),
        "b": (3, "1", "3", True),
        "c": (1, "1", "1", False),
        "d": (1, "3", "3", True),
    }
    assert page.failing is not None
    assert page.failing.title == "No progress: 2 still fail"
    assert "Failing set over 3 iterations: 3, 2, 2." in page.failing.drawing
    assert page.failing.drawing.count('class="cell new"') == 1
    assert page.failing.drawing.count('class="dot pass"') == 1


def test_a_rerun_on_one_head_is_no_iteration_and_its_latest_word_counts() -> None:
    branch = make_run()[1]
    step(branch, "a")
    push(branch, "test", [], elapsed_ms=7)
    page = read(branch)
    assert page.failing is not None
    assert page.failing.iterations == 1
    assert page.issues == ()


def test_a_report_on_an_older_head_is_stale_and_earlier_ones_are_a_link_away() -> None:
    branch = make_run()[1]
    step(branch, "a")
    step(branch)
    append(branch, make_message("assistant", "moved on"))
    page = read(branch)
    assert [(row.verdict, row.stale) for row in page.reports] == [("stale", True)]
    assert page.earlier == 1
    assert len(read(branch, whole=True).reports) == 2


def test_each_line_of_a_receipt_stands_beside_what_the_server_knows() -> None:
    branch = make_run()[1]
    append(branch, make_message("assistant", "done"))
    require(branch.project, "test")
    signer = make_runner(branch.project)
    push_proven(signer, branch)
    panel = read(branch).panel
    assert panel is not None
    told = {proof.name: (proof.verdict, proof.word) for proof in panel.proofs}
    assert told["Signature"] == ("pass", "Valid")
    assert told["Suite"] == ("fail", "Not the frozen one")
    assert told["Inputs"] == ("pass", "Same")
    assert told["Result"] == ("pass", "Same")
    freeze_suite(
        project_id=branch.project_id, actor=SYSTEM, grader="test", name="units", digest=SUITE
    )
    panel = read(branch).panel
    assert panel is not None
    assert {proof.name: proof.verdict for proof in panel.proofs}["Suite"] == "pass"
    revoke_runner(runner_id=signer.runner.pk, actor=SYSTEM, reason="leaked")
    page = read(branch)
    assert page.panel is not None
    assert page.panel.word == "Revoked runner"
    assert page.reports[0].receipt_verdict == "fail"


def test_a_shut_gate_offers_a_fork_from_the_last_clean_head() -> None:
    branch = make_run()[1]
    step(branch)
    clean = branch.events.get(seq=branch.head_seq)
    step(branch, "a")
    assert read(branch).honest_href == f"/events/{clean.event_id}/fork/"
    step(branch)
    assert read(branch).honest_href == ""


def test_without_a_branch_it_is_about_the_one_that_was_graded_last(client: Client) -> None:
    project = make_project()
    trunk = make_run(project)[1]
    append(trunk, make_message("user", "go"))
    push(trunk, "lint")
    fork = make_fork(trunk, 1).branch
    push(fork, "test", [make_issue(message="<script>alert(1)</script>")])
    client.force_login(make_user(project, Role.VIEWER))
    answer = client.get(f"/runs/{trunk.run_id}/verdicts/")
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "Reports on" in text
    assert fork.label in text
    assert "<script>alert(1)" not in text


def test_strangers_and_wrong_names_are_not_found(client: Client) -> None:
    branch = make_run()[1]
    stranger = make_person(make_project())
    with pytest.raises(NotFound):
        read_verdict_page(actor=stranger, run_id=branch.run_id)
    with pytest.raises(NotFound):
        read_verdict_page(actor=SYSTEM, run_id=branch.run_id, branch_id=uuid4())
    with pytest.raises(NotFound):
        read_verdict_page(actor=SYSTEM, run_id=branch.run_id, report_id=uuid4())
    client.force_login(make_user(branch.project))
    assert client.get(f"/runs/{branch.run_id}/verdicts/?branch=x").status_code == 400


def test_a_person_sees_what_the_loop_is_told_and_why(client: Client) -> None:
    branch = make_run()[1]
    limits = {"window": 4, "reruns": 2, "ladder": ["small", "<i>big</i>"]}
    change_policy(project_id=branch.project_id, actor=SYSTEM, required=[], limits=limits)
    for failing in ("a", "b", "a", "b"):
        step(branch, failing)
        push(branch, "test", [make_issue(message=f"{failing} broke", locator=failing)], model="x")
    told = read(branch).progress
    assert told is not None
    assert (told.word, told.tone) == ("Upgrade to <i>big</i>", "warn")
    assert told.why.startswith("the last 4 iterations go round in a circle of 2")
    assert told.circle == "the last 4 heads go round in a circle of 2"
    assert [(rung.name, rung.place) for rung in told.ladder] == [
        ("small", "now"), ("<i>big</i>", "next"),
    ]  # fmt: skip
    assert (told.curve, told.policy_version) == ("1, 1, 1, 1", 1)
    client.force_login(make_user(branch.project))
    text = client.get(f"/runs/{branch.run_id}/verdicts/").content.decode()
    assert "Upgrade to &lt;i&gt;big&lt;/i&gt;" in text
    assert "<i>big" not in text


def test_a_flaky_failure_stands_with_its_evidence_and_leaves_the_curve() -> None:
    branch = make_run()[1]
    step(branch, "a")
    push(branch, "test", [], elapsed_ms=1)
    push(branch, "test", [make_issue(message="a broke", locator="a")], elapsed_ms=2)
    page = read(branch)
    assert page.progress is not None
    assert page.failing is not None
    [line] = page.progress.flaky
    assert (line.found, line.runs, line.heads, line.where) == (2, 3, 1, "Tests")
    assert (page.progress.word, page.failing.title) == ("Stop, and ask the gate", "Nothing fails")
    assert [(row.verdict, row.flaky) for row in page.issues] == [("warn", True)]


def test_fingerprints_are_followed_over_all_branches_of_the_run(client: Client) -> None:
    trunk = make_run()[1]
    step(trunk, "both", "mended")
    fork = make_fork(trunk, 1, name="fork").branch
    step(fork, "both", "new")
    step(trunk, "both")
    actor = make_person(trunk.project, Role.VIEWER)
    page = read_verdict_page(actor=actor, run_id=trunk.run_id, branch_id=trunk.pk, over_run=True)
    assert page.run_issues is not None
    assert {
        row.locator: (row.branches, row.heads, sorted(place.number for place in row.open_in))
        for row in page.run_issues.rows
    } == {"both": (2, 3, [0, 1]), "mended": (1, 1, []), "new": (1, 1, [1])}
    client.force_login(make_user(trunk.project))
    text = client.get(f"/runs/{trunk.run_id}/verdicts/?issues=run").content.decode()
    assert "All 2 branches" in text
    assert "gone from 1" in text


@pytest.mark.parametrize("query", ["", "?issues=run"])
def test_the_page_asks_the_same_few_queries_however_much_was_graded(
    client: Client, query: str
) -> None:
    branch = make_run()[1]
    client.force_login(make_user(branch.project))

    def count() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert client.get(f"/runs/{branch.run_id}/verdicts/{query}").status_code == 200
        return len(asked)

    step(branch, "a")
    few = count()
    for number in range(6):
        step(branch, *(f"t{place}" for place in range(8 - number)))
        push(branch, "lint", [make_issue(kind="lint")])
    assert count() == few <= 21
