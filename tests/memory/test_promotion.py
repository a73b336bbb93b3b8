from typing import Any

import pytest
from django.utils import timezone

from memory.domain.terms import Answer, Standing, Trust
from memory.edits import make_edit
from memory.facts import make_fact as draft_fact
from memory.models import PromotionDecision, PromotionRequest, Record
from memory.promotion import PromotionClosed, ReasonNeeded, Said, decide_many, decide_promotion
from memory.record_detail import read_record
from memory.refused import ValueRefused
from memory.requests import PROMOTION, CannotAnswer, NoGate, PromotionVoid, request_promotion
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
from tests.verdicts.make import SUITE, make_runner, push, push_proven
from verdicts.admission import admit_merge
from verdicts.models import GateDecision
from verdicts.suites import freeze_suite, retire_suite
from verel_site.access.actors import SYSTEM, Actor, key_actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.inbox.models import Item
from verel_site.inbox.sweeps import sweep_inbox
from verel_site.kit.refusals import Forbidden, NotFound

pytestmark = pytest.mark.django_db


def ask(record: Record) -> PromotionRequest:
    return request_promotion(record_id=record.record_id, actor=SYSTEM)


def said(request: PromotionRequest, told: Answer, reason: str = "", **more: Any) -> Said:
    return Said(
        told,
        bytes(request.content_digest),
        bytes(request.evidence_digest),
        reason=reason,
        **more,
    )


def test_a_person_promotes_and_the_audit_log_names_person_reason_and_digest(
    project: Project, curator: Actor
) -> None:
    record = make_corroborated(project, "The cap is 45 mg", **CAP, object="45 mg")
    request = ask(record)
    told = said(request, Answer.PROMOTE, "Checked against the label", scope="global")
    decided = decide_promotion(request_id=request.pk, actor=curator, said=told)
    record.refresh_from_db()
    assert (record.trust, record.tier, record.scope) == ("verified", "global", "global")
    entry = AuditEntry.objects.filter(action="memory.promote").get()
    assert (entry.actor_name, entry.reason) == (curator.name, "Checked against the label")
    assert bytes(record.digest).hex() in bytes(entry.body).decode()
    assert (decided.decision.trust_before, decided.decision.trust_after) == (
        "corroborated",
        "verified",
    )
    with pytest.raises(PromotionClosed, match="promote"):
        decide_promotion(request_id=request.pk, actor=curator, said=told)


def test_a_key_proposes_and_never_decides_not_even_an_admins(project: Project) -> None:
    record = make_fact(project, "The cap is 45 mg")
    request = ask(record)
    key = key_actor(key_id="k", name="k", project_id=project.pk, scopes=["admin", "memory:propose"])
    for actor in (key, SYSTEM):
        with pytest.raises(Forbidden):
            decide_promotion(request_id=request.pk, actor=actor, said=said(request, Answer.PROMOTE))
    with pytest.raises(Forbidden):
        decide_promotion(
            request_id=request.pk, actor=make_person(project), said=said(request, Answer.PROMOTE)
        )
    stranger = make_person(make_project(), Role.ADMIN)
    with pytest.raises(NotFound):
        decide_promotion(request_id=request.pk, actor=stranger, said=said(request, Answer.PROMOTE))
    assert not PromotionDecision.objects.exists()


def test_evidence_that_comes_in_voids_the_request_and_names_the_fresh_one(
    project: Project, curator: Actor
) -> None:
    record = make_fact(project, "The cap is 45 mg", evidence=cite(make_source(project)))
    request = ask(record)
    looked_at = said(request, Answer.PROMOTE)
    propose(project, "The cap is 45 mg", evidence=cite(make_source(project)))
    with pytest.raises(PromotionVoid) as caught:
        decide_promotion(request_id=request.pk, actor=curator, said=looked_at)
    request.refresh_from_db()
    assert request.state == "void"
    fresh = PromotionRequest.objects.get(pk=caught.value.extra["fresh"])
    assert (fresh.state, len(fresh.evidence)) == ("open", 2)
    decide_promotion(request_id=fresh.pk, actor=curator, said=said(fresh, Answer.PROMOTE))


def test_a_conflict_that_changed_voids_the_request_too(project: Project, curator: Actor) -> None:
    record = make_corroborated(project, "The cap is 45 mg", **CAP, object="45 mg")
    request = ask(record)
    propose(project, "It is 50 mg", **CAP, object="50 mg")
    with pytest.raises(PromotionVoid, match=r"Another record|sources"):
        decide_promotion(request_id=request.pk, actor=curator, said=said(request, Answer.PROMOTE))
    record.refresh_from_db()
    assert record.trust == "corroborated"


def test_an_answer_to_another_content_is_refused(project: Project, curator: Actor) -> None:
    record = make_fact(project, "The cap is 45 mg")
    request = ask(record)
    with pytest.raises(PromotionVoid, match="another content"):
        decide_promotion(request_id=request.pk, actor=curator, said=Said(Answer.PROMOTE, bytes(32)))
    with pytest.raises(PromotionVoid, match="other evidence"):
        decide_promotion(
            request_id=request.pk,
            actor=curator,
            said=Said(Answer.PROMOTE, bytes(record.digest), bytes(32)),
        )


def test_a_held_contradiction_that_is_promoted_takes_the_place_of_the_verified_one(
    project: Project, curator: Actor
) -> None:
    old = make_verified(project, "The cap is 45 mg", curator, **CAP, object="45 mg")
    new = propose(project, "It is 50 mg", **CAP, object="50 mg").record
    request = PromotionRequest.objects.get(record=new)
    assert [one["label"] for one in request.conflicts] == [old.label]
    decide_promotion(request_id=request.pk, actor=curator, said=said(request, Answer.PROMOTE))
    old.refresh_from_db()
    new.refresh_from_db()
    assert (new.standing, new.trust) == ("live", "verified")
    assert (old.standing, old.suppressed_by, old.trust) == ("suppressed", new, "verified")


def test_an_edit_is_a_new_version_by_the_person_and_the_old_one_is_kept(
    project: Project, curator: Actor
) -> None:
    record = make_corroborated(project, "The cap is 50 mg", **CAP, object="50 mg")
    request = PromotionRequest.objects.filter(record=record).first() or ask(record)
    edit = draft_fact(text="The cap is 45 mg under 40 kg", scope="team", **CAP, object="45 mg")
    decided = decide_promotion(
        request_id=request.pk, actor=curator, said=said(request, Answer.EDIT, edit=edit)
    )
    made = decided.other
    assert made is not None
    record.refresh_from_db()
    assert (made.version, made.supersedes, made.by_name) == (2, record, curator.name)
    assert (made.trust, made.standing) == ("verified", "live")
    assert (record.standing, record.suppressed_by, record.text) == (
        "suppressed",
        made,
        "The cap is 50 mg",
    )


def test_a_merge_gives_the_sources_to_the_other(project: Project, curator: Actor) -> None:
    one = make_fact(project, "Ward pumps reject 2.3", evidence=cite(make_source(project)))
    other = make_fact(
        project, "Firmware 2.3 fails on the ward", evidence=cite(make_source(project))
    )
    answer(one, curator, Answer.MERGE, "The same", into=other.record_id)
    other.refresh_from_db()
    assert (other.support_count, other.evidence.count()) == (2, 2)
    assert (one.standing, one.suppressed_by) == (Standing.SUPPRESSED, other)
    with pytest.raises(CannotAnswer):
        answer(other, curator, Answer.MERGE, "x", into=other.record_id)
    third = make_fact(project, "It rejects firmware 2.3", evidence=cite(make_source(project)))
    believed = other.confidence
    merged = answer(third, curator, Answer.MERGE, "The same", into=other.record_id)
    other.refresh_from_db()
    assert (other.support_count, other.trust) == (3, "corroborated")
    assert other.confidence > believed
    undo_promotion(decision_id=merged.decision.pk, actor=curator)
    other.refresh_from_db()
    assert (other.support_count, other.trust, other.confidence) == (2, "unverified", believed)


def test_demotion_takes_one_step_and_brings_back_from_global(
    project: Project, curator: Actor
) -> None:
    record = make_corroborated(project, "The cap is 45 mg")
    answer(record, curator, Answer.PROMOTE, scope="global")
    answer(record, curator, Answer.DEMOTE, "The label changed")
    assert (record.trust, record.scope, record.tier) == ("corroborated", "team", "team")
    answer(record, curator, Answer.DEMOTE, "And nobody saw it")
    assert record.trust == Trust.UNVERIFIED
    unseen = make_verified(project, "Nurses call it the push", curator)
    answer(unseen, curator, Answer.DEMOTE, "No run speaks for it")
    assert unseen.trust == Trust.UNVERIFIED


def test_what_a_person_demoted_is_raised_by_as_many_runs_anew_and_not_by_the_next_one(
    project: Project, curator: Actor
) -> None:
    record = make_corroborated(project, "The cap is 45 mg")
    answer(record, curator, Answer.DEMOTE, "The three read the same wrong sheet")
    for trust in ("unverified", "unverified", "corroborated"):
        propose(project, "The cap is 45 mg", evidence=cite(make_source(project)))
        record.refresh_from_db()
        assert record.trust == trust
    assert record.support_count == 6


def test_bury_keeps_and_promotion_brings_back(project: Project, curator: Actor) -> None:
    record = make_fact(project, "The cap is 45 mg")
    answer(record, curator, Answer.BURY)
    assert record.standing == Standing.BURIED
    answer(record, curator, Answer.PROMOTE)
    assert record.standing == Standing.LIVE


def test_deferring_leaves_the_request_open_and_asks_again_when_its_time_is_over(
    project: Project, curator: Actor
) -> None:
    request = ask(make_fact(project, "The cap is 45 mg"))
    decide_promotion(request_id=request.pk, actor=curator, said=said(request, Answer.DEFER))
    request.refresh_from_db()
    assert request.state == "open"
    assert Item.objects.get(kind=PROMOTION).state == "done"
    sweep_inbox()
    assert Item.objects.count() == 1, "nobody is asked meanwhile"
    PromotionRequest.objects.update(deferred_until=timezone.now())
    sweep_inbox()
    request.refresh_from_db()
    assert request.state == "void"
    assert Item.objects.get(kind=PROMOTION, state="open").subject != request.pk


def test_an_answer_voids_what_was_asked_about_its_rivals_at_once(
    project: Project, curator: Actor
) -> None:
    make_verified(project, "The cap is 45 mg", curator, **CAP, object="45 mg")
    one = propose(project, "It is 50 mg", **CAP, object="50 mg").record
    other = propose(project, "It is 52 mg", **CAP, object="52 mg").record
    asked = PromotionRequest.objects.get(record=one, state="open")
    answer(other, curator, Answer.PROMOTE)
    asked.refresh_from_db()
    assert (asked.state, asked.void_reason) == (
        "void",
        "Another record of its key changed after it was asked about.",
    )
    fresh = PromotionRequest.objects.get(record=one, state="open")
    assert {row["standing"] for row in fresh.conflicts} == {"live", "suppressed"}
    assert Item.objects.get(kind=PROMOTION, state="open").subject == fresh.pk


def test_two_of_one_batch_that_contradict_each_other_are_not_settled_by_their_order(
    project: Project, curator: Actor
) -> None:
    make_verified(project, "The cap is 45 mg", curator, **CAP, object="45 mg")
    rivals = [
        propose(project, f"It is {dose} mg", **CAP, object=f"{dose} mg").record for dose in (50, 52)
    ]
    told = [(row.record_id, Said(Answer.PROMOTE, bytes(row.digest))) for row in rivals]
    rows = decide_many(actor=curator, said=told)
    assert [row.refusal and row.refusal.code for row in rows] == [None, "promotion_void"]
    assert Record.objects.get(standing="live").object == "50 mg"


@pytest.mark.parametrize("told", [Answer.REJECT, Answer.DEMOTE, Answer.MERGE])
def test_what_takes_something_away_needs_a_reason(
    project: Project, curator: Actor, told: Answer
) -> None:
    record = make_fact(project, "The cap is 45 mg")
    with pytest.raises(ReasonNeeded):
        answer(record, curator, told, "  ")


def test_a_refused_record_cannot_be_promoted(project: Project, curator: Actor) -> None:
    record = make_fact(project, "The cap is 500 mg")
    answer(record, curator, Answer.REJECT, "Deadly")
    with pytest.raises(CannotAnswer, match="refused for ever"):
        answer(record, curator, Answer.PROMOTE)


def test_bulk_tells_each_row_and_leaves_what_is_refused_as_it_was(
    project: Project, curator: Actor
) -> None:
    good = make_fact(project, "The cap is 45 mg")
    moved = make_fact(project, "Nurses call it the push")
    elsewhere = make_fact(make_project(), "Not yours")
    rows = decide_many(
        actor=curator,
        said=[
            (good.record_id, Said(Answer.BURY, bytes(good.digest))),
            (moved.record_id, Said(Answer.BURY, bytes(32))),
            (elsewhere.record_id, Said(Answer.BURY, bytes(elsewhere.digest))),
        ],
    )
    assert [row.refusal and row.refusal.code for row in rows] == [
        None,
        "promotion_void",
        "not_found",
    ]
    standings = {row.pk: row.standing for row in Record.objects.all()}
    assert standings == {good.pk: "buried", moved.pk: "live", elsewhere.pk: "live"}
    assert PromotionDecision.objects.count() == 1


def test_who_proposed_as_a_person_may_not_promote_where_duties_are_parted(
    project: Project, curator: Actor
) -> None:
    Project.objects.filter(pk=project.pk).update(separate_duties=True)
    record = make_fact(project, "The cap is 45 mg", actor=curator)
    with pytest.raises(Forbidden, match="somebody else"):
        answer(record, curator, Answer.PROMOTE)
    changed = make_edit(record, text="The cap is 46 mg")
    with pytest.raises(Forbidden, match="somebody else"):
        answer(record, curator, Answer.EDIT, edit=changed)
    other = make_person(project, Role.CURATOR)
    made = answer(record, other, Answer.EDIT, edit=changed).other
    assert made is not None
    assert (made.trust, made.standing) == ("unverified", "held"), "an edit is no way round"
    with pytest.raises(Forbidden, match="somebody else"):
        answer(made, other, Answer.PROMOTE)
    answer(made, curator, Answer.PROMOTE)
    record.refresh_from_db()
    assert (made.trust, made.standing) == ("verified", "live")
    assert (record.standing, record.suppressed_by) == ("suppressed", made)


def test_an_edit_that_changes_nothing_or_says_what_was_refused_is_none(
    project: Project, curator: Actor
) -> None:
    refused = make_fact(project, "The cap is 500 mg", **CAP, object="500 mg")
    answer(refused, curator, Answer.REJECT, "Deadly")
    record = make_fact(project, "The cap is 50 mg", **CAP, object="50 mg")
    with pytest.raises(CannotAnswer, match="changes nothing"):
        answer(record, curator, Answer.EDIT, edit=make_edit(record))
    with pytest.raises(ValueRefused, match="Deadly"):
        answer(record, curator, Answer.EDIT, edit=make_edit(record, object="500MG"))


def test_an_evaluation_backs_a_promotion_only_with_an_open_gate_and_a_receipt(
    project: Project, curator: Actor
) -> None:
    record = make_fact(project, "The cap is 45 mg")
    trunk = make_run(project)[1]
    append(trunk, make_message("assistant", "Done"))
    push(trunk)
    bare = GateDecision.objects.create(
        project=project,
        branch=trunk,
        head_digest=bytes(trunk.head_digest),
        policy_version=1,
        verdict="pass",
        open=True,
        by_kind="system",
        by_id="verel",
        by_name="Verel",
    )
    with pytest.raises(NoGate, match="receipt"):
        request_promotion(record_id=record.record_id, actor=SYSTEM, gate_decision=bare.pk)
    GateDecision.objects.filter(pk=bare.pk).update(open=False)
    with pytest.raises(NoGate, match="open"):
        request_promotion(record_id=record.record_id, actor=SYSTEM, gate_decision=bare.pk)


def test_a_receipt_of_a_frozen_suite_backs_a_promotion_which_falls_with_the_suite(
    project: Project, curator: Actor
) -> None:
    suite = freeze_suite(
        project_id=project.pk, actor=SYSTEM, grader="test", name="unit", digest=SUITE
    )
    record = make_fact(project, "The cap is 45 mg")
    trunk = make_run(project)[1]
    append(trunk, make_message("assistant", "Done"))
    push_proven(make_runner(project), trunk)
    admit_merge(winner=trunk, actor=SYSTEM)
    gate = GateDecision.objects.get(branch=trunk)
    request = request_promotion(record_id=record.record_id, actor=SYSTEM, gate_decision=gate.pk)
    assert request.gate["suite_digest"] == SUITE
    other = make_fact(project, "Nurses call it the push")
    waits = request_promotion(record_id=other.record_id, actor=SYSTEM, gate_decision=gate.pk)
    decide_promotion(request_id=request.pk, actor=curator, said=said(request, Answer.PROMOTE))
    record.refresh_from_db()
    assert (record.trust, record.suite_digest) == ("verified", SUITE)
    backed = read_record(actor=curator, record_id=record.record_id).evaluation
    assert backed is not None
    assert (backed.verdict, backed.suite, backed.receipt) == ("pass", "unit", "valid")
    retire_suite(suite_id=suite.pk, actor=curator, reason="It leaked")
    record.refresh_from_db()
    assert record.trust == "unverified"
    waits.refresh_from_db()
    assert (waits.state, waits.void_reason) == ("void", "The suite of its evaluation was retired.")
    assert PromotionRequest.objects.get(record=other, state="open").gate == {}


def test_what_was_verified_on_a_suite_falls_back_when_it_retires(
    project: Project, curator: Actor
) -> None:
    suite = freeze_suite(
        project_id=project.pk, actor=SYSTEM, grader="test", name="unit", digest=SUITE
    )
    record = make_corroborated(project, "The cap is 45 mg")
    answer(record, curator, Answer.PROMOTE)
    other = make_verified(project, "Nurses call it the push", curator)
    Record.objects.filter(pk=record.pk).update(suite_digest=SUITE)
    retire_suite(suite_id=suite.pk, actor=curator, reason="It leaked")
    record.refresh_from_db()
    other.refresh_from_db()
    assert (record.trust, record.suite_digest) == ("corroborated", "")
    assert other.trust == "verified"
    assert AuditEntry.objects.filter(action="memory.regress").count() == 1
