"""The guarantee behind the inbox: what waits has an item, and what waits no more has none open."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from verel_site.inbox.decisions import sweep_answers
from verel_site.inbox.items import OPEN, close_items
from verel_site.inbox.kinds import all_kinds
from verel_site.inbox.models import Claim, Item

INBOX_SECONDS: Final = 2.0
SWEEP_ITEMS: Final = 500
# A lapsed claim lives again at its holder's next heartbeat, unless others took the seat.
FORGET_CLAIM_SECONDS: Final = 24 * 3600


class InboxSweep:
    """Walks all open items over and over, some at a time."""

    def __init__(self) -> None:
        self._after: UUID | None = None

    def run_once(self) -> bool:
        """Whether there may be more right away."""
        found = sum(kind.find_waits(SWEEP_ITEMS) for kind in all_kinds())
        self._after = close_settled(after=self._after)
        lapsed = timezone.now() - timedelta(seconds=FORGET_CLAIM_SECONDS)
        Claim.objects.filter(expires_at__lt=lapsed).delete()
        return found >= SWEEP_ITEMS or sweep_answers() > 0


def sweep_inbox() -> None:
    """One whole round: posts what waits without an item, closes what waits no more."""
    for kind in all_kinds():
        while kind.find_waits(SWEEP_ITEMS) >= SWEEP_ITEMS:
            pass
    after = close_settled()
    while after is not None:
        after = close_settled(after=after)
    sweep_answers()


def close_settled(*, after: UUID | None = None) -> UUID | None:
    """Looks at SWEEP_ITEMS open items after the given id, and closes those whose subject waits no
    more. Answers the id to go on after; None at the end."""
    rows = Item.objects.filter(state=OPEN).order_by("pk")
    if after is not None:
        rows = rows.filter(pk__gt=after)
    items = list(rows[:SWEEP_ITEMS])
    for kind in all_kinds():
        mine = [item for item in items if item.kind == kind.name]
        for item_id, because in kind.settled(mine).items() if mine else ():
            with transaction.atomic():
                close_items(Item.objects.filter(pk=item_id), because)
    return items[-1].pk if len(items) == SWEEP_ITEMS else None
