"""What the rules cannot settle waits in the inbox, once, until it is settled."""

import pytest

from branches.models import Branch
from branches.steering import abandon_branch
from tests.make import append, make_message, make_run
from tests.verdicts.make import make_issue, make_suite, push, require
from verdicts.admission import read_gate
from verdicts.escalations import weigh_waiting
from verdicts.models import Weighing
from verdicts.policies import change_policy
from verdicts.report_page import read_verdict_page
from verdicts.rotations import tend
from verdicts.suites import record_result
from verel_site.access.actors import SYSTEM
from verel_site.inbox.models import Item
from verel_site.inbox.sweeps import sweep_inbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def branch() -> Branch:
    return make_run()[1]


def waiting() -> list[str]:
    rows = Item.objects.filter(kind="escalation", state=Item.State.OPEN)
    return [row.body["cause"] for row in rows]


def disagree(branch: Branch) -> None:
    """Two precise graders, on two sides of the gate about one place."""
    append(branch, make_message("assistant", "done"))
    place = {"kind": "overflow", "locator": "#dose", "message": "sticks out"}
    push(branch, "dom", [make_issue("error", source="dom", **place)])
    push(branch, "cv", [make_issue("info", source="cv", **place)])


def test_precise_graders_who_disagree_shut_the_gate_and_wait_for_a_person(branch: Branch) -> None:
    disagree(branch)
    gate = read_gate(branch)
    assert not gate.open
    assert any("disagree on overflow at #dose" in text for text in gate.texts)
    sweep_inbox()
    sweep_inbox()
    [item] = Item.objects.filter(kind="escalation")
    assert item.body["cause"] == "disagreement"
    assert "cv and dom disagree on overflow at #dose" in item.body["reasons"][0]
    assert item.body["href"].endswith(f"?branch={branch.pk}")
    page = read_verdict_page(actor=SYSTEM, run_id=branch.run_id, branch_id=branch.pk)
    assert page.asked is not None
    assert (page.asked.id, page.asked.since) == (item.pk, item.created_at)
    assert [row.verdict for row in page.issues] == ["fail"], "the worst of what they say"
    assert page.progress is not None
    assert page.progress.word == "Ask a person"


def test_it_waits_no_more_once_the_graders_agree(branch: Branch) -> None:
    disagree(branch)
    sweep_inbox()
    push(branch, "cv", [])
    sweep_inbox()
    assert waiting() == []
    assert Item.objects.get(kind="escalation").closed_because


def test_nor_once_the_branch_has_ended(branch: Branch) -> None:
    disagree(branch)
    sweep_inbox()
    abandon_branch(branch_id=branch.pk, actor=SYSTEM, reason="no use")
    sweep_inbox()
    assert waiting() == []


def test_a_loop_that_is_stuck_on_the_last_model_waits_for_a_person(branch: Branch) -> None:
    limits = {"window": 2, "ladder": ["only"]}
    change_policy(project_id=branch.project_id, actor=SYSTEM, required=[], limits=limits)
    for _ in range(2):
        append(branch, make_message("assistant", "again"))
        push(branch, "dom", [make_issue(kind="overflow", source="dom")])
    sweep_inbox()
    [item] = Item.objects.filter(kind="escalation")
    assert item.body["cause"] == "stuck"
    assert item.title == f"Stuck: {branch.run.goal}"
    append(branch, make_message("assistant", "mended"))
    push(branch, "dom", [])
    sweep_inbox()
    assert waiting() == []


def test_what_judges_of_two_families_call_an_error_waits_for_a_person(branch: Branch) -> None:
    found = make_issue(kind="intent_mismatch", source="llm_judge", locator="answer")
    push(branch, "llm_judge", [found], tool="one", model="claude-opus-4")
    push(branch, "llm_judge", [found], tool="two", model="claude-haiku-4")
    sweep_inbox()
    assert waiting() == []
    push(branch, "llm_judge", [found], tool="two", model="gpt-4.1")
    sweep_inbox()
    [item] = Item.objects.filter(kind="escalation")
    assert item.body["cause"] == "confirmed"
    assert "judges of anthropic and openai agree" in item.body["reasons"][0]
    branch.refresh_from_db()
    gate = read_gate(branch)
    assert gate.verdict == "warn", "no model shuts a gate, nor do two"
    [line] = gate.standings
    assert line.why.endswith("(judges of anthropic and openai agree)")


def test_a_canary_that_trips_waits_for_a_person(branch: Branch) -> None:
    suite = make_suite(branch.project)
    record_result(
        suite_id=suite.pk, actor=SYSTEM, passed=50, total=50, holdout_passed=4, holdout_total=40
    )
    tend()
    [item] = Item.objects.filter(kind="escalation")
    assert (item.body["cause"], item.body["href"]) == ("canary", f"/suites/{suite.pk}/")
    sweep_inbox()
    assert waiting() == ["canary"], "a rotation mends the suite; who leaked it is still to be found"


def test_a_branch_is_looked_at_when_it_was_reported_on_and_not_again(branch: Branch) -> None:
    require(branch.project)
    push(branch)
    push(branch, "lint")
    assert Weighing.objects.get().order == 2
    assert (weigh_waiting(10), weigh_waiting(10)) == (1, 0)
    assert waiting() == []
