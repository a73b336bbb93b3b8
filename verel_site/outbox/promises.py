"""Promises to the outside world: posted with the act that owes them, kept by a sweep.

A promise is delivered at least once, never before `due_at`, and not at all once withdrawn. One that
fails is tried again with growing waits, and given up after MAX_ATTEMPTS; but whoever is merely Away
is waited for, however long.
"""

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import F, Q
from django.utils import timezone

from verel_site.outbox.models import Promise

type Deliver = Callable[[UUID, str], None]

logger = logging.getLogger(__name__)

MAX_ATTEMPTS: Final = 8
FIRST_RETRY_SECONDS: Final = 2
LONGEST_RETRY_SECONDS: Final = 300
SWEEP_ROWS: Final = 100


class Away(Exception):
    """Raised by a deliverer: the destination does not answer, and will be owed the same once it does."""


_deliverers: dict[str, Deliver] = {}


def register_deliverer(kind: str, deliver: Deliver) -> None:
    """`deliver(subject, destination)` must be safe to run twice; it raises to be tried again."""
    _deliverers[kind] = deliver


def post_promise(
    *, project_id: UUID, kind: str, subject: UUID, destination: str, due_at: datetime
) -> Promise:
    """Call inside the transaction of the act."""
    return Promise.objects.create(
        project_id=project_id, kind=kind, subject=subject, destination=destination, due_at=due_at
    )


def withdraw_promises(*, kind: str, subjects: list[UUID]) -> list[UUID]:
    """Withdraws what has not left; answers the subjects that have left, or may have: an attempt
    that failed, or is being made just now, may have come through."""
    rows = Promise.objects.filter(kind=kind, subject__in=subjects)
    rows.filter(state__in=[Promise.State.DUE, Promise.State.FAILED]).update(
        state=Promise.State.WITHDRAWN
    )
    left = rows.filter(Q(state=Promise.State.SENT) | Q(attempts__gt=0))
    return list(left.values_list("subject", flat=True))


def sweep_promises(*, now: datetime | None = None) -> int:
    """Delivers what is due; answers how many left. A row is taken by moving its due time."""
    now = now or timezone.now()
    due = Promise.objects.filter(state=Promise.State.DUE, due_at__lte=now).order_by("due_at")
    return sum(_keep(promise, now) for promise in due[:SWEEP_ROWS])


def _keep(promise: Promise, now: datetime) -> int:
    # The power is bounded too: who is away for weeks is tried thousands of times.
    grown = min(FIRST_RETRY_SECONDS * 2 ** min(promise.attempts, 20), LONGEST_RETRY_SECONDS)
    wait = grown * random.uniform(0.8, 1.2)  # noqa: S311 -- jitter
    again = now + timedelta(seconds=wait)
    taken = Promise.objects.filter(
        pk=promise.pk, state=Promise.State.DUE, due_at=promise.due_at
    ).update(due_at=again, attempts=F("attempts") + 1)
    if taken != 1:
        return 0
    # A withdrawal that comes in between wins: what has left is told back by its own promise. So does
    # whoever owes it anew: what was delivered may be what it was before.
    row = Promise.objects.filter(pk=promise.pk, state=Promise.State.DUE, due_at=again)
    try:
        _deliverers[promise.kind](promise.subject, promise.destination)
    except Away as error:
        logger.warning("promise %s waits: %s", promise.pk, error)
        row.update(last_error=str(error)[:500])
        return 0
    except Exception as error:
        logger.exception("promise %s was not kept", promise.pk)
        spent = promise.attempts + 1 >= MAX_ATTEMPTS
        state = Promise.State.FAILED if spent else Promise.State.DUE
        row.update(state=state, last_error=str(error)[:500])
        return 0
    return row.update(state=Promise.State.SENT, sent_at=now)
