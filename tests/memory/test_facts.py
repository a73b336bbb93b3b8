from typing import Any
from uuid import uuid4

import pytest

from branches.models import Event
from memory.domain.terms import Answer, Grounding, Standing, Trust
from memory.evidence import BadEvidence
from memory.models import Evidence, PromotionRequest, Record
from memory.promotion import clear_refusal
from memory.records import BadRecord, Became, NotEntailed
from memory.refused import ValueRefused
from memory.requests import CannotAnswer
from memory.undoing import undo_promotion
from tests.make import append, make_message, make_person, make_project, make_run
from tests.memory.make import (
    CAP,
    answer,
    cite,
    make_corroborated,
    make_fact,
    make_source,
    make_verified,
    propose,
)
from tests.verdicts.make import push
from verel_site.access.actors import key_actor
from verel_site.access.rights import Role
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db


def test_a_fact_is_new_unverified_and_live_under_its_key() -> None:
    project = make_project()
    told = propose(project, " The cap  is 45 mg ", **CAP, object="45 mg")
    assert told.became is Became.NEW
    record = told.record
    assert (record.text, record.key) == ("The cap is 45 mg", "limits.bolus|max_dose")
    assert (record.trust, record.standing, record.label) == ("unverified", "live", "f-1")
    assert record.confidence == 0.25


def test_restating_is_support_and_never_a_second_record() -> None:
    project = make_project()
    first = make_fact(project, "The cap is 45 mg", **CAP, object="45 mg")
    for text in ("the cap is 45 MG", "Bolus doses stop at 45 mg"):
        told = propose(project, text, **CAP, object="45  mg", evidence=cite(make_source(project)))
        assert (told.became, told.record) == (Became.SUPPORT, first)
    first.refresh_from_db()
    assert Record.objects.count() == 1
    assert (first.support_count, first.trust) == (2, Trust.UNVERIFIED)
    propose(project, "The cap is 45 mg", **CAP, object="45 mg", evidence=cite(make_source(project)))
    first.refresh_from_db()
    assert (first.support_count, first.trust) == (3, Trust.CORROBORATED)
    # What three runs agree on is put before a person.
    assert PromotionRequest.objects.get(record=first).state == "open"


def test_a_near_duplicate_without_a_key_is_support_but_another_number_is_not() -> None:
    project = make_project()
    first = make_fact(project, "Bolus tests of the ward live in /spec")
    assert propose(project, "The bolus tests of the ward live in /spec.").record == first
    assert propose(project, "Bolus tests of the ward live in /tests").became is Became.NEW


def test_ten_sources_of_one_run_are_one_piece_of_support() -> None:
    project = make_project()
    trunk = make_run(project)[1]
    append(trunk, *(make_message("assistant", f"still 45 mg, {n}") for n in range(10)))
    events = Event.objects.filter(branch=trunk, seq__gt=1)
    record = make_fact(project, "The cap is 45 mg", evidence=cite(*events))
    assert Evidence.objects.filter(record=record).count() == 10
    assert (record.support_count, record.trust) == (1, "unverified")
    before = record.confidence
    propose(project, "The cap is 45 mg", evidence=cite(*events))
    record.refresh_from_db()
    assert (record.support_count, record.confidence) == (1, before)


def test_an_event_that_is_not_in_the_project_is_no_evidence() -> None:
    project = make_project()
    elsewhere = make_source(make_project())
    with pytest.raises(BadEvidence) as caught:
        propose(project, "The cap is 45 mg", evidence=cite(make_source(project), elsewhere))
    assert caught.value.pointer == "/evidence/1/event"
    assert not Record.objects.exists()


def test_a_fact_is_precise_only_with_a_precise_report_on_the_same_branch() -> None:
    project = make_project()
    event = make_source(project)
    report = push(event.branch)
    told = cite(event, report=report.pk)
    precise = make_fact(project, "The cap holds at 45 mg", evidence=told, entailment=0.9)
    assert precise.grounding == Grounding.PRECISE
    assert precise.confidence == pytest.approx(0.925)
    alone = make_fact(project, "The pump beeps twice", evidence=cite(event), entailment=0.99)
    assert alone.grounding == Grounding.INFERRED
    assert alone.confidence == pytest.approx(0.625)
    other = make_source(project)
    with pytest.raises(BadEvidence):
        make_fact(project, "It holds", evidence=cite(other, report=report.pk), entailment=0.9)
    with pytest.raises(BadEvidence):
        make_fact(project, "It holds", evidence=cite(other, report=uuid4()), entailment=0.9)


def test_what_its_source_does_not_support_is_dropped() -> None:
    project = make_project()
    with pytest.raises(NotEntailed):
        propose(project, "The cap is 45 mg", evidence=cite(make_source(project)), entailment=0.4)
    assert not Record.objects.exists()


def test_the_later_of_two_unverified_facts_speaks_and_the_other_is_kept() -> None:
    project = make_project()
    old = make_fact(project, "The cap is 45 mg", **CAP, object="45 mg")
    new = propose(
        project, "It is 50 mg", **CAP, object="50 mg", evidence=cite(make_source(project))
    )
    assert new.became is Became.NEW
    old.refresh_from_db()
    assert (old.standing, old.suppressed_by) == (Standing.SUPPRESSED, new.record)
    assert old.contradiction_count == 1
    assert old.confidence == pytest.approx(0.25 * 0.7)


def test_a_corroborated_fact_is_not_beaten_by_an_unverified_one() -> None:
    project = make_project()
    old = make_corroborated(project, "The cap is 45 mg", **CAP, object="45 mg")
    new = propose(project, "It is 50 mg", **CAP, object="50 mg")
    assert new.became is Became.SUPPRESSED
    assert new.record.suppressed_by == old


@pytest.mark.parametrize("scope", ["team", "repo:pump", "agent:fixer"])
def test_a_contradiction_of_a_verified_fact_waits_for_a_person_in_whatever_scope(
    scope: str,
) -> None:
    project = make_project()
    curator = make_person(project, Role.CURATOR)
    old = make_verified(project, "The cap is 45 mg", curator, **CAP, object="45 mg")
    events = [make_source(project) for _ in range(9)]
    confidence = old.confidence
    new = propose(
        project, "It is 50 mg", scope=scope, **CAP, object="50 mg", evidence=cite(*events)
    )
    assert new.became is Became.HELD
    assert new.record.held_for[0]["code"] == "contradicts_verified"
    old.refresh_from_db()
    assert (old.standing, old.trust, old.confidence) == ("live", "verified", confidence)
    assert PromotionRequest.objects.get(record=new.record).state == "open"


def test_a_refused_value_stays_refused_however_it_is_restated() -> None:
    project = make_project()
    curator = make_person(project, Role.CURATOR)
    keyed = make_fact(project, "The cap is 500 mg", **CAP, object="500 mg")
    answer(keyed, curator, Answer.REJECT, "A dose that kills")
    loose = make_fact(project, "Bolus tests live in /spec")
    answer(loose, curator, Answer.REJECT, "They do not")
    for told in (
        {"text": "Five hundred it is", **CAP, "object": " 500  MG "},
        {"text": "Five hundred it is", **CAP, "object": "500 mg", "scope": "repo:pump"},
        {"text": "Five hundred it is", **CAP, "object": '\N{LEFT DOUBLE QUOTATION MARK}500mg."'},
        {"text": "Five hundred it is", **CAP, "object": "500 m\N{ZERO WIDTH SPACE}g"},
        {"text": "THE CAP IS 500 mg"},
        {"text": "The cap is 500 mg", "subject": "cap", "predicate": "dose", "object": "500 mg"},
        {"text": "The bolus tests live in /spec."},
        {"text": "BOLUS  tests live in /spec", "scope": "agent:fixer"},
        {"text": "Bolus tests li\N{ZERO WIDTH SPACE}ve in /spec", "scope": "repo:pump"},
        {
            "text": "The bolus tests live in /spec",
            "subject": "bolus tests",
            "predicate": "live in",
            "object": "/spec",
        },
    ):
        with pytest.raises(ValueRefused, match=r"(kills|do not)"):
            propose(project, **told)
    assert propose(project, "The cap is 45 mg", **CAP, object="45 mg").became is Became.NEW
    assert propose(project, "Bolus tests live in /test").became is Became.NEW


def test_a_refusal_takes_with_it_what_says_the_same_elsewhere_but_nothing_verified() -> None:
    project = make_project()
    curator = make_person(project, Role.CURATOR)
    here = make_fact(project, "The cap is 500 mg", **CAP, object="500 mg")
    there = make_fact(project, "500 it is", **CAP, object="500mg", scope="repo:pump")
    vouched = make_verified(
        project, "As on the label", curator, **CAP, object="500 MG", scope="repo:ward"
    )
    with pytest.raises(CannotAnswer, match=f"{vouched.label} says the same in repo:ward"):
        answer(here, curator, Answer.REJECT, "A dose that kills")
    answer(vouched, curator, Answer.DEMOTE, "The label was wrong")
    decided = answer(here, curator, Answer.REJECT, "A dose that kills")
    standings = Record.objects.order_by("number").values_list("standing", flat=True)
    assert list(standings) == ["refused"] * 3
    undo_promotion(decision_id=decided.decision.pk, actor=curator)
    there.refresh_from_db()
    assert there.standing == "live"
    answer(here, curator, Answer.REJECT, "A dose that kills")
    clear_refusal(refused_id=here.refusals.get(cleared_at=None).pk, actor=curator, reason="Typo")
    assert list(standings.all()) == ["buried"] * 3


def test_only_a_curators_audited_act_clears_a_refusal() -> None:
    project = make_project()
    curator = make_person(project, Role.CURATOR)
    record = make_fact(project, "The cap is 500 mg", **CAP, object="500 mg")
    answer(record, curator, Answer.REJECT, "A dose that kills")
    refused = record.refusals.get()
    with pytest.raises(Forbidden):
        clear_refusal(refused_id=refused.pk, actor=make_person(project), reason="x")
    clear_refusal(refused_id=refused.pk, actor=curator, reason="It was a typing error")
    assert (
        propose(project, "The cap is 500 mg", **CAP, object="500 mg").record.trust == "unverified"
    )


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"text": "  "}, "/text"),
        ({"text": "x" * 2001}, "/text"),
        ({"text": "x", "subject": "a"}, "/subject"),
        ({"text": "x", "subject": "a", "predicate": "b"}, "/object"),
        ({"text": "x", "object": "b"}, "/object"),
        ({"text": "x", "scope": "somewhere"}, "/scope"),
        ({"text": "x", "scope": "global"}, "/scope"),
    ],
)
def test_what_is_no_fact_is_refused_at_its_field(fields: dict[str, Any], pointer: str) -> None:
    with pytest.raises(BadRecord) as caught:
        propose(make_project(), **fields)
    assert caught.value.pointer == pointer


def test_a_key_needs_the_scope_to_propose() -> None:
    project = make_project()
    reader = key_actor(key_id="a", name="a", project_id=project.pk, scopes=["context:read"])
    with pytest.raises(Forbidden):
        propose(project, "The cap is 45 mg", actor=reader)
    agent = key_actor(key_id="b", name="b", project_id=project.pk, scopes=["memory:propose"])
    assert propose(project, "The cap is 45 mg", actor=agent).record.by_kind == "key"
