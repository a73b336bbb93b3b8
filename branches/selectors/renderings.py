"""Lineages rendered to JSON texts, and the latest of them kept, so that the next one goes on from there.

Events never change, so what was rendered up to one of them never does: an agent that asks again
after each step has only that step read and rendered. What is kept is held against the seal of the
event that it ends with, and goes unused where that one differs. Under encryption nothing is kept:
no opened payload outlives its request there.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from branches.domain.context import ContextFormat, Rendering, open_rendering
from branches.models import Branch, Event
from branches.querysets import read_segments
from branches.selectors.lineage import iter_wire, read_chat

# What one message takes beside its bytes: its object and its place in a list.
MESSAGE_OVERHEAD: Final = 64
TAKEN_AT_ONCE: Final = 500


@dataclass
class Rendered:
    """A lineage as it is rendered so far: `finished` messages, and the rendering of what follows,
    whose last message may still grow."""

    format: ContextFormat
    rendering: Rendering[Any]
    finished: list[bytes] = field(default_factory=list)
    size: int = 0

    def tell(self, events: Iterable[Any]) -> None:
        for number, event in enumerate(events, start=1):
            self.rendering.add(event)
            if number % TAKEN_AT_ONCE == 0:
                self._take()
        self._take()

    def copy(self, *, height: int = 0) -> "Rendered":
        """One that may be told more, as an ancestor of that height: chats name a branch by it."""
        twin = self.rendering.copy()
        if isinstance(twin.branch, int):
            twin.branch += height
        return Rendered(self.format, twin, list(self.finished), self.size)

    def messages(self) -> list[bytes]:
        """All messages, each as JSON text."""
        return [*self.finished, *self.rendering.messages]

    def _take(self) -> None:
        told = self.rendering.take_finished()
        self.finished += told
        self.size += sum(map(len, told)) + MESSAGE_OVERHEAD * len(told)


@dataclass(frozen=True)
class Point:
    """After event `seq` of a branch; `step` events of its lineage come up to there."""

    branch: UUID
    seq: int
    step: int
    seal: bytes


type Place = tuple[UUID, ContextFormat, UUID]


class Kept:
    """Renderings by run, format and branch, then by seq; the one used longest ago goes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[Place, int], tuple[Point, Rendered]] = OrderedDict()
        self._seqs: dict[Place, set[int]] = {}
        self._runs: Counter[UUID] = Counter()
        self.size = 0

    def knows(self, run: UUID) -> bool:
        """Whether anything of the run is kept; a wrong yes costs a query."""
        return run in self._runs

    def find(self, place: Place, upto: int) -> tuple[Point, Rendered] | None:
        """The longest one of the branch that ends at `upto` or before."""
        with self._lock:
            seq = max((seq for seq in self._seqs.get(place, ()) if seq <= upto), default=None)
            if seq is None:
                return None
            self._found.move_to_end((place, seq))
            return self._found[place, seq]

    def keep(self, place: Place, point: Point, rendered: Rendered, *, most: int) -> None:
        with self._lock:
            self._drop(place, point.seq)
            if rendered.size > most:
                return
            self._found[place, point.seq] = point, rendered
            self._seqs.setdefault(place, set()).add(point.seq)
            self._runs[place[0]] += 1
            self.size += rendered.size
            while self.size > most:
                self._drop(*next(iter(self._found)))

    def drop(self, place: Place, seq: int) -> None:
        with self._lock:
            self._drop(place, seq)

    def _drop(self, place: Place, seq: int) -> None:
        found = self._found.pop((place, seq), None)
        if found is None:
            return
        self.size -= found[1].size
        self._runs[place[0]] -= 1
        if not self._runs[place[0]]:
            del self._runs[place[0]]
        self._seqs[place].discard(seq)
        if not self._seqs[place]:
            del self._seqs[place]


_kept: Final = Kept()


def render_lineage(branch: Branch, *, upto: int, seal: bytes, format: ContextFormat) -> Rendered:
    """The lineage up to `upto` events of the branch's own suffix; `seal` is that of its last event.

    The answer belongs to everybody: read it, and tell it nothing more.
    """
    most = 0 if settings.VEREL_EVENT_KEYS else settings.VEREL_CONTEXT_CACHE_BYTES
    if not most:
        rendered = Rendered(format, open_rendering(format))
        rendered.tell(_iter_events(branch, format, upto, 0))
        return rendered
    point = Point(branch.pk, upto, branch.base + upto, seal)
    start = _find_start(branch, point, format)
    if start is not None and start[0] == point:
        return start[1]
    after = start[0].step if start else 0
    rendered = start[1] if start else Rendered(format, open_rendering(format))
    events = _iter_events(branch, format, upto, after)
    if branch.parent_id is not None and after < branch.base:
        events = _tell_up_to_fork(rendered, branch, events, most)
    rendered.tell(events)
    place = (branch.run_id, format, branch.pk)
    if upto:
        _kept.keep(place, point, rendered, most=most)
    if start and start[0].branch == branch.pk:
        _kept.drop(place, start[0].seq)
    return rendered


def _iter_events(
    branch: Branch, format: ContextFormat, upto: int, after_step: int
) -> Iterator[Any]:
    if format == "events":
        return iter_wire(branch, upto=upto, after_step=after_step)
    return read_chat(branch, upto=upto, after_step=after_step)


def _tell_up_to_fork(
    rendered: Rendered, branch: Branch, events: Iterator[Any], most: int
) -> Iterator[Any]:
    """Tells what stands before the fork and keeps that for siblings; gives back the rest."""
    own: Hashable = branch.pk if rendered.format == "events" else 0
    rest: list[Any] = []

    def before() -> Iterator[Any]:
        for event in events:
            if event.branch == own:
                rest.append(event)
                return
            yield event

    rendered.tell(before())
    parent, seq = branch.parent_id, branch.fork_seq
    assert parent is not None
    assert seq is not None
    seal = read_seal(branch.run_id, parent, seq)
    if seal is not None:
        place = (branch.run_id, rendered.format, parent)
        shared = rendered.copy(height=-1)
        _kept.keep(place, Point(parent, seq, branch.base, seal), shared, most=most)
    return chain(rest, events)


def _find_start(
    branch: Branch, point: Point, format: ContextFormat
) -> tuple[Point, Rendered] | None:
    """The longest rendering kept of the lineage: that of the very point itself, else a copy."""
    found = _kept.find((branch.run_id, format, branch.pk), point.seq)
    if found is not None and found[0] == point:
        return found
    height = 0
    if found is None and branch.parent_id is not None and _kept.knows(branch.run_id):
        found, height = _find_ancestor(branch, point.seq, format)
    if found is None:
        return None
    start, rendered = found
    if read_seal(branch.run_id, start.branch, start.seq) != start.seal:
        return None
    return start, rendered.copy(height=height)


def _find_ancestor(
    branch: Branch, upto: int, format: ContextFormat
) -> tuple[tuple[Point, Rendered] | None, int]:
    segments = read_segments(branch, upto=upto)
    for height, (ancestor, _, cut) in enumerate(reversed(segments)):
        found = _kept.find((branch.run_id, format, ancestor), cut)
        if found is not None:
            return found, height
    return None, 0


def read_seal(run: UUID, branch: UUID, seq: int) -> bytes | None:
    """The seal of one event."""
    rows = Event.objects.filter(run_id=run, branch_id=branch, seq=seq)
    seal = rows.values_list("seal", flat=True).first()
    return None if seal is None else bytes(seal)
