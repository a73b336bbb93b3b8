"""Answers to items: given by one door, recorded once a reviewer, and taken back."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.inbox.claims import (
    AlreadyAnswered,
    check_answerable,
    check_claim,
    claim_item,
    forget_draft,
    lock_item,
    seat_of,
)
from verel_site.inbox.items import OPEN, ItemClosed, close_item, read_item, read_reviewer
from verel_site.inbox.kinds import Given, Kind, find_kind
from verel_site.inbox.models import Absence, Claim, Decision, Item
from verel_site.inbox.seats import Free
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable

UNDO_SECONDS: Final = 10
MAX_BULK: Final = 200


class ItemMoved(Refusal):
    code = "item_moved"
    title = "This is not what you looked at"


class AnswerUnknown(Unprocessable):
    code = "answer_unknown"
    title = "It does not take this answer"


class NotInBulk(Unprocessable):
    code = "not_in_bulk"
    title = "This is answered one by one"


class CannotUndo(Refusal):
    code = "cannot_undo"
    title = "It cannot be taken back"


class ReasonMissing(Unprocessable):
    code = "reason_missing"
    title = "Say why"


def decide_item(
    *,
    item_id: UUID,
    actor: Actor,
    answer: str,
    digest: str,
    fields: Mapping[str, Any] | None = None,
    claim: UUID | None = None,
) -> Decision:
    """Carries one answer out, by the kind's own action, and records it.

    `digest` is that of what was looked at. Without a `claim` a seat is taken first; it stays taken
    if the answer is then refused. Refused with nothing done: ClaimLost, SeatTaken, ItemClosed,
    AlreadyAnswered, ItemMoved, and whatever the subject refuses.
    """
    item = read_item(actor=actor, item_id=item_id)
    reviewer = read_reviewer(actor)
    if digest != item.digest:
        raise ItemMoved("Read it again; its digest is another.")
    kind = find_kind(item.kind)
    if kind.answer_words and answer not in kind.answer_words:
        raise AnswerUnknown(f"It takes {', '.join(kind.answer_words)}.", pointer="/answer")
    # A transaction of its own: within the answer's, branches and projects are locked before items,
    # as by every action that settles one from outside.
    token = claim or claim_item(item_id=item_id, actor=actor).pk
    return _carry_out(Given(item, actor, answer, fields or {}, token), kind, reviewer, token)


@transaction.atomic
def _carry_out(given: Given, kind: Kind, reviewer: int, token: UUID) -> Decision:
    item = given.item
    # Looked at without a lock, to spare work for nothing; `_record` looks again with it.
    check_answerable(item, reviewer)
    check_claim(item, reviewer, token)
    result = kind.decide(given)
    standing = Decision.objects.filter(item=item, reviewer_id=reviewer, undone_at=None).first()
    if standing is not None:
        return standing
    reason = str(given.fields.get("rationale") or given.fields.get("text") or "")
    return _record(item, given.actor, given.answer, result, reason, token, settles=False)


@transaction.atomic
def record_decision(
    *,
    project_id: UUID,
    kind: str,
    subject_id: UUID,
    actor: Actor,
    answer: str,
    result: Mapping[str, Any] | None = None,
    reason: str = "",
    claim: UUID | None = None,
    settles: bool = False,
) -> Decision | None:
    """What an action on the subject calls, whichever door it was reached by. Call it last: it
    locks the item.

    `settles` says that this one answer ends the waiting, whoever holds seats. With a `claim` the
    answer must have a seat (ClaimLost); without, one that has none is recorded and not counted. None when nothing of the subject waits, or no person answers.
    """
    same = Item.objects.filter(project_id=project_id, kind=kind, subject=subject_id, state=OPEN)
    item = same.order_by("-created_at").first()
    if item is None:
        if claim is not None:
            raise ItemClosed("It was answered, or settled elsewhere.")
        return None
    if actor.user_id is None:
        if settles:
            close_item(
                project_id=project_id,
                kind=kind,
                subject_id=subject_id,
                because=f"{actor.name} answered: {answer}.",
            )
        return None
    return _record(item, actor, answer, result or {}, reason, claim, settles=settles)


def _record(
    item: Item,
    actor: Actor,
    answer: str,
    result: Mapping[str, Any],
    reason: str,
    claim: UUID | None,
    *,
    settles: bool,
) -> Decision:
    assert actor.user_id is not None
    reviewer = actor.user_id
    locked = lock_item(item.pk)
    if locked is None or locked.state != OPEN:
        raise ItemClosed("It was answered, or settled elsewhere.")
    counted = _has_seat(locked, reviewer, claim, settles=settles)
    try:
        with transaction.atomic():
            decision = Decision.objects.create(
                project_id=locked.project_id,
                item=locked,
                reviewer_id=reviewer,
                answer=answer,
                reason=reason,
                digest=locked.digest,
                result=dict(result),
                counted=counted,
            )
    except IntegrityError as error:
        raise AlreadyAnswered("Undo your answer before you give another.") from error
    _count(locked, reviewer, counted=counted, settles=settles)
    return decision


def _has_seat(item: Item, reviewer: int, claim: UUID | None, *, settles: bool) -> bool:
    if claim is not None:
        check_claim(item, reviewer, claim)
        return True
    return settles or isinstance(seat_of(item, reviewer, timezone.now()), Free)


def _count(item: Item, reviewer: int, *, counted: bool, settles: bool) -> None:
    """Moves the item on. The caller holds its row."""
    now = timezone.now()
    item.scored += int(counted)
    item.touched_at = now
    Claim.objects.filter(item=item, reviewer_id=reviewer).delete()
    Absence.objects.filter(item=item, reviewer_id=reviewer, barred=False).delete()
    forget_draft(item.pk, reviewer)
    if settles or item.scored >= item.required:
        item.state, item.closed_at = Item.State.DONE.value, now
        Claim.objects.filter(item=item).delete()
    item.save(update_fields=["scored", "touched_at", "state", "closed_at"])


@dataclass(frozen=True, slots=True)
class Refused:
    item_id: UUID
    why: str


def decide_many(
    *, items: Collection[tuple[UUID, str]], actor: Actor, answer: str
) -> tuple[list[Decision], list[Refused]]:
    """One answer to many items (id and digest of each), where their kinds call that safe. Each
    stands alone: what is refused is told, and holds nothing else back."""
    if len(items) > MAX_BULK:
        raise NotInBulk(f"At most {MAX_BULK} at once.")
    done: list[Decision] = []
    refused: list[Refused] = []
    for item_id, digest in items:
        try:
            item = read_item(actor=actor, item_id=item_id)
            if answer not in find_kind(item.kind).bulk:
                raise NotInBulk("Its kind does not take this answer in bulk.")
            done.append(decide_item(item_id=item_id, actor=actor, answer=answer, digest=digest))
        except Refusal as refusal:
            refused.append(Refused(item_id, f"{refusal.title}. {refusal.detail}"))
    return done, refused


@transaction.atomic
def undo_decision(*, decision_id: UUID, actor: Actor, reason: str = "") -> Decision:
    """Takes an answer back by the kind's own undo. Within UNDO_SECONDS one's own needs no reason;
    later it does, and another person's needs an admin."""
    decision = Decision.objects.select_related("item").filter(pk=decision_id).first()
    if decision is None or decision.project_id not in actor.projects:
        raise NotFound(f"There is no decision {decision_id} that you may see.")
    kind = find_kind(decision.item.kind)
    actor.demand(decision.project_id, kind.right)
    own = decision.reviewer_id == actor.user_id
    if not own:
        actor.demand(decision.project_id, Right.ADMINISTER)
    if kind.undo is None:
        raise CannotUndo("What was told to the agent cannot be called back.")
    late = timezone.now() > decision.created_at + timedelta(seconds=UNDO_SECONDS)
    if (late or not own) and not reason.strip():
        raise ReasonMissing("It is past its undo: say why you take it back.", pointer="/reason")
    if decision.undone_at is not None:
        raise CannotUndo("It was taken back already.")
    kind.undo(decision, actor, reason)
    lock_project(project_id=decision.project_id)
    take_back(decision, actor, reason)
    record_act(
        project_id=decision.project_id,
        actor=actor,
        action="inbox.undo",
        subject=f"item:{decision.item_id}",
        before={"decision": str(decision.pk), "answer": decision.answer},
        reason=reason.strip(),
    )
    decision.refresh_from_db()
    return decision


def take_back(decision: Decision, actor: Actor, reason: str) -> None:
    """The answer stands no more, and its seat is free; a no-op the second time."""
    item = lock_item(decision.item_id)
    assert item is not None
    now = timezone.now()
    if (
        Decision.objects.filter(pk=decision.pk, undone_at=None).update(
            undone_at=now, undone_by=actor.name, undone_reason=reason
        )
        != 1
    ):
        return
    item.scored -= int(decision.counted)
    item.touched_at = now
    if item.state == Item.State.DONE:
        item.state, item.closed_at = OPEN, None
    item.save(update_fields=["scored", "touched_at", "state", "closed_at"])


@transaction.atomic
def withdraw_decision(
    *, project_id: UUID, kind: str, subject_id: UUID, reviewer_id: int, actor: Actor, reason: str
) -> None:
    """What an action that takes an answer back at the subject itself calls, last of all."""
    standing = Decision.objects.filter(
        project_id=project_id,
        item__kind=kind,
        item__subject=subject_id,
        reviewer_id=reviewer_id,
        undone_at=None,
    )
    for decision in standing:
        take_back(decision, actor, reason)


@transaction.atomic
def count_waiting_answers(*, item_id: UUID) -> int:
    """Lets answers that came without a seat take those that have since become free."""
    item = lock_item(item_id)
    if item is None or item.state != OPEN:
        return 0
    counted = 0
    waiting = Decision.objects.filter(item=item, counted=False, undone_at=None)
    for decision in waiting.order_by("created_at"):
        if isinstance(seat_of(item, decision.reviewer_id, timezone.now()), Free):
            Decision.objects.filter(pk=decision.pk).update(counted=True)
            _count(item, decision.reviewer_id, counted=True, settles=False)
            counted += 1
    return counted


def sweep_answers(limit: int = 200) -> int:
    """Counts answers that wait for a seat; see `count_waiting_answers`."""
    waiting = Decision.objects.filter(counted=False, undone_at=None, item__state=OPEN)
    ids = list(waiting.values_list("item_id", flat=True).distinct()[:limit])
    return sum(count_waiting_answers(item_id=item_id) for item_id in ids)
