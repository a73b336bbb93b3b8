"""Items for a client of the API: pages by age, and one item with what its reader may know."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils import timezone

from verel_site.access.actors import Actor
from verel_site.inbox.claims import Wanted, narrow, seat_of, wanted_parts
from verel_site.inbox.models import Claim, Decision, Item
from verel_site.inbox.seats import Free, Held
from verel_site.kit.cursors import moment_cursor, read_moment_cursor


@dataclass(frozen=True, slots=True)
class ItemPage:
    items: list[Item]
    next: str | None


def list_items(*, actor: Actor, wanted: Wanted, state: str, after: str, limit: int) -> ItemPage:
    """Items of the kinds that the actor may decide, the oldest first."""
    parts = Q(pk__in=[])
    for project_id, kinds in wanted_parts(actor, wanted):
        parts |= Q(project_id=project_id, kind__in=kinds)
    rows = narrow(Item.objects.filter(parts), wanted, actor.user_id or 0)
    if state != "all":
        rows = rows.filter(state=state)
    if after:
        at, pk = read_moment_cursor(after)
        rows = rows.filter(Q(created_at__gt=at) | Q(created_at=at, pk__gt=pk))
    found = list(rows.order_by("created_at", "pk")[: limit + 1])
    more = len(found) > limit
    items = found[:limit]
    return ItemPage(items, moment_cursor(items[-1].created_at, items[-1].pk) if more else None)


def item_json(item: Item) -> dict[str, Any]:
    return {
        "item": str(item.pk),
        "project": str(item.project_id),
        "kind": item.kind,
        "subject": str(item.subject),
        "digest": item.digest,
        "title": item.title,
        "about": item.about,
        "flag": item.flag,
        "required": item.required,
        "scored": item.scored,
        "priority": item.priority,
        "state": item.state,
        "closed_because": item.closed_because,
        "created_at": item.created_at.isoformat(),
        "due_at": item.due_at.isoformat() if item.due_at else None,
    }


def seat_json(item: Item, actor: Actor) -> dict[str, Any]:
    """How the seats of an item stand for this actor, without a lock: to be told, not to be relied
    upon."""
    seat = seat_of(item, actor.user_id or 0, timezone.now())
    if isinstance(seat, Free):
        return {"free": seat.seats, "held": 0, "frees_at": None}
    held = seat if isinstance(seat, Held) else None
    return {
        "free": 0,
        "held": held.by if held else 0,
        "frees_at": held.frees_at.isoformat() if held else None,
    }


def claim_json(claim: Claim) -> dict[str, Any]:
    return {
        "item": str(claim.item_id),
        "claim": str(claim.pk),
        "expires_at": claim.expires_at.isoformat(),
    }


def decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "decision": str(decision.pk),
        "item": str(decision.item_id),
        "answer": decision.answer,
        "reason": decision.reason,
        "digest": decision.digest,
        "counted": decision.counted,
        "result": decision.result,
        "created_at": decision.created_at.isoformat(),
        "undone_at": decision.undone_at.isoformat() if decision.undone_at else None,
    }
