"""Claims: who works on which item now. `scored + live claims < required`, in one transaction."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.expressions import Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from verel_site.access.actors import Actor
from verel_site.inbox.items import OPEN, ItemClosed, read_item, read_reviewer, touch_item
from verel_site.inbox.kinds import kinds_of
from verel_site.inbox.models import Absence, Claim, Decision, Draft, Item
from verel_site.inbox.seats import Filled, Free, Held, Seat, find_seat
from verel_site.kit import strict_json
from verel_site.kit.refusals import Forbidden, Refusal, Unprocessable

CLAIM_SECONDS: Final = 600
MAX_DRAFT: Final = 400_000


class SeatTaken(Refusal):
    code = "seat_taken"
    title = "Others are on it"


class ClaimLost(Refusal):
    code = "claim_lost"
    title = "Your claim has lapsed, and others have taken the item"


class AlreadyAnswered(Refusal):
    code = "already_answered"
    title = "You have answered this"


class BadDraft(Unprocessable):
    code = "bad_draft"
    title = "The draft cannot be kept"


def other_expiries(item_id: UUID, reviewer: int, now: datetime) -> list[datetime]:
    claims = Claim.objects.filter(item_id=item_id, expires_at__gt=now)
    return list(claims.exclude(reviewer_id=reviewer).values_list("expires_at", flat=True))


def lock_item(item_id: UUID) -> Item | None:
    return Item.objects.filter(pk=item_id).select_for_update(of=("self",), no_key=True).first()


def seat_of(item: Item, reviewer: int, now: datetime) -> Seat:
    """Call with the item's row locked: what is read is true until the transaction ends."""
    return find_seat(
        required=item.required,
        scored=item.scored,
        others=other_expiries(item.pk, reviewer, now),
        now=now,
    )


def refuse_seat(seat: Held | Filled, now: datetime) -> Refusal:
    if isinstance(seat, Filled):
        return ItemClosed("It has all the answers that it needs.")
    return SeatTaken(
        f"{tell_held(seat.by, seat.frees_at, now)}.", frees_at=seat.frees_at.isoformat()
    )


def tell_held(by: int, frees_at: datetime, now: datetime) -> str:
    """ "3 held by others, next frees in 2:10"."""
    seconds = max(0, round((frees_at - now).total_seconds()))
    return f"{by:,} held by others, next frees in {seconds // 60}:{seconds % 60:02}"


@transaction.atomic
def claim_item(*, item_id: UUID, actor: Actor) -> Claim:
    """A seat at the item for CLAIM_SECONDS. Who has one already keeps its token, and its time
    starts anew. Raises SeatTaken, ItemClosed or AlreadyAnswered."""
    item = read_item(actor=actor, item_id=item_id)
    reviewer = read_reviewer(actor)
    locked = lock_item(item.pk)
    assert locked is not None
    check_answerable(locked, reviewer)
    now = timezone.now()
    seat = seat_of(locked, reviewer, now)
    if not isinstance(seat, Free):
        raise refuse_seat(seat, now)
    return _take(locked, reviewer, now)


def check_answerable(item: Item, reviewer: int) -> None:
    if item.state != OPEN:
        raise ItemClosed(item.closed_because or "It has all the answers that it needs.")
    if Decision.objects.filter(item=item, reviewer_id=reviewer, undone_at=None).exists():
        raise AlreadyAnswered("Undo your answer before you give another.")
    if Absence.objects.filter(item=item, reviewer_id=reviewer, barred=True).exists():
        raise Forbidden("You are a party to this; somebody else must judge it.")


def _take(item: Item, reviewer: int, now: datetime) -> Claim:
    until = now + timedelta(seconds=CLAIM_SECONDS)
    live = Claim.objects.filter(item=item, reviewer_id=reviewer).first()
    if live is None:
        claim = Claim.objects.create(item=item, reviewer_id=reviewer, expires_at=until)
    elif live.expires_at > now:
        Claim.objects.filter(pk=live.pk).update(expires_at=until)
        live.expires_at = until
        claim = live
    else:
        live.delete()
        claim = Claim.objects.create(id=uuid4(), item=item, reviewer_id=reviewer, expires_at=until)
    touch_item(item.pk)
    return claim


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the inbox somebody works through; empty fields do not narrow it."""

    project_id: UUID | None = None
    kinds: tuple[str, ...] = ()
    mine: bool = False
    text: str = ""
    flag: str = ""


ALL: Final = Wanted()


def wanted_parts(actor: Actor, wanted: Wanted) -> Iterator[tuple[UUID, list[str]]]:
    """The projects, and the kinds in each, that the actor may decide and asks for."""
    for project_id in actor.projects:
        if wanted.project_id not in (None, project_id):
            continue
        names = [kind.name for kind in kinds_of(actor, project_id)]
        asked = [name for name in names if not wanted.kinds or name in wanted.kinds]
        if asked:
            yield project_id, asked


def narrow(items: QuerySet[Item], wanted: Wanted, reviewer: int) -> QuerySet[Item]:
    if wanted.mine:
        items = items.filter(assignee_id=reviewer)
    if wanted.flag:
        items = items.filter(flag=wanted.flag)
    for word in wanted.text.split()[:8]:
        items = items.filter(Q(title__icontains=word) | Q(about__icontains=word))
    return items


def waiting_for(items: QuerySet[Item], reviewer: int) -> QuerySet[Item]:
    """Open items that this reviewer has neither answered nor put aside."""
    answered = Decision.objects.filter(item=OuterRef("pk"), reviewer_id=reviewer, undone_at=None)
    absent = Absence.objects.filter(item=OuterRef("pk"), reviewer_id=reviewer)
    return items.filter(~Exists(answered), ~Exists(absent), state=OPEN)


def with_free_seat(items: QuerySet[Item], reviewer: int, now: datetime) -> QuerySet[Item]:
    others = (
        Claim.objects.filter(item=OuterRef("pk"), expires_at__gt=now)
        .exclude(reviewer_id=reviewer)
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
        .values("n")
    )
    held = items.alias(held=Coalesce(Subquery(others), 0))
    return held.filter(scored__lt=F("required") - F("held"))


def _free(
    project_id: UUID, kinds: Sequence[str], reviewer: int, wanted: Wanted, passing: Iterable[UUID]
) -> QuerySet[Item]:
    """What may be free in a project, in the order in which it is to be answered."""
    rows = waiting_for(Item.objects.filter(project_id=project_id, kind__in=kinds), reviewer)
    rows = narrow(rows, wanted, reviewer).filter(Q(assignee=None) | Q(assignee=reviewer))
    rows = with_free_seat(rows, reviewer, timezone.now()).exclude(pk__in=list(passing))
    return rows.order_by("-priority", "created_at", "pk")


def _queues(
    actor: Actor, reviewer: int, wanted: Wanted, passing: Iterable[UUID]
) -> list[tuple[UUID, list[str]]]:
    """The projects in which something is free, the one with the most pressing item first."""
    parts = list(wanted_parts(actor, wanted))
    if len(parts) < 2:
        return parts
    found: list[tuple[int, datetime, UUID, list[str]]] = []
    for project_id, kinds in parts:
        first = _free(project_id, kinds, reviewer, wanted, passing).values_list(
            "priority", "created_at"
        )[:1]
        found.extend((-priority, at, project_id, kinds) for priority, at in first)
    return [(project_id, kinds) for _, _, project_id, kinds in sorted(found)]


def _own(actor: Actor, reviewer: int, wanted: Wanted, passing: Collection[UUID]) -> list[UUID]:
    parts = Q(pk__in=[])
    for project_id, kinds in wanted_parts(actor, wanted):
        parts |= Q(project_id=project_id, kind__in=kinds)
    held = Claim.objects.filter(reviewer_id=reviewer, expires_at__gt=timezone.now())
    rows = waiting_for(Item.objects.filter(parts), reviewer).filter(pk__in=held.values("item_id"))
    rows = narrow(rows, wanted, reviewer).exclude(pk__in=passing)
    return list(rows.order_by("-priority", "created_at", "pk").values_list("pk", flat=True)[:1])


@transaction.atomic
def _claim_first(rows: QuerySet[Item], reviewer: int, *, patient: bool) -> Claim | UUID | None:
    """Claims the first row that nobody has locked; its id alone where its seat was just taken."""
    locked = rows.select_for_update(of=("self",), no_key=True, skip_locked=not patient).first()
    if locked is None:
        return None
    # The row is locked now, but what the query saw of its seats is as old as the query.
    now = timezone.now()
    if locked.state != OPEN or not isinstance(seat_of(locked, reviewer, now), Free):
        return locked.pk
    return _take(locked, reviewer, now)


def claim_next(
    *, actor: Actor, wanted: Wanted = ALL, passing: Collection[UUID] = ()
) -> Claim | None:
    """The next item with a free seat: first what this reviewer holds already, then by priority and
    age. `passing` are items to leave out. None when nothing is free."""
    reviewer = read_reviewer(actor)
    for item_id in _own(actor, reviewer, wanted, passing):
        # An answer from elsewhere may have filled the seat that is held.
        with suppress(Refusal):
            return claim_item(item_id=item_id, actor=actor)
    # What others have locked is passed over. Only where nothing else is free it is waited for:
    # it may have a seat left.
    for patient in (False, True):
        passed = set(passing)
        for project_id, kinds in _queues(actor, reviewer, wanted, passed):
            taken: Claim | UUID | None
            while (
                taken := _claim_first(
                    _free(project_id, kinds, reviewer, wanted, passed), reviewer, patient=patient
                )
            ) is not None:
                if isinstance(taken, Claim):
                    return taken
                passed.add(taken)
    return None


@transaction.atomic
def heartbeat_claim(*, item_id: UUID, actor: Actor, token: UUID) -> Claim:
    """The claim's time starts anew. One that lapsed lives again while nobody has taken its seat;
    otherwise ClaimLost."""
    item = read_item(actor=actor, item_id=item_id)
    reviewer = read_reviewer(actor)
    locked = lock_item(item.pk)
    assert locked is not None
    claim = check_claim(locked, reviewer, token)
    claim.expires_at = timezone.now() + timedelta(seconds=CLAIM_SECONDS)
    claim.save(update_fields=["expires_at"])
    return claim


def check_claim(item: Item, reviewer: int, token: UUID) -> Claim:
    """The reviewer's claim under this token, if it holds a seat now. Call with the item locked."""
    if item.state != OPEN:
        raise ItemClosed(item.closed_because or "It has all the answers that it needs.")
    claim = Claim.objects.filter(pk=token, item=item, reviewer_id=reviewer).first()
    now = timezone.now()
    if claim is None:
        raise ClaimLost("What you filled in is kept. Claim it again, if a seat is free.")
    seat = seat_of(item, reviewer, now)
    if not isinstance(seat, Free):
        raise ClaimLost(f"What you filled in is kept. {refuse_seat(seat, now).detail}")
    return claim


@transaction.atomic
def release_claim(*, item_id: UUID, actor: Actor, token: UUID) -> None:
    """Gives the seat back. A claim that is gone already is no fault."""
    item = read_item(actor=actor, item_id=item_id)
    reviewer = read_reviewer(actor)
    Claim.objects.filter(pk=token, item=item, reviewer_id=reviewer).delete()
    touch_item(item.pk)


@transaction.atomic
def skip_item(*, item_id: UUID, actor: Actor) -> None:
    """Not for this reviewer, until they take it back: the seat is free again, a draft is kept."""
    item = read_item(actor=actor, item_id=item_id)
    reviewer = read_reviewer(actor)
    if item.state != OPEN:
        raise ItemClosed("There is nothing left to skip.")
    Absence.objects.get_or_create(item=item, reviewer_id=reviewer)
    Claim.objects.filter(item=item, reviewer_id=reviewer).delete()
    touch_item(item.pk)


@transaction.atomic
def requeue_item(*, item_id: UUID, actor: Actor) -> None:
    """Takes a skip back."""
    item = read_item(actor=actor, item_id=item_id)
    reviewer = read_reviewer(actor)
    Absence.objects.filter(item=item, reviewer_id=reviewer, barred=False).delete()
    touch_item(item.pk)


@transaction.atomic
def keep_draft(*, item_id: UUID, actor: Actor, body: Mapping[str, Any]) -> None:
    """Keeps what is filled in, whether or not the reviewer still holds a claim."""
    item = read_item(actor=actor, item_id=item_id)
    reviewer = read_reviewer(actor)
    strict_json.check(dict(body), at="/draft")
    if len(strict_json.encode(dict(body))) > MAX_DRAFT:
        raise BadDraft(f"A draft has at most {MAX_DRAFT:,} bytes.", pointer="/draft")
    Draft.objects.update_or_create(
        item=item,
        reviewer_id=reviewer,
        defaults={"body": dict(body), "updated_at": timezone.now()},
    )


def forget_draft(item_id: UUID, reviewer: int) -> None:
    Draft.objects.filter(item_id=item_id, reviewer_id=reviewer).delete()


def read_draft(item_id: UUID, reviewer: int) -> dict[str, Any]:
    draft = Draft.objects.filter(item_id=item_id, reviewer_id=reviewer).first()
    return dict(draft.body) if draft else {}
