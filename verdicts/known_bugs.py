"""Known bugs: each night the failures of a project are grouped by kind and scrubbed message."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max, Min, OuterRef, Q, Subquery, Sum
from django.utils import timezone

from verdicts.failure_models import Clustering, Failure, KnownBug
from verel_site.access.models import Project
from verel_site.access.projects import lock_project

# UTC; when most people are away.
NIGHT_HOUR: Final = 2
ROWS: Final = 500


def cluster_due(*, now: datetime | None = None) -> bool:
    """One step of the standing job: groups the failures of a project that was not looked at since
    the last night; says whether there may be more right away."""
    now = now or timezone.now()
    last = Clustering.objects.filter(project=OuterRef("pk")).order_by("-at").values("at")[:1]
    due = Project.objects.annotate(looked=Subquery(last)).filter(
        Q(looked=None) | Q(looked__lt=last_night(now)),
        pk__in=Failure.objects.values("project"),
    )
    project = due.order_by("pk").first()
    if project is not None:
        cluster_project(project_id=project.pk, now=now)
    return project is not None


def last_night(now: datetime) -> datetime:
    night = now.astimezone(UTC).replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return night if night <= now else night - timedelta(days=1)


@transaction.atomic
def cluster_project(*, project_id: UUID, now: datetime | None = None) -> int:
    """Groups a project's failures anew; answers how many known bugs there are. A bug that has one
    failure only is none. Safe to run twice: the rows are what the ledger comes to."""
    lock_project(project_id=project_id)
    now = now or timezone.now()
    rows = Failure.objects.filter(project_id=project_id)
    groups = (
        rows.values("bug")
        .annotate(
            told_kind=Min("kind"),
            told=Min("scrubbed"),
            count=Count("pk"),
            still_open=Count("pk", filter=Q(open=True)),
            seen=Sum("sightings"),
            first=Min("first_at"),
            last=Max("last_at"),
        )
        .filter(count__gt=1)
        .order_by("bug")
    )
    bugs: list[KnownBug] = []
    found = 0
    for group in groups.iterator(chunk_size=ROWS):
        found += 1
        bugs.append(
            KnownBug(
                project_id=project_id,
                bug=group["bug"],
                kind=group["told_kind"],
                scrubbed=group["told"],
                failures=group["count"],
                open_failures=group["still_open"],
                sightings=group["seen"],
                first_at=group["first"],
                last_at=group["last"],
                clustered_at=now,
            )
        )
        if len(bugs) == ROWS:
            _keep(bugs)
            bugs = []
    _keep(bugs)
    KnownBug.objects.filter(project_id=project_id, clustered_at__lt=now).delete()
    Clustering.objects.create(project_id=project_id, at=now, failures=rows.count(), bugs=found)
    return found


def _keep(bugs: list[KnownBug]) -> None:
    KnownBug.objects.bulk_create(
        bugs,
        update_conflicts=True,
        unique_fields=["project", "bug"],
        update_fields=[
            "failures",
            "open_failures",
            "sightings",
            "first_at",
            "last_at",
            "clustered_at",
        ],
    )
