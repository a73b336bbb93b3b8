"""How a skill has done: the runs that took this version up, and what became of them.

Both are read off the journal and its verdicts, never taken from who wrote the skill: a run took it
up where an agent's tool call names it, and it succeeded where a branch that did so was merged by an
open gate. Where every such branch was abandoned it failed; the rest is undecided.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Min, OuterRef, Q, Subquery

from branches.domain.terms import Status
from branches.models import Branch, Event, Merge
from memory.domain.terms import Answer, Kind, Standing
from memory.models import Episode, Record

# A skill that was taken up more often than this is judged by its latest uses.
MOST: Final = 5_000
MAX_NEEDS: Final = 32


@dataclass(frozen=True, slots=True)
class Uses:
    """`runs` took it up, `decided` of them have ended in a verdict, `succeeded` in a merge."""

    runs: int
    decided: int
    succeeded: int
    last: datetime | None

    @property
    def success_rate(self) -> float | None:
        """Of those that are decided; None where none is."""
        return self.succeeded / self.decided if self.decided else None


@dataclass(frozen=True, slots=True)
class Need:
    """Another skill that this one names among its `deps`; `record` is what speaks under that name."""

    name: str
    record: UUID | None


def trigger_of(record: Record) -> str:
    """When it is to be taken up: its metadata's `trigger`, or else its description, which by the
    format says so."""
    told = record.details.get("metadata", {}).get("trigger", "")
    return str(told).strip() or record.text


def read_needs(record: Record) -> list[Need]:
    """The skills that its metadata names under `deps`, apart by spaces or commas."""
    told = str(record.details.get("metadata", {}).get("deps", ""))
    names = list(dict.fromkeys(told.replace(",", " ").split()))[:MAX_NEEDS]
    keys = [f"skill|{name}" for name in names]
    rows = Record.objects.live().filter(project_id=record.project_id, key__in=keys)
    found = dict(rows.order_by("trust", "-position").values_list("key", "record_id"))
    return [Need(name, found.get(f"skill|{name}")) for name in names]


def read_uses(record: Record) -> Uses:
    """Of a skill's version, for as long as it spoke. A constant number of queries."""
    if record.kind != Kind.SKILL.value or record.standing == Standing.HELD.value:
        return Uses(0, 0, 0, None)
    rows = list(_taken_up(record).values_list("run_id", "branch_id", "received")[:MOST])
    branches: dict[UUID, set[UUID]] = defaultdict(set)
    for run_id, branch_id, _ in rows:
        branches[run_id].add(branch_id)
    ended = _read_ends({branch for several in branches.values() for branch in several})
    told = [_judge(several, ended) for several in branches.values()]
    return Uses(
        runs=len(branches),
        decided=sum(one is not None for one in told),
        succeeded=sum(one is True for one in told),
        last=max((at for _, _, at in rows), default=None),
    )


def _taken_up(record: Record) -> Any:
    """The steps that named it while this version spoke, the latest first, with the time at which
    each was `received`: by our own clock, and not by an agent's."""
    received = Event.objects.filter(run_id=OuterRef("run_id"), event_id=OuterRef("event_id"))
    steps: Any = Episode.objects.filter(project_id=record.project_id, skill=record.subject)
    rows = steps.annotate(received=Subquery(received.values("received_at")[:1]))
    start, end = _spoke(record)
    return rows.filter(received__gte=start, **({"received__lt": end} if end else {})).order_by(
        "-position"
    )


def _spoke(record: Record) -> tuple[datetime, datetime | None]:
    """From when the version spoke until the next one did: the first from its making on, a later one
    from its first promotion on, if it was promoted."""
    versions: Any = Record.objects.filter(
        project_id=record.project_id, scope=record.scope, key=record.key
    ).exclude(standing__in=[Standing.HELD.value, Standing.REFUSED.value])
    promoted = Min("decisions__created_at", filter=Q(decisions__answer=Answer.PROMOTE.value))
    rows = versions.annotate(promoted=promoted)
    rows = rows.values_list("pk", "version", "created_at", "promoted")
    began: dict[int, datetime] = {
        pk: (at if version > 1 and at else made) for pk, version, made, at in rows
    }
    start = began.get(record.pk, record.created_at)
    return start, min((at for at in began.values() if at > start), default=None)


def _read_ends(branches: set[UUID]) -> dict[UUID, bool]:
    """Of branches that have ended, whether an open gate let them win."""
    won = Merge.objects.filter(winner__in=branches, reverted_at=None, bypass_reason="")
    ended = dict.fromkeys(won.values_list("winner_id", flat=True), True)
    lost = Branch.objects.filter(pk__in=branches, status=Status.ABANDONED.value)
    return ended | dict.fromkeys(lost.values_list("pk", flat=True), False)


def _judge(branches: set[UUID], ended: dict[UUID, bool]) -> bool | None:
    told = [ended.get(branch) for branch in branches]
    if True in told:
        return True
    return None if None in told else False
