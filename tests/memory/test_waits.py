"""A promotion in the inbox: posted, answered by its door, and closed when it moves."""

import pytest

from memory.domain.terms import Answer
from memory.models import PromotionRequest, Record
from memory.requests import PROMOTION, CannotAnswer, request_promotion
from tests.make import make_person
from tests.memory.make import CAP, answer, cite, make_fact, make_source, make_verified, propose
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.inbox.decisions import decide_item
from verel_site.inbox.kinds import find_kind
from verel_site.inbox.models import Decision, Item
from verel_site.inbox.sweeps import sweep_inbox
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db


def ask(project: Project, text: str = "Ward 1 has a pump") -> tuple[Record, Item]:
    record = make_fact(project, text)
    request = request_promotion(record_id=record.record_id, actor=SYSTEM)
    return record, Item.objects.get(kind=PROMOTION, subject=request.pk)


def give(item: Item, actor: Actor, said: str, **fields: str) -> Decision:
    return decide_item(item_id=item.pk, actor=actor, answer=said, digest=item.digest, fields=fields)


def test_a_request_is_an_item_and_its_answer_is_the_promotion(
    project: Project, curator: Actor
) -> None:
    record, item = ask(project)
    assert (item.state, item.title) == ("open", "Ward 1 has a pump")
    decision = give(item, curator, "promote")
    record.refresh_from_db()
    item.refresh_from_db()
    assert (record.trust, item.state) == ("verified", "done")
    assert decision.result == {"record": str(record.record_id), "trust": "verified"}
    assert PromotionRequest.objects.get().state == "decided"


def test_a_refusal_in_the_inbox_keeps_its_reason(project: Project, curator: Actor) -> None:
    record, item = ask(project)
    give(item, curator, "reject", text="It has none")
    record.refresh_from_db()
    assert record.standing == "refused"
    assert record.refusals.get().reason == "It has none"


def test_an_edit_and_a_merge_are_given_in_the_inbox_with_their_fields(
    project: Project, curator: Actor
) -> None:
    other = make_fact(project, "A pump stands in the first ward")
    record, item = ask(project)
    for into, code in ((str(other.pk), "no id"), ("", "nothing"), (str(record.record_id), "self")):
        with pytest.raises(CannotAnswer):
            give(item, curator, "merge", into=into, merge_reason=code)
    give(item, curator, "merge", into=str(other.record_id), merge_reason="The same")
    record.refresh_from_db()
    assert record.suppressed_by == other
    capped, item = ask(project, "The cap is 45 mg")
    give(item, curator, "edit", edit_text="The cap is 45 mg under 40 kg", scope="global")
    made = Record.objects.get(supersedes=capped)
    assert (made.text, made.trust, made.scope) == (
        "The cap is 45 mg under 40 kg",
        "verified",
        "global",
    )


def test_an_answer_on_the_records_page_settles_the_item(project: Project, curator: Actor) -> None:
    record, item = ask(project)
    answer(record, curator, Answer.BURY)
    item.refresh_from_db()
    assert item.state == "done"


def test_evidence_that_comes_in_closes_the_item_and_posts_the_fresh_one(
    project: Project, curator: Actor
) -> None:
    record, item = ask(project)
    propose(project, "Ward 1 has a pump", evidence=cite(make_source(project)))
    item.refresh_from_db()
    assert item.state == "closed"
    fresh = Item.objects.get(kind=PROMOTION, state="open")
    give(fresh, curator, "promote")
    record.refresh_from_db()
    assert record.trust == "verified"


def test_a_contradiction_says_so_beside_its_title(project: Project, curator: Actor) -> None:
    make_verified(project, "The cap is 45 mg", curator, **CAP, object="45 mg")
    propose(project, "The cap is 50 mg", **CAP, object="50 mg")
    assert Item.objects.get(kind=PROMOTION).flag == "contradicts a verified one"


def test_a_reviewer_without_the_right_to_curate_is_not_asked(project: Project) -> None:
    _, item = ask(project)
    with pytest.raises(Forbidden):
        give(item, make_person(project, Role.REVIEWER), "promote")


def test_who_proposed_it_is_barred_where_duties_are_parted(
    project: Project, curator: Actor
) -> None:
    Project.objects.filter(pk=project.pk).update(separate_duties=True)
    record = make_fact(project, "Ward 1 has a pump", actor=curator)
    request_promotion(record_id=record.record_id, actor=SYSTEM)
    item = Item.objects.get(kind=PROMOTION)
    assert [one.reviewer_id for one in item.absences.filter(barred=True)] == [curator.user_id]


def test_the_sweep_posts_what_has_no_item_and_closes_what_is_decided(
    project: Project, curator: Actor
) -> None:
    _, item = ask(project)
    Item.objects.all().delete()
    sweep_inbox()
    item = Item.objects.get(kind=PROMOTION)
    PromotionRequest.objects.update(state="decided")
    sweep_inbox()
    item.refresh_from_db()
    assert item.state == "closed"


def test_the_kind_shows_the_record_and_its_answers(project: Project, curator: Actor) -> None:
    _, item = ask(project)
    shown = find_kind(PROMOTION).show(item, curator, {})
    assert [one.value for one in shown.answers] == [
        "promote",
        "edit",
        "demote",
        "bury",
        "defer",
        "reject",
    ], "there is nothing to merge it into"
    assert shown.context["page"].line.text == "Ward 1 has a pump"
    assert shown.href.endswith("/memory/1/")
