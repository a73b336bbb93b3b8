"""What happened in a project, counted by the database: no payload and no whole table is read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Literal
from uuid import UUID

from django.db.models import (
    Aggregate,
    CharField,
    Count,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.sql.compiler import SQLCompiler

from branches.domain.terms import ENDED
from branches.models import Approval, Branch, Event, Merge, Run, Triplet

WAITS_READ: Final = 5_000
AGENTS_SHOWN: Final = 20


type Grain = Literal["hour", "ten minutes", "minute"]

_LETTERS: Final[Mapping[Grain, int]] = {"hour": 13, "ten minutes": 15, "minute": 16}
_REST: Final[Mapping[Grain, str]] = {"hour": ":00", "ten minutes": "0", "minute": ""}


class Stamp(Func):
    """A time cut to so many letters of its UTC text: "2026-11-20 15" is an hour.

    Django's own truncation calls back into Python for every row on SQLite; this stays in the
    database. SQLite keeps UTC as ISO text, so its first letters are the hour.
    """

    output_field = CharField()

    def __init__(self, field: str, grain: Grain) -> None:
        super().__init__(F(field))
        self.letters = _LETTERS[grain]

    def as_sqlite(
        self, compiler: SQLCompiler, connection: Any, **extra: Any
    ) -> tuple[str, tuple[Any, ...]]:
        sql, params = super().as_sql(
            compiler, connection, template=f"substr(%(expressions)s, 1, {self.letters})"
        )
        return sql, tuple(params)

    def as_postgresql(
        self, compiler: SQLCompiler, connection: Any, **extra: Any
    ) -> tuple[str, tuple[Any, ...]]:
        form = "YYYY-MM-DD HH24:MI"
        sql, params = super().as_sql(
            compiler,
            connection,
            template=f"left(to_char(%(expressions)s AT TIME ZONE 'UTC', '{form}'), {self.letters})",
        )
        return sql, tuple(params)


def grain_of(since: datetime) -> Grain:
    """The coarsest in which every midnight of the time's own zone is a beginning."""
    offset = since.utcoffset()
    minutes = int(offset.total_seconds()) // 60 if offset else 0
    return "hour" if minutes % 60 == 0 else "ten minutes" if minutes % 10 == 0 else "minute"


def _moment(stamp: str, grain: Grain) -> datetime:
    return datetime.fromisoformat(stamp + _REST[grain]).replace(tzinfo=UTC)


def count_by[Row: Any](
    rows: "QuerySet[Row]", field: str, since: datetime, number: Aggregate | None = None
) -> dict[datetime, int]:
    """How many rows there are since then, by the hour in which they fall, or by less where the
    zone of `since` has midnights within an hour; one query. `number` counts something else."""
    grain = grain_of(since)
    rows = rows.filter(**{f"{field}__gte": since}).order_by()
    stamped = rows.annotate(stamp=Stamp(field, grain)).values("stamp")
    counted = stamped.annotate(n=number or Count("pk")).values_list("stamp", "n")
    return {_moment(stamp, grain): n for stamp, n in counted}


def days_of(counted: Mapping[datetime, int], zone: tzinfo | None) -> dict[str, int]:
    """By day, "2026-11-20", as the zone has it."""
    days: Counter[str] = Counter()
    for at, number in counted.items():
        days[f"{at.astimezone(zone):%Y-%m-%d}"] += number
    return days


def count_events(*, project_id: UUID, since: datetime) -> dict[datetime, int]:
    """Events, as by `count_by`. Only the runs that were touched since then are looked at, by their index."""
    touched = Run.objects.filter(project_id=project_id, touched_at__gte=since).values("pk")
    return count_by(Event.objects.filter(run_id__in=touched), "received_at", since)


def count_runs(*, project_id: UUID, since: datetime, before: datetime) -> tuple[int, int]:
    """Runs begun since `since`, and in the span before it that began at `before`."""
    rows = Run.objects.filter(project_id=project_id, created_at__gte=before)
    found = rows.aggregate(
        now=Count("pk", filter=Q(created_at__gte=since)),
        before=Count("pk", filter=Q(created_at__lt=since)),
    )
    return found["now"], found["before"]


def read_waits(*, project_id: UUID, now: datetime) -> list[datetime]:
    """Since when each approval waits that can still be answered: it has not expired, and its branch
    has not ended. Oldest first."""
    lasting = Q(expires_at=None) | Q(expires_at__gt=now)
    rows = Approval.objects.filter(lasting, project_id=project_id, answered_at=None)
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
    """`before` stood already when the days begin; `made` and `withdrawn` count by day of its zone, `made_now`
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
        made=days_of(count_by(rows, "created_at", days_since), days_since.tzinfo),
        withdrawn=days_of(count_by(rows, "withdrawn_at", days_since), days_since.tzinfo),
    )


def count_tokens(*, project_id: UUID, since: datetime) -> dict[str, int]:
    """Output tokens that events told, by the day of `since`'s zone on which their branch began."""
    rows = Branch.objects.filter(project_id=project_id)
    return days_of(count_by(rows, "created_at", since, Sum("tokens")), since.tzinfo)


@dataclass(frozen=True, slots=True)
class AgentCounts:
    """One agent's runs begun since a time, and what became of them; `days` counts runs by day
    of the zone that was asked in."""

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
    grain = grain_of(week)
    rows = Run.objects.filter(project_id=project_id, created_at__gte=week).order_by()
    stamped = rows.annotate(stamp=Stamp("created_at", grain)).values("agent", "stamp")
    counted: dict[str, dict[datetime, int]] = {}
    for row in stamped.annotate(n=Count("pk")):
        counted.setdefault(row["agent"], {})[_moment(row["stamp"], grain)] = row["n"]
    return {agent: days_of(of_agent, week.tzinfo) for agent, of_agent in counted.items()}
