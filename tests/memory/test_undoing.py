"""An answer is taken back: everything stands as before, and the question is asked again."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from memory.domain.archive import File, pack_files
from memory.domain.terms import Answer
from memory.edits import make_edit
from memory.models import PromotionDecision, PromotionRequest, Record, RefusedValue
from memory.promotion import ReasonNeeded, Said, decide_promotion
from memory.requests import PROMOTION, request_promotion
from memory.seals import holds
from memory.skills import upload_skill
from memory.states import FIELDS
from memory.undoing import undo_promotion
from tests.make import make_person, make_project
from tests.memory.make import CAP, answer, cite, make_fact, make_source, make_verified, propose
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.inbox.decisions import CannotUndo, decide_item, undo_decision
from verel_site.inbox.models import Item
from verel_site.kit.refusals import Forbidden, NotFound

pytestmark = pytest.mark.django_db


def stand(project: Project) -> list[dict[str, Any]]:
    return list(Record.objects.filter(project=project).order_by("position").values("pk", *FIELDS))


def asked(project: Project, curator: Actor) -> PromotionRequest:
    """Against a verified record, so that an answer moves two."""
    make_verified(project, "The cap is 45 mg", curator, **CAP, object="45 mg")
    source = cite(make_source(project))
    held = propose(project, "The cap is 50 mg", **CAP, object="50 mg", evidence=source).record
    return PromotionRequest.objects.get(record=held)


def give(request: PromotionRequest, actor: Actor, said: Answer, **more: Any) -> PromotionDecision:
    told = Said(
        said,
        bytes(request.content_digest),
        bytes(request.evidence_digest),
        reason="The sheet",
        **more,
    )
    return decide_promotion(request_id=request.pk, actor=actor, said=told).decision


@pytest.mark.parametrize("said", list(Answer))
def test_every_answer_is_taken_back_whole(project: Project, curator: Actor, said: Answer) -> None:
    request = asked(project, curator)
    more: dict[str, Any] = {}
    if said is Answer.EDIT:
        more["edit"] = make_edit(request.record, object="52 mg")
    if said is Answer.MERGE:
        more["into"] = make_fact(project, "The cap is 50 mg, says the sheet").record_id
    before, sources = stand(project), request.record.evidence.count()
    decision = give(PromotionRequest.objects.get(pk=request.pk), curator, said, **more)
    undo_promotion(decision_id=decision.pk, actor=curator)
    request.refresh_from_db()
    assert [row for row in stand(project) if row["standing"] != "buried"] == before
    assert (request.state, request.deferred_until) == ("open", None)
    assert request.record.evidence.count() == sources
    assert not RefusedValue.objects.filter(cleared_at=None).exists()
    item = Item.objects.get(kind=PROMOTION, subject=request.pk)
    assert item.state == "open"
    decision.refresh_from_db()
    assert decision.undone_by == curator.name
    assert AuditEntry.objects.filter(action="memory.undo").count() == 1
    again = give(request, curator, Answer.BURY)
    assert again.undone_at is None


def test_an_edit_of_what_has_no_key_is_taken_back_too(project: Project, curator: Actor) -> None:
    record = make_fact(project, "Nurses call it the push")
    before = stand(project)
    made = answer(record, curator, Answer.EDIT, edit=make_edit(record, text="They say push"))
    assert made.other is not None
    undo_promotion(decision_id=made.decision.pk, actor=curator)
    assert [row for row in stand(project) if row["standing"] != "buried"] == before


def test_the_inbox_takes_a_promotion_back_by_its_own_door(project: Project, curator: Actor) -> None:
    request = asked(project, curator)
    before = stand(project)
    item = Item.objects.get(kind=PROMOTION, subject=request.pk)
    decision = decide_item(item_id=item.pk, actor=curator, answer="promote", digest=item.digest)
    assert stand(project) != before
    undo_decision(decision_id=decision.pk, actor=curator)
    assert stand(project) == before
    item.refresh_from_db()
    assert item.state == "open"


def test_within_ten_seconds_no_reason_is_needed_and_later_it_is(
    project: Project, curator: Actor
) -> None:
    decision = give(asked(project, curator), curator, Answer.PROMOTE)
    PromotionDecision.objects.update(created_at=timezone.now() - timedelta(seconds=11))
    with pytest.raises(ReasonNeeded):
        undo_promotion(decision_id=decision.pk, actor=curator)
    undo_promotion(decision_id=decision.pk, actor=curator, reason="A misread line")
    with pytest.raises(CannotUndo):
        undo_promotion(decision_id=decision.pk, actor=curator, reason="Again")


def test_another_persons_answer_is_taken_back_by_an_admin_alone(
    project: Project, curator: Actor
) -> None:
    decision = give(asked(project, curator), curator, Answer.PROMOTE)
    with pytest.raises(Forbidden):
        undo_promotion(
            decision_id=decision.pk, actor=make_person(project, Role.CURATOR), reason="x"
        )
    stranger = make_person(make_project(), Role.ADMIN)
    with pytest.raises(NotFound):
        undo_promotion(decision_id=decision.pk, actor=stranger, reason="x")
    undo_promotion(decision_id=decision.pk, actor=make_person(project, Role.ADMIN), reason="x")


def test_what_moved_since_is_not_taken_back(project: Project, curator: Actor) -> None:
    request = asked(project, curator)
    decision = give(request, curator, Answer.PROMOTE)
    other = Record.objects.exclude(pk=request.record_id).get()
    answer(other, curator, Answer.PROMOTE)
    with pytest.raises(CannotUndo):
        undo_promotion(decision_id=decision.pk, actor=curator)


def test_a_promoted_skill_is_signed_and_a_moved_one_does_not_hold(
    project: Project, curator: Actor
) -> None:
    text = b"---\nname: capping\ndescription: Caps the dose\n---\n"
    packed = pack_files([File("SKILL.md", text)], folder="capping")
    skill = upload_skill(project_id=project.pk, actor=SYSTEM, archive=packed).record
    assert not holds(skill)
    answer(skill, curator, Answer.PROMOTE)
    assert holds(skill)
    assert skill.seal["by"] == curator.name
    for wrong in (
        {"by": "somebody"},
        {"signature": "00" * 64},
        {"signature": "zz"},
        {"key": "11" * 32},
    ):
        seal = skill.seal
        skill.seal = seal | wrong
        assert not holds(skill), wrong
        skill.seal = seal
    skill.digest = b"\1" * 32
    assert not holds(skill)


def test_another_secret_is_another_key(project: Project, curator: Actor, settings: Any) -> None:
    fact = make_fact(project, "A fact is not signed")
    answer(fact, curator, Answer.PROMOTE)
    assert fact.seal == {}
    text = b"---\nname: capping\ndescription: Caps the dose\n---\n"
    packed = pack_files([File("SKILL.md", text)], folder="capping")
    skill = upload_skill(project_id=project.pk, actor=SYSTEM, archive=packed).record
    answer(skill, curator, Answer.PROMOTE)
    settings.SECRET_KEY = "quite another secret of some length"
    assert not holds(skill)


def test_the_page_offers_the_undo_after_an_answer(project: Project, curator: Actor) -> None:
    record = make_fact(project, "Ward 1 has a pump")
    request_promotion(record_id=record.record_id, actor=SYSTEM)
    client = Client()
    assert curator.user_id is not None
    client.force_login(User.objects.get(pk=curator.user_id))
    form = {"answer": "promote", "content_digest": bytes(record.digest).hex()}
    answered = client.post(f"/p/{project.slug}/memory/{record.number}/decide/", form)
    page = client.get(answered.headers["Location"]).content.decode()
    assert "Undo" in page
    decision = PromotionDecision.objects.get()
    undone = client.post(
        f"/p/{project.slug}/memory/{record.number}/undo/", {"decision": decision.pk}
    )
    assert undone.status_code == 302
    record.refresh_from_db()
    assert record.trust == "unverified"
    again = client.post(
        f"/p/{project.slug}/memory/{record.number}/undo/", {"decision": decision.pk}
    )
    assert again.status_code == 409
    page = client.get(f"/p/{project.slug}/memory/{record.number}/").content.decode()
    assert "takes that back" in page
