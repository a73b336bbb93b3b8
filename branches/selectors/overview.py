"""What happened in a project, counted by the database: no payload and no whole table is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from django.db.models import CharField, Count, F, Func, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.sql.compiler import SQLCompiler

from branches.domain.terms import ENDED
from branches.models import Approval, Branch, Event, Merge, Run, Triplet

WAITS_READ: Final = 5_000
AGENTS_SHOWN: Final = 20


class Stamp(Func):
    """A time cut to its UTC hour or day, as text: "2026-11-20 15" or "2026-11-20".

    Django's own truncation calls back into Python for every row on SQLite; this stays in the
    database. SQLite keeps UTC as ISO text, so its first letters are the hour.
    """

    output_field = CharField()

    def __init__(self, field: str, *, unit: Literal["hour", "day"]) -> None:
        super().__init__(F(field))
        self.unit = unit

    def as_sqlite(
        self, compiler: SQLCompiler, connection: Any, **extra: Any
    ) -> tuple[str, tuple[Any, ...]]:
        letters = 13 if self.unit == "hour" else 10
        sql, params = super().as_sql(
            compiler, connection, template=f"substr(%(expressions)s, 1, {letters})"
        )
        return sql, tuple(params)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: Any, **extra: Any
    ) -> tuple[str, tuple[Any, ...]]:
        form = "YYYY-MM-DD HH24" if self.unit == "hour" else "YYYY-MM-DD"
        sql, params = super().as_sql(
            compiler,
            connection,
            template=f"to_char(%(expressions)s AT TIME ZONE 'UTC', '{form}')",
        )
        return sql, tuple(params)


def count_by[Row: Any](
    rows: "QuerySet[Row]", field: str, unit: Literal["hour", "day"]
) -> dict[str, int]:
    """How many rows fall into each hour or day, by its stamp; one query."""
    stamped = rows.order_by().annotate(stamp=Stamp(field, unit=unit))
    return dict(stamped.values("stamp").annotate(n=Count("pk")).values_list("stamp", "n"))


def count_events(*, project_id: UUID, since: datetime) -> dict[str, int]:
    """Events by hour. Only the runs that were touched since then are looked at, by their index."""
    touched = Run.objects.filter(project_id=project_id, touched_at__gte=since).values("pk")
    rows = Event.objects.filter(run_id__in=touched, received_at__gte=since)
    return count_by(rows, "received_at", "hour")


def count_runs(*, project_id: UUID, since: datetime, before: datetime) -> tuple[int, int]:
    """Runs begun since `since`, and in the span before it that began at `before`."""
    rows = Run.objects.filter(project_id=project_id, created_at__gte=before)
    found = rows.aggregate(
        now=Count("pk", filter=Q(created_at__gte=since)),
        before=Count("pk", filter=Q(created_at__lt=since)),
    )
    return found["now"], found["before"]


def read_waits(*, project_id: UUID) -> list[datetime]:
    """Since when each open approval of a branch that has not ended waits, oldest first."""
    rows = Approval.objects.filter(project_id=project_id, answered_at=None)
    rows = rows.exclude(branch__status__in=[status.value for status in ENDED])
    return list(rows.order_by("created_at").values_list("created_at", flat=True)[:WAITS_READ])


def count_merges(*, project_id: UUID, since: datetime) -> tuple[int, int]:
    """Merges made since then, and merges taken back since then."""
    rows = Merge.objects.filter(project_id=project_id)
    found = rows.aggregate(
        made=Count("pk", filter=Q(created_at__gte=since)),
        reverted=Count("pk", filter=Q(reverted_at__gte=since)),
    )
    return found["made"], found["reverted"]


@dataclass(frozen=True, slots=True)
class TripletDays:
    """`before` stood already when the days begin; `made` and `withdrawn` count by day, `made_now`
    and `withdrawn_now` since the later time that was asked for."""

    made_now: int
    withdrawn_now: int
    before: int
    made: Mapping[str, int]
    withdrawn: Mapping[str, int]


def read_triplets(*, project_id: UUID, days_since: datetime, since: datetime) -> TripletDays:
    rows = Triplet.objects.filter(project_id=project_id)
    stood = Q(created_at__lt=days_since) & (Q(withdrawn_at=None) | Q(withdrawn_at__gte=days_since))
    counts = rows.aggregate(
        made_now=Count("pk", filter=Q(created_at__gte=since)),
        withdrawn_now=Count("pk", filter=Q(withdrawn_at__gte=since)),
        before=Count("pk", filter=stood),
    )
    return TripletDays(
        **counts,
        made=count_by(rows.filter(created_at__gte=days_since), "created_at", "day"),
        withdrawn=count_by(rows.filter(withdrawn_at__gte=days_since), "withdrawn_at", "day"),
    )


def count_tokens(*, project_id: UUID, since: datetime) -> dict[str, int]:
    """Output tokens that events told, by the day on which their branch began."""
    rows = Branch.objects.filter(project_id=project_id, created_at__gte=since).order_by()
    stamped = rows.annotate(stamp=Stamp("created_at", unit="day"))
    return dict(stamped.values("stamp").annotate(n=Sum("tokens")).values_list("stamp", "n"))


@dataclass(frozen=True, slots=True)
class AgentCounts:
    """One agent's runs begun since a time, and what became of them; `days` counts runs by day."""

    name: str
    runs: int
    merged: int
    reverted: int
    overrides: int
    tokens: int
    days: Mapping[str, int]


def read_agents(*, project_id: UUID, since: datetime, week: datetime) -> list[AgentCounts]:
    """The agents with the most runs: three queries, however many agents or runs there are."""
    runs = Run.objects.filter(project_id=project_id, created_at__gte=since).order_by()
    # Two sums over two different joins would multiply each other; a subquery keeps them apart.
    of_run = Branch.objects.filter(run_id=OuterRef("pk")).order_by().values("run_id")
    forked = of_run.exclude(override="").annotate(n=Count("pk")).values("n")
    spent = of_run.annotate(n=Sum("tokens")).values("n")
    rows = (
        runs.annotate(forked=Subquery(forked), spent=Subquery(spent))
        .values("agent")
        .annotate(n=Count("pk"), overrides=Sum("forked", default=0), told=Sum("spent", default=0))
        .order_by("-n", "agent")[:AGENTS_SHOWN]
    )
    merges = _merges_by_agent(project_id, since)
    days = _days_by_agent(project_id, week)
    return [
        AgentCounts(
            name=row["agent"],
            runs=row["n"],
            merged=merges.get(row["agent"], (0, 0))[0],
            reverted=merges.get(row["agent"], (0, 0))[1],
            overrides=row["overrides"],
            tokens=row["told"],
            days=days.get(row["agent"], {}),
        )
        for row in rows
    ]


def _merges_by_agent(project_id: UUID, since: datetime) -> dict[str, tuple[int, int]]:
    rows = Merge.objects.filter(project_id=project_id, created_at__gte=since).order_by()
    counted = rows.values("run__agent").annotate(
        stand=Count("pk", filter=Q(reverted_at=None)),
        back=Count("pk", filter=Q(reverted_at__isnull=False)),
    )
    return {row["run__agent"]: (row["stand"], row["back"]) for row in counted}


def _days_by_agent(project_id: UUID, week: datetime) -> dict[str, dict[str, int]]:
    rows = Run.objects.filter(project_id=project_id, created_at__gte=week).order_by()
    counted = (
        rows.annotate(stamp=Stamp("created_at", unit="day"))
        .values("agent", "stamp")
        .annotate(n=Count("pk"))
    )
    days: dict[str, dict[str, int]] = {}
    for row in counted:
        days.setdefault(row["agent"], {})[row["stamp"]] = row["n"]
    return days
