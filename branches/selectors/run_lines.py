"""The branches of one run as lines of a graph: lanes, spans, forks, and what waits on them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

from django.db.models import FilteredRelation, OuterRef, Q, Subquery

from branches.domain.lanes import End, Span, Start, assign_lanes
from branches.domain.lineage import Segment
from branches.domain.terms import Status
from branches.models import Approval, Branch, Event, MergeLoser, Run
from verel_site.kit.refusals import NotFound

_END_OF: Mapping[str, End] = {
    Status.RUNNING: "running",
    Status.PAUSED: "open",
    Status.COMPLETED: "done",
    Status.MERGED: "merged",
    Status.ABANDONED: "abandoned",
}


@dataclass(frozen=True)
class Request:
    """An open approval, and the position of the event that asked."""

    approval: Approval
    position: int


@dataclass(frozen=True)
class Lines:
    """What the rows, the rail and the head of a run's page need to know of its branches.

    `branches` in the order of their numbers. `spans` holds those that are drawn: all of them, or
    one lineage, each cut where the next one forks. `fork_positions` has a trunk's first event for
    the trunk. `forks` counts the forks after an event by
    `(branch, seq)`; `asked` finds an open approval in the same way.
    """

    branches: Mapping[UUID, Branch]
    fork_positions: Mapping[UUID, int]
    lanes: Mapping[UUID, int]
    spans: Mapping[UUID, Span]
    segments: tuple[Segment, ...]
    forks: Mapping[tuple[UUID, int], int]
    asked: Mapping[tuple[UUID, int], Request]

    @property
    def events(self) -> int:
        return sum(branch.head_seq for branch in self.branches.values())

    @property
    def first_position(self) -> int:
        return min(self.fork_positions.values(), default=0)

    @property
    def last_position(self) -> int:
        return max((branch.head_position for branch in self.branches.values()), default=0)

    @property
    def width(self) -> int:
        return max(self.lanes[key] for key in self.spans) + 1

    def waits_since(self, branch: UUID) -> Request | None:
        return next((r for (key, _), r in self.asked.items() if key == branch), None)


def read_lines(run: Run, *, branch: UUID | None = None) -> Lines:
    """One query, however many branches the run has. Raises NotFound for a stranger's branch."""
    rows = _read_rows(run)
    branches = {row.pk: row for row in rows}
    if branch is not None and branch not in branches:
        raise NotFound("There is no such branch in this run.")
    positions = {key: _begin(row) for key, row in branches.items()}
    starts = [Start(key, row.parent_id, row.number) for key, row in branches.items()]
    lanes = assign_lanes(starts)
    asked = _find_requests(rows)
    spans = {
        key: _span(row, lanes[key], positions[key], branches, asked)
        for key, row in branches.items()
    }
    segments = tuple(_walk_up(branches, branch))[::-1] if branch else ()
    return Lines(
        branches=branches,
        fork_positions=positions,
        lanes=lanes,
        spans=_cut(spans, segments, positions) if branch else spans,
        segments=segments,
        forks=Counter((r.parent_id, r.fork_seq) for r in branches.values() if r.parent_id),  # type: ignore[misc]
        asked=asked,
    )


def _read_rows(run: Run) -> list[Branch]:
    """The run's branches by number; one that waits stands once for each of its open requests."""
    events = Event.objects.filter(run=run)
    own_first = events.filter(branch_id=OuterRef("pk"), seq=1)
    fork_point = events.filter(branch_id=OuterRef("parent_id"), seq=OuterRef("fork_seq"))
    lost = MergeLoser.objects.filter(branch_id=OuterRef("pk"), merge__reverted_at=None)
    request = events.filter(branch_id=OuterRef("pk"), seq=OuterRef("open__request_seq"))
    rows = Branch.objects.filter(run=run).annotate(
        open=FilteredRelation("approvals", condition=Q(approvals__answered_at=None)),
        first_position=Subquery(own_first.values("position")[:1]),
        fork_position=Subquery(fork_point.values("position")[:1]),
        winner=Subquery(lost.order_by("-pk").values("merge__winner_id")[:1]),
        request_position=Subquery(request.values("position")[:1]),
    )
    # The types know of no relation that a query makes up.
    rows = rows.select_related("open")  # type: ignore[misc]
    return list(rows.order_by("number", "open__created_at"))


def _begin(row: Branch) -> int:
    """The position that a branch starts from: its fork point's, or a trunk's own first event's."""
    name = "fork_position" if row.parent_id else "first_position"
    return getattr(row, name, None) or 0


def _find_requests(rows: Iterable[Branch]) -> dict[tuple[UUID, int], Request]:
    asked = [
        Request(approval, getattr(row, "request_position", None) or 0)
        for row in rows
        if (approval := getattr(row, "open", None)) is not None
    ]
    asked.sort(key=lambda request: request.approval.created_at)
    return {(one.approval.branch_id, one.approval.request_seq): one for one in asked}


def _span(
    row: Branch,
    lane: int,
    first: int,
    branches: Mapping[UUID, Branch],
    asked: Mapping[tuple[UUID, int], Request],
) -> Span:
    waiting = next((request for (key, _), request in asked.items() if key == row.pk), None)
    winner = branches.get(getattr(row, "winner", None) or row.pk)
    merged_at = winner.head_position if winner and winner is not row else None
    return Span(
        lane=lane,
        first=first,
        # The pause that follows a request is not a row of its own: the branch ends at the question.
        last=waiting.position if waiting else max(row.head_position, first),
        end="stasis" if waiting else _END_OF[row.status],
        merged_at=merged_at,
        root=row.parent_id is None,
    )


def _walk_up(branches: Mapping[UUID, Branch], branch: UUID) -> Iterator[Segment]:
    """The lineage's segments, the branch itself first."""
    row: Branch | None = branches[branch]
    upto = branches[branch].head_seq
    while row is not None:
        yield Segment(row.pk, row.base, upto)
        upto = row.fork_seq or 0
        row = branches.get(row.parent_id) if row.parent_id else None


def _cut(
    spans: Mapping[UUID, Span], segments: tuple[Segment, ...], positions: Mapping[UUID, int]
) -> dict[UUID, Span]:
    own = segments[-1].branch
    cut = {own: spans[own]}
    for segment, after in pairwise(segments):
        span = spans[segment.branch]
        cut[segment.branch] = Span(
            lane=span.lane, first=span.first, last=positions[after.branch], root=span.root
        )
    return cut
