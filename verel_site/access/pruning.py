"""Forgetting what has served: remembered answers, sign-in links, failed sign-ins, sessions."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.utils import timezone

from verel_site.access.models import RememberedAnswer, SignInLink
from verel_site.access.throttle import prune_failures

# A client that tries again after a week asks anew, and makes a second row.
ANSWERS_KEPT_DAYS: Final = 7
LINKS_KEPT_DAYS: Final = 1
BATCH: Final = 1_000
PRUNE_SECONDS: Final = 600.0


def prune(*, now: datetime | None = None) -> bool:
    """Deletes a batch of each; says whether there may be more."""
    now = now or timezone.now()
    answers = RememberedAnswer.objects.filter(
        created_at__lt=now - timedelta(days=ANSWERS_KEPT_DAYS)
    )
    old = now - timedelta(days=LINKS_KEPT_DAYS)
    links = SignInLink.objects.filter(Q(used_at__lt=old) | Q(expires_at__lt=old))
    sessions = Session.objects.filter(expire_date__lt=now)
    prune_failures(now=now)
    more = [_delete(rows) for rows in (answers, links, sessions)]
    return any(more)


def _delete(rows: QuerySet[Any]) -> bool:
    """A batch by ids: PostgreSQL deletes no slice, and one long deletion would hold its locks."""
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
    rows.model._default_manager.filter(pk__in=ids).delete()
    return len(ids) == BATCH
