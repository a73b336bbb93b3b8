"""Recall and contexts: what fits enters, what may not does not, and the reasons are stored."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from memory.domain.assembly import Policy
from memory.domain.recalled import COLUMNS, Recalled
from memory.domain.terms import Answer
from memory.episodes import project_batch
from memory.models import Assembly, Record, Retrieval
from memory.recall import assemble_context, budget_of, recall
from tests.make import append, make_draft, make_person, make_project, make_run
from tests.memory.make import (
    CAP,
    ORDER,
    answer,
    make_corroborated,
    make_fact,
    make_verified,
    mint_token,
    propose,
)
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.kit.refusals import BadInput, NotFound

pytestmark = pytest.mark.django_db


def context(project: Project, goal: str = "bolus cap", **more: Any) -> Assembly:
    return assemble_context(project_id=project.pk, actor=SYSTEM, goal=goal, **more)


def texts(assembly: Assembly) -> list[str]:
    return [one["text"] for one in assembly.result["entered"]]


def test_what_fits_the_goal_enters_and_is_counted_and_its_confidence_stays(
    project: Project, curator: Actor
) -> None:
    record = make_verified(project, "The bolus cap is 45 mg", curator, **CAP, object="45 mg")
    before = record.confidence
    found = context(project)
    assert texts(found) == ["The bolus cap is 45 mg"]
    record.refresh_from_db()
    assert (record.retrieval_count, record.retrieved_at) == (1, found.created_at)
    assert record.confidence == before
    retrieval = Retrieval.objects.get()
    assert (retrieval.record, retrieval.assembly, retrieval.retrievals) == (record, found, 0)


def test_what_nobody_vouches_for_does_not_enter(project: Project) -> None:
    make_fact(project, "The bolus cap is 45 mg")
    assert texts(context(project)) == []


def test_the_stored_explanation_names_the_rival_of_a_key(project: Project, curator: Actor) -> None:
    make_verified(project, "The bolus cap is 45 mg", curator, **CAP, object="45 mg")
    rival = propose(project, "The bolus cap is 50 mg", **CAP, object="50 mg").record
    found = context(project)
    (left,) = found.result["left_out"]
    assert (left["id"], left["reason"], left["standing"]) == (
        str(rival.record_id),
        "standing",
        "held",
    )
    assert Assembly.objects.get(pk=found.pk).result == found.result


@pytest.mark.parametrize("told", [Answer.BURY, Answer.REJECT])
def test_the_buried_and_the_refused_never_enter(
    project: Project, curator: Actor, told: Answer
) -> None:
    record = make_verified(project, "The bolus cap is 45 mg", curator)
    answer(record, curator, told, "x")
    assert texts(context(project)) == []


def test_the_budget_is_kept_and_what_did_not_fit_is_told(project: Project, curator: Actor) -> None:
    for number in range(9):
        make_verified(project, f"Bolus cap number {number} of ward {number} is set", curator)
    found = context(project, policy=Policy(budget=40))
    assert 0 < found.tokens <= 40
    assert "budget" in {one["reason"] for one in found.result["left_out"]}


def test_another_scope_is_not_read(project: Project, curator: Actor) -> None:
    make_verified(project, "The bolus cap is 45 mg", curator, scope="repo:other")
    assert texts(context(project, scopes=["team", "repo:mine"])) == []
    assert texts(context(project, scopes=["team", "repo:other"])) != []


def test_another_project_is_not_found(project: Project, curator: Actor) -> None:
    stranger = make_person(make_project(), Role.ADMIN)
    with pytest.raises(NotFound):
        assemble_context(project_id=project.pk, actor=stranger, goal="bolus")
    elsewhere = make_project()
    make_verified(elsewhere, "The bolus cap is 45 mg", make_person(elsewhere, Role.CURATOR))
    assert texts(context(project)) == []


def test_what_fills_the_front_of_the_ranking_and_may_not_be_recalled_displaces_nothing(
    project: Project, curator: Actor, agent: Actor
) -> None:
    make_verified(project, "The bolus cap of the ward is 45 mg", curator)
    elsewhere = make_project()
    for number in range(30):
        propose(project, f"bolus cap {number}", actor=agent)
        make_fact(elsewhere, f"bolus cap {number}")
    for number in range(6):
        make_verified(project, f"bolus cap {number} there", curator, scope="repo:other")
    rows = recall(project_id=project.pk, goal="bolus cap", scopes=["team"], limit=2)
    assert [row.text for row in rows] == ["The bolus cap of the ward is 45 mg"]
    both = recall(project_id=project.pk, goal="bolus cap", scopes=["team", "repo:other"], limit=2)
    assert len(both) == 2


def test_what_has_more_of_the_goals_words_comes_first(project: Project, curator: Actor) -> None:
    words = ["bolus", "cap", "ward", "pump", "dose"]
    for count in (2, 5, 1, 4, 3):
        told = [*words[:count], *(f"filler{n}" for n in range(5 - count))]
        make_verified(project, f"{' '.join(told)} {count}", curator)
    rows = recall(project_id=project.pk, goal=" ".join(words), scopes=["team"], limit=4)
    assert [row.text.split()[-1] for row in rows] == ["5", "4", "3", "2"]


def test_recall_asks_the_database_once(project: Project, curator: Actor) -> None:
    for number in range(5):
        make_verified(project, f"bolus cap {number}", curator)
    with CaptureQueriesContext(connection) as queries:
        rows = recall(project_id=project.pk, goal="bolus cap", scopes=["team"], limit=3)
    assert (len(rows), len(queries)) == (3, 1)
    stored = Record.objects.get(position=rows[0].position)
    assert rows[0] == Recalled(*(getattr(stored, name) for name in COLUMNS))


def test_no_two_records_of_one_key_in_a_context_across_scopes(
    project: Project, curator: Actor
) -> None:
    make_corroborated(project, "The bolus cap is 45 mg", **CAP, object="45 mg")
    narrow = make_corroborated(
        project, "The bolus cap of this pump is 40 mg", scope="repo:mine", **CAP, object="40 mg"
    )
    found = context(project, scopes=["team", "repo:mine"])
    assert [one["id"] for one in found.result["entered"]] == [str(narrow.record_id)]
    assert found.result["left_out"][0]["reason"] == "key"


def test_whatever_the_goal_names_is_told_with_its_reason(
    project: Project, curator: Actor, agent: Actor
) -> None:
    fact = {
        "trust": make_fact(project, "Bolus cap: the ward says so"),
        "scope": make_verified(project, "Bolus cap elsewhere", curator, scope="repo:other"),
        "standing": make_verified(project, "Bolus cap of last year", curator),
    }
    answer(fact["standing"], curator, Answer.BURY)
    told = {one["id"]: one for one in context(project).result["left_out"]}
    assert {name: told[str(row.record_id)]["reason"] for name, row in fact.items()} == {
        name: name for name in fact
    }
    assert told[str(fact["standing"].record_id)]["standing"] == "buried"
    assert told[str(fact["scope"].record_id)]["scope"] == "repo:other"


def test_what_is_buried_while_a_context_is_assembled_does_not_enter(
    project: Project, curator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = make_verified(project, "The bolus cap is 45 mg", curator)
    make_verified(project, "Bolus alarms are loud", curator)

    def bury_meanwhile(*args: Any, **named: Any) -> list[Any]:
        Record.objects.filter(pk=gone.pk).update(standing="buried")
        return []

    # The last that is read before the context is made.
    monkeypatch.setattr("memory.recall.read_near_misses", bury_meanwhile)
    found = context(project)
    assert texts(found) == ["Bolus alarms are loud"]
    assert Retrieval.objects.count() == 1
    assert found.result["left_out"][0]["standing"] == "buried"


def test_a_persons_try_is_stored_and_counts_as_no_retrieval(
    project: Project, curator: Actor
) -> None:
    record = make_verified(project, "The bolus cap is 45 mg", curator)
    found = context(project, trial=True)
    record.refresh_from_db()
    assert (texts(found), record.retrieval_count, Retrieval.objects.count()) == (
        ["The bolus cap is 45 mg"],
        0,
        0,
    )


def test_a_role_has_a_hard_budget(project: Project, curator: Actor, settings: Settings) -> None:
    settings.VEREL_ROLE_BUDGETS = {"repairer": 30}
    assert [budget_of("repairer"), budget_of("repairer", 9), budget_of("repairer", 99)] == [
        30,
        9,
        30,
    ]
    assert [budget_of("reviewer"), budget_of("reviewer", 99)] == [2_000, 99]
    for number in range(9):
        make_verified(project, f"Bolus cap number {number} of ward {number} is set", curator)
    found = context(project, role="repairer")
    assert found.result["policy"]["budget"] == 30
    assert 0 < found.tokens <= 30


def test_a_branch_brings_what_it_saw_and_did_last_through_its_lineage(
    project: Project, curator: Actor, agent: Actor
) -> None:
    trunk = make_run(project, goal="Cap the bolus")[1]
    append(trunk, make_draft("data.percept", {"sense": "dom", "text": "The button is hidden"}))
    append(trunk, make_draft("data.percept", {"sense": "dom", "text": "The button is seen"}))
    append(trunk, make_draft("data.tool.result", {"name": "pytest", "content": "3 passed"}))
    append(trunk, make_draft("data.tool.result", {"name": "fetch", "content": ORDER}))
    append(trunk, make_draft("data.tool.result", {"name": "cat", "content": mint_token(project)}))
    while project_batch(project_id=project.pk):
        pass
    make_verified(project, "The bolus cap is 45 mg", curator)
    found = context(project, role="repairer", branch_id=trunk.pk)
    assert texts(found) == [
        "role: repairer",
        "The bolus cap is 45 mg",
        "pytest progressed: 3 passed [src:agent episode]",
        "The button is seen [src:dom percept]",
    ]
    assert found.result["branch"] == str(trunk.pk)
    left = {one["says"] for one in found.result["left_out"]}
    assert len(left) == 2, "an order, and a canary"
    assert not any("text" in one for one in found.result["left_out"])
    assert Retrieval.objects.count() == 1
    elsewhere = make_run(make_project())[1]
    with pytest.raises(BadInput):
        context(project, branch_id=elsewhere.pk)
    with pytest.raises(NotFound):
        assemble_context(project_id=project.pk, actor=agent, branch_id=elsewhere.pk)
