"""Claims, drafts, skips: what one reviewer's seat does to the others."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from tests.inbox.make import make_item
from tests.make import make_person, make_project
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.inbox.claims import (
    AlreadyAnswered,
    ClaimLost,
    SeatTaken,
    Wanted,
    claim_item,
    claim_next,
    heartbeat_claim,
    keep_draft,
    read_draft,
    release_claim,
    requeue_item,
    skip_item,
)
from verel_site.inbox.decisions import (
    ItemMoved,
    ReasonMissing,
    decide_item,
    decide_many,
    record_decision,
    sweep_answers,
    undo_decision,
)
from verel_site.inbox.items import (
    BadAssignee,
    ItemClosed,
    assign_item,
    close_item,
    comment_item,
    post_item,
)
from verel_site.inbox.models import Claim, Decision, Item
from verel_site.kit.refusals import Forbidden, NotFound

pytestmark = pytest.mark.django_db


def lapse(claim: Claim) -> None:
    Claim.objects.filter(pk=claim.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def give(item: Item, actor: Actor, answer: str = "yes", **extra: object) -> Decision:
    return decide_item(
        item_id=item.pk,
        actor=actor,
        answer=answer,
        digest=item.digest,
        **extra,  # type: ignore[arg-type]  # a claim or fields
    )


def test_posting_the_same_again_gives_the_same_item(project: Project) -> None:
    subject = uuid4()
    first = make_item(project.pk, subject_id=subject)
    assert make_item(project.pk, subject_id=subject, title="another").pk == first.pk
    newer = make_item(project.pk, subject_id=subject, subject_digest=b"\x02")
    first.refresh_from_db()
    assert newer.pk != first.pk
    assert first.state == Item.State.CLOSED


def test_a_held_item_is_told_with_the_time_at_which_it_frees(
    project: Project, ada: Actor, tom: Actor
) -> None:
    item = make_item(project.pk)
    claim_item(item_id=item.pk, actor=ada)
    with pytest.raises(SeatTaken) as refused:
        claim_item(item_id=item.pk, actor=tom)
    assert refused.value.detail.startswith("1 held by others, next frees in ")
    assert claim_next(actor=tom) is None


def test_who_holds_a_seat_is_given_it_again_and_keeps_the_token(
    project: Project, ada: Actor
) -> None:
    item = make_item(project.pk)
    make_item(project.pk)
    claim = claim_item(item_id=item.pk, actor=ada)
    again = claim_next(actor=ada)
    assert again is not None
    assert again.pk == claim.pk


def test_a_lapsed_claim_lives_again_unless_its_seat_was_taken(
    project: Project, ada: Actor, tom: Actor
) -> None:
    item = make_item(project.pk)
    claim = claim_item(item_id=item.pk, actor=ada)
    lapse(claim)
    assert heartbeat_claim(item_id=item.pk, actor=ada, token=claim.pk).expires_at > timezone.now()
    lapse(claim)
    claim_item(item_id=item.pk, actor=tom)
    keep_draft(item_id=item.pk, actor=ada, body={"rationale": "half a thought"})
    with pytest.raises(ClaimLost):
        heartbeat_claim(item_id=item.pk, actor=ada, token=claim.pk)
    with pytest.raises(ClaimLost):
        give(item, ada, claim=claim.pk)
    assert ada.user_id is not None
    assert read_draft(item.pk, ada.user_id) == {"rationale": "half a thought"}
    assert not Decision.objects.exists()


def test_an_answer_under_a_lapsed_claim_counts_while_nobody_took_the_seat(
    project: Project, ada: Actor
) -> None:
    item = make_item(project.pk)
    claim = claim_item(item_id=item.pk, actor=ada)
    lapse(claim)
    assert give(item, ada, claim=claim.pk).counted
    item.refresh_from_db()
    assert (item.scored, item.state) == (1, Item.State.DONE)


def test_another_persons_token_is_worth_nothing(project: Project, ada: Actor, tom: Actor) -> None:
    item = make_item(project.pk, required=2)
    claim = claim_item(item_id=item.pk, actor=ada)
    with pytest.raises(ClaimLost):
        give(item, tom, claim=claim.pk)
    release_claim(item_id=item.pk, actor=tom, token=claim.pk)
    assert Claim.objects.filter(pk=claim.pk).exists()


def test_nobody_answers_twice_and_the_item_is_done_when_enough_did(
    project: Project, ada: Actor, tom: Actor
) -> None:
    item = make_item(project.pk, required=2)
    give(item, ada)
    with pytest.raises(AlreadyAnswered):
        give(item, ada)
    assert claim_next(actor=ada) is None
    give(item, tom, "no")
    with pytest.raises(ItemClosed):
        claim_item(item_id=item.pk, actor=make_person(project))


def test_the_answer_is_to_what_was_looked_at(project: Project, ada: Actor) -> None:
    item = make_item(project.pk)
    with pytest.raises(ItemMoved):
        decide_item(item_id=item.pk, actor=ada, answer="yes", digest="ff")


def test_a_skipped_item_comes_back_when_it_is_requeued(
    project: Project, ada: Actor, tom: Actor
) -> None:
    item = make_item(project.pk)
    claim_item(item_id=item.pk, actor=ada)
    skip_item(item_id=item.pk, actor=ada)
    assert claim_next(actor=ada) is None
    other = claim_next(actor=tom)
    assert other is not None
    assert other.item_id == item.pk
    release_claim(item_id=item.pk, actor=tom, token=other.pk)
    requeue_item(item_id=item.pk, actor=ada)
    back = claim_next(actor=ada)
    assert back is not None
    assert back.item_id == item.pk


def test_next_goes_by_priority_then_age_within_what_is_wanted(project: Project, ada: Actor) -> None:
    old = make_item(project.pk, title="old dose")
    urgent = make_item(project.pk, title="urgent", priority=10)
    late = make_item(project.pk, title="late dose")
    order: list[UUID] = []
    while claim := claim_next(actor=ada, passing=list(order)):
        order.append(claim.item_id)
    assert order == [urgent.pk, old.pk, late.pk]
    for claim_row in Claim.objects.all():
        claim_row.delete()
    dose = claim_next(actor=ada, wanted=Wanted(text="LATE dose"))
    assert dose is not None
    assert dose.item_id == late.pk


def test_an_assigned_item_is_offered_to_its_assignee_alone(
    project: Project, ada: Actor, tom: Actor
) -> None:
    item = make_item(project.pk)
    assign_item(item_id=item.pk, actor=ada, assignee=tom.user_id)
    assert claim_next(actor=ada) is None
    assert claim_next(actor=tom) is not None
    viewer = make_person(project, Role.VIEWER)
    with pytest.raises(BadAssignee):
        assign_item(item_id=item.pk, actor=ada, assignee=viewer.user_id)


def test_a_party_to_it_neither_gets_it_nor_takes_it(project: Project, ada: Actor) -> None:
    assert ada.user_id is not None
    item = make_item(project.pk, barred=[ada.user_id])
    assert claim_next(actor=ada) is None
    with pytest.raises(Forbidden):
        claim_item(item_id=item.pk, actor=ada)
    requeue_item(item_id=item.pk, actor=ada)
    assert claim_next(actor=ada) is None


def test_who_may_not_decide_a_kind_does_not_get_at_its_items(project: Project) -> None:
    item = make_item(project.pk)
    with pytest.raises(Forbidden):
        claim_item(item_id=item.pk, actor=make_person(project, Role.VIEWER))
    stranger = make_person(make_project())
    with pytest.raises(NotFound):
        comment_item(item_id=item.pk, actor=stranger, text="hi")
    assert claim_next(actor=stranger) is None


def test_an_undone_answer_frees_its_seat_and_the_item_waits_again(
    project: Project, ada: Actor, tom: Actor
) -> None:
    item = make_item(project.pk)
    decision = give(item, ada)
    undo_decision(decision_id=decision.pk, actor=ada)
    item.refresh_from_db()
    assert (item.scored, item.state) == (0, Item.State.OPEN)
    second = give(item, ada, "no")
    Decision.objects.filter(pk=second.pk).update(created_at=timezone.now() - timedelta(seconds=11))
    with pytest.raises(ReasonMissing):
        undo_decision(decision_id=second.pk, actor=ada)
    with pytest.raises(Forbidden):
        undo_decision(decision_id=second.pk, actor=tom, reason="mine is better")
    undo_decision(decision_id=second.pk, actor=ada, reason="misread it")


def test_an_answer_given_at_the_subject_waits_for_a_seat_that_others_hold(
    project: Project, ada: Actor, tom: Actor
) -> None:
    item = make_item(project.pk)
    claim = claim_item(item_id=item.pk, actor=ada)
    at_the_subject = {"project_id": project.pk, "kind": "plain", "subject_id": item.subject}
    told = record_decision(**at_the_subject, actor=tom, answer="no")  # type: ignore[arg-type]
    assert told is not None
    assert not told.counted
    assert sweep_answers() == 0
    lapse(claim)
    assert sweep_answers() == 1
    item.refresh_from_db()
    assert (item.scored, item.state) == (1, Item.State.DONE)


def test_what_settles_elsewhere_is_closed_with_its_reason(project: Project, ada: Actor) -> None:
    item = make_item(project.pk)
    claim = claim_item(item_id=item.pk, actor=ada)
    assert close_item(
        project_id=project.pk, kind="plain", subject_id=item.subject, because="It went away."
    )
    with pytest.raises(ItemClosed, match="It went away"):
        give(item, ada, claim=claim.pk)
    assert claim_next(actor=ada) is None


def test_in_bulk_only_what_the_kind_calls_safe(project: Project, ada: Actor) -> None:
    items = [make_item(project.pk) for _ in range(3)]
    pairs = [(item.pk, item.digest) for item in items]
    done, refused = decide_many(items=[*pairs, (items[0].pk, "ff")], actor=ada, answer="no")
    assert (len(done), len(refused)) == (3, 1)
    done, refused = decide_many(items=[(make_item(project.pk).pk, "01")], actor=ada, answer="yes")
    assert (len(done), len(refused)) == (0, 1)


def test_an_unknown_kind_is_a_fault_of_the_code(project: Project) -> None:
    with pytest.raises(LookupError):
        post_item(
            project_id=project.pk,
            kind="nobody knows",
            subject_id=uuid4(),
            subject_digest=b"",
            title="x",
        )
