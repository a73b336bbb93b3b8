"""Rows of a run's events: a window of them, decoded once, each drawing its own part of the graph."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet, Subquery

from branches.domain import terms
from branches.domain.events import StoredEvent
from branches.domain.lanes import Span, lane_cell
from branches.domain.lineage import Segment
from branches.domain.telling import (
    KINDS,
    KNOWN_TYPES,
    OTHER,
    Telling,
    answered_id,
    tell_event,
    told_tokens,
    took_ms,
    waiting_ids,
)
from branches.models import Branch, Event, Run
from branches.selectors.events import stored_event
from branches.selectors.run_lines import Lines
from branches.selectors.run_view import View
from branches.storage.payloads import payload_bytes
from verel_site.kit.moments import tell_both, tell_moment
from verel_site.kit.refusals import NotFound

CHUNK: Final = 200
# What a page opens with: four screens of rows. The rest comes while one scrolls.
FIRST_ROWS: Final = 120
MAX_CHUNK: Final = 600
# A lineage is read by steps. Where few of them are of a kind that is shown, more are looked at,
# up to the last of these numbers; after that the window is handed out short, with its edge.
_SPANS: Final = (1, 5, 25, 125)
# SQLite nests a long OR too deep; a window over more segments than this is handed out short.
_MAX_SEGMENTS: Final = 300
BYTES_PER_TOKEN: Final = 4
# At most so many rows are left to the chunk beside, so that calls and results stay together.
_MAX_LEFT_OVER: Final = 8


@dataclass(frozen=True)
class Window:
    """Events in order, and the cursors of the chunks before and after; None where there is none."""

    events: tuple[Event, ...]
    before: int | None
    after: int | None


@dataclass(frozen=True)
class EventRow:
    """One row of the list. `at` is the cursor in the view's own order.

    `opens` is "open" or "shut" for a call with a result, else empty; a result `under` a shut call
    is `hidden`. `tokens` that nobody told are an estimate, a quarter of the payload's bytes, and
    None for what no model sees.
    """

    id: UUID
    at: int
    position: int
    branch: UUID
    step: int
    lane: int
    number: int
    graph: str
    telling: Telling
    ts: datetime
    clock: str
    exact: str
    href: str
    under: UUID | None = None
    opens: str = ""
    hidden: bool = False
    took: float | None = None
    tokens: int | None = None
    tokens_told: bool = False
    forks: int = 0
    starts_lane: bool = False
    waits_since: datetime | None = None
    verdict: str = ""
    selected: bool = False
    hit: bool = False

    @property
    def level(self) -> int:
        return 2 if self.under else 1


def read_window(run: Run, view: View, lines: Lines, *, limit: int = CHUNK) -> Window:
    """The chunk that a view asks for: around its event, after or before a cursor, or the newest."""
    source = _Lineage(run, view, lines) if lines.segments else _AllLanes(run, view)
    if view.event is not None:
        half = max(1, limit // 2)
        return _keep_pairs(source.around(view.event, half, max(1, limit - half)), source)
    if view.after is not None:
        rows, after = source.after(view.after, limit)
        window = Window(rows, None, after)
        earlier_edge = view.after + 1 if view.after > 0 else None
        return replace(_keep_pairs(window, source), before=earlier_edge)
    rows, before = source.before(view.before, limit)
    later_edge = view.before - 1 if view.before is not None else None
    return replace(_keep_pairs(Window(rows, before, None), source), after=later_edge)


def _keep_pairs(window: Window, source: "_AllLanes | _Lineage") -> Window:
    """Leaves results at the beginning, and calls at the end, to the chunk that has their partner."""
    rows, spare = window.events, min(_MAX_LEFT_OVER, len(window.events) // 4)
    first = last = 0
    if window.before is not None:
        while first < spare and rows[first].type == terms.TOOL_RESULT:
            first += 1
    if window.after is not None:
        while last < spare and rows[-1 - last].type == terms.TOOL_CALL:
            last += 1
    kept = rows[first : len(rows) - last]
    return Window(
        kept,
        source.at(kept[0]) if first else window.before,
        source.at(kept[-1]) if last else window.after,
    )


def _anchors(run: Run, event_id: UUID) -> QuerySet[Event]:
    return Event.objects.filter(project_id=run.project_id, run=run, event_id=event_id)


def _read_anchor(run: Run, event_id: UUID) -> Event:
    anchor = _anchors(run, event_id).only("position", "seq", "branch_id").first()
    if anchor is None:
        raise NotFound("There is no such event in this run.")
    return anchor


def _kind_filter(kinds: frozenset[str]) -> Q:
    shown = frozenset().union(*(types for kind, types in KINDS.items() if kind in kinds))
    if OTHER in kinds:
        return ~Q(type__in=KNOWN_TYPES - shown) if KNOWN_TYPES - shown else Q()
    return Q(type__in=shown)


class _AllLanes:
    """All branches, interleaved by position."""

    def __init__(self, run: Run, view: View) -> None:
        self._run = run
        self._rows: QuerySet[Event] = Event.objects.filter(_kind_filter(view.kinds), run=run)

    def at(self, event: Event) -> int:
        return event.position

    def after(self, at: int, limit: int) -> tuple[tuple[Event, ...], int | None]:
        rows = list(self._rows.filter(position__gt=at).order_by("position")[: limit + 1])
        more = rows[limit - 1].position if len(rows) > limit else None
        return tuple(rows[:limit]), more

    def before(self, at: int | None, limit: int) -> tuple[tuple[Event, ...], int | None]:
        rows = self._rows if at is None else self._rows.filter(position__lt=at)
        found = list(rows.order_by("-position")[: limit + 1])
        more = found[limit - 1].position if len(found) > limit else None
        return tuple(reversed(found[:limit])), more

    def around(self, event_id: UUID, before: int, after: int) -> Window:
        """Two queries: the event is the first of those from it on, unless its kind is not shown."""
        place = Subquery(_anchors(self._run, event_id).values("position")[:1])
        later = list(self._rows.filter(position__gte=place).order_by("position")[: after + 1])
        shown = later and later[0].event_id == event_id
        anchor = later[0] if shown else _read_anchor(self._run, event_id)
        earlier, edge = self.before(anchor.position, before)
        more = later[after - 1].position if len(later) > after else None
        return Window((*earlier, *later[:after]), edge, more)


class _Lineage:
    """One branch's lineage, by step."""

    def __init__(self, run: Run, view: View, lines: Lines) -> None:
        self._run = run
        self._segments = lines.segments
        self._bases = {segment.branch: segment.base for segment in lines.segments}
        self._kinds = _kind_filter(view.kinds)
        last = lines.segments[-1]
        self._end = last.base + last.upto

    def at(self, event: Event) -> int:
        """The event's step; one that is not in this lineage is shown at the lineage's end."""
        inside = event.branch_id in self._bases and any(
            s.branch == event.branch_id and event.seq <= s.upto for s in self._segments
        )
        return self._bases[event.branch_id] + event.seq if inside else self._end

    def after(self, at: int, limit: int) -> tuple[tuple[Event, ...], int | None]:
        rows: list[Event] = []
        high = at
        for span in _SPANS:
            if high >= self._end or len(rows) > limit:
                break
            found, _, high = self._read(high + 1, high + span * (limit + 1), newest=False)
            rows += found
        if len(rows) > limit:
            return tuple(rows[:limit]), self.at(rows[limit - 1])
        return tuple(rows), high if high < self._end else None

    def before(self, at: int | None, limit: int) -> tuple[tuple[Event, ...], int | None]:
        rows: list[Event] = []
        low = self._end + 1 if at is None else min(at, self._end + 1)
        for span in _SPANS:
            if low <= 1 or len(rows) > limit:
                break
            found, low, _ = self._read(low - span * (limit + 1), low - 1, newest=True)
            rows = found + rows
        if len(rows) > limit:
            rows = rows[-limit:]
            return tuple(rows), self.at(rows[0])
        return tuple(rows), low if low > 1 else None

    def around(self, event_id: UUID, before: int, after: int) -> Window:
        """Two queries where every kind is shown."""
        at = self.at(_read_anchor(self._run, event_id))
        rows, low, high = self._read(at - before - 1, at + after, newest=False)
        earlier = [row for row in rows if self.at(row) < at]
        later = rows[len(earlier) :]
        whole = (len(earlier) > before or low <= 1) and (len(later) > after or high >= self._end)
        if not whole:
            told, low_edge = self.before(at, before)
            further, high_edge = self.after(at - 1, after)
            return Window((*told, *further), low_edge, high_edge)
        edge = self.at(earlier[-before]) if len(earlier) > before else None
        more = self.at(later[after - 1]) if len(later) > after else None
        return Window((*earlier[-before:], *later[:after]), edge, more)

    def _read(self, low: int, high: int, *, newest: bool) -> tuple[list[Event], int, int]:
        """Events of the steps from `low` to `high`, and the steps that were really looked at."""
        low, high = max(low, 1), min(high, self._end)
        ranges = list(_ranges(self._segments, low, high))
        if not ranges:
            return [], low, high
        ranges = ranges[-_MAX_SEGMENTS:] if newest else ranges[:_MAX_SEGMENTS]
        where = Q()
        for segment, first, last in ranges:
            where |= Q(branch_id=segment.branch, seq__range=(first, last))
        events = Event.objects.in_run(self._run.pk).filter(self._kinds & where)
        rows = list(events.order_by("position"))
        return rows, ranges[0][0].base + ranges[0][1], ranges[-1][0].base + ranges[-1][2]


def _ranges(segments: Iterable[Segment], low: int, high: int) -> Iterator[tuple[Segment, int, int]]:
    for segment in segments:
        first = max(low - segment.base, 1)
        last = min(high - segment.base, segment.upto)
        if first <= last:
            yield segment, first, last


@dataclass
class _Told:
    """A row in the making."""

    event: Event
    stored: StoredEvent
    telling: Telling
    under: "_Told | None" = None
    answers: list["_Told"] = field(default_factory=list)
    opens: bool = False


def tell_rows(
    events: Sequence[Event],
    view: View,
    lines: Lines,
    *,
    selected: UUID | None = None,
    hits: frozenset[UUID] = frozenset(),
    verdicts: Mapping[UUID, str] | None = None,
) -> list[EventRow]:
    """The rows of a window. A payload is decoded once, and only if its row is shown."""
    told = [
        _Told(event, stored := stored_event(event), tell_event(stored))
        for event in drop_echoes(events, lines.branches)
    ]
    _pair(told)
    for one in told:
        one.opens = not view.folded or any(
            _must_show(answer, lines, selected, hits) for answer in one.answers
        )
    firsts = _first_rows(told)
    address = view.href(event=None, after=None, before=None)
    address += "&" if "?" in address else "?"
    context = _Context(address, lines, selected, hits, verdicts or {}, firsts)
    return [context.row(one) for one in told]


def drop_echoes(events: Iterable[Event], branches: Mapping[UUID, Branch]) -> Iterator[Event]:
    """All but what another row says already: the fork and the patches of an override, and the
    pause and the resumption that go with an approval."""
    before: dict[UUID, str] = {}
    for event in events:
        previous = before.get(event.branch_id, "")
        before[event.branch_id] = event.type
        if event.source != terms.SERVER_SOURCE:
            yield event
            continue
        overridden = bool(branches[event.branch_id].override.strip())
        echo = (event.type in {terms.FORKED, terms.PATCHED} and overridden) or (
            (previous, event.type)
            in {
                (terms.APPROVAL_REQUESTED, terms.PAUSED),
                (terms.APPROVAL_RESOLVED, terms.RESUMED),
            }
        )
        if not echo:
            yield event


def _pair(told: Sequence[_Told]) -> None:
    calls: dict[tuple[UUID, str], _Told] = {}
    for one in told:
        for call_id in waiting_ids(one.stored):
            calls[one.event.branch_id, call_id] = one
        answered = answered_id(one.stored)
        call = calls.get((one.event.branch_id, answered)) if answered else None
        if call is not None:
            one.under = call
            call.answers.append(one)


def _must_show(one: _Told, lines: Lines, selected: UUID | None, hits: frozenset[UUID]) -> bool:
    event = one.event
    return (
        one.telling.bad
        or event.event_id == selected
        or event.event_id in hits
        or (event.branch_id, event.seq) in lines.forks
        or event.seq == lines.branches[event.branch_id].head_seq
    )


def _first_rows(told: Iterable[_Told]) -> frozenset[UUID]:
    """The events that are the first row of a fork."""
    starts = {terms.OVERRIDE, terms.FORKED}
    return frozenset(
        one.event.event_id
        for one in told
        if one.event.type in starts and one.event.source == terms.SERVER_SOURCE
    )


@dataclass(frozen=True)
class _Context:
    address: str
    lines: Lines
    selected: UUID | None
    hits: frozenset[UUID]
    verdicts: Mapping[UUID, str]
    firsts: frozenset[UUID]

    def row(self, one: _Told) -> EventRow:
        event, lines = one.event, self.lines
        branch = lines.branches[event.branch_id]
        place = (event.branch_id, event.seq)
        request = lines.asked.get(place)
        took, tokens = self._cost(one)
        step = branch.base + event.seq
        is_head = event.seq == branch.head_seq
        return EventRow(
            id=event.event_id,
            at=step if lines.segments else event.position,
            position=event.position,
            branch=branch.pk,
            step=step,
            lane=lines.lanes[branch.pk],
            number=branch.number,
            graph=lane_cell(
                at=event.position,
                branch=branch.pk,
                kind=one.telling.kind,
                spans=lines.spans if branch.pk in lines.spans else _stray(lines, branch.pk),
            ),
            telling=one.telling,
            ts=event.ts,
            clock=tell_moment(event.ts, "clock"),
            exact=tell_both(event.ts),
            href=f"{self.address}event={event.event_id}",
            under=one.under.event.event_id if one.under else None,
            opens=("open" if one.opens else "shut") if one.answers else "",
            hidden=one.under is not None and not one.under.opens,
            took=took,
            tokens=_estimate_tokens(event) if tokens is None else tokens,
            tokens_told=tokens is not None,
            forks=lines.forks.get(place, 0),
            starts_lane=event.event_id in self.firsts,
            waits_since=request.approval.created_at if request else None,
            verdict=self.verdicts.get(branch.pk, "") if is_head else "",
            selected=event.event_id == self.selected,
            hit=event.event_id in self.hits,
        )

    def _cost(self, one: _Told) -> tuple[float | None, int | None]:
        """Time and told tokens; a shut call tells the time of its result."""
        took, tokens = took_ms(one.stored), told_tokens(one.stored)
        if one.answers and not one.opens and took is None:
            times = [t for answer in one.answers if (t := took_ms(answer.stored)) is not None]
            took = sum(times) if times else None
        return took, tokens


def _estimate_tokens(event: Event) -> int | None:
    """By the payload's size; None for what no model reads."""
    if not terms.advances_digest(event.type):
        return None
    return -(-len(payload_bytes(event)) // BYTES_PER_TOKEN)


def _stray(lines: Lines, branch: UUID) -> Mapping[UUID, Span]:
    """Spans with one more branch: an event outside of the lineage that is shown."""
    return {**lines.spans, branch: Span(lines.lanes[branch], 0, 0, root=True)}
