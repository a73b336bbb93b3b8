"""The page of a run: its head, the rail of branches, one window of events, and one event in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from django.urls import NoReverseMatch, reverse

from branches.domain.lanes import TreeRow, branch_cell, walk_tree, width
from branches.domain.search_query import begin_words
from branches.domain.telling import OTHER
from branches.domain.terms import ENDED, Status
from branches.models import Branch, Event, Run
from branches.selectors.event_page import EventDetail, Reader, tell_detail
from branches.selectors.events import read_run
from branches.selectors.judged import Head, ReadReports, ReadVerdicts, no_reports, no_verdicts
from branches.selectors.minimap import Minimap, read_minimap
from branches.selectors.run_lines import Lines, read_lines
from branches.selectors.run_rows import (
    CHUNK,
    FIRST_ROWS,
    EventRow,
    Window,
    drop_echoes,
    read_window,
    tell_rows,
)
from branches.selectors.run_search import Found, search_run
from branches.selectors.run_view import View
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.kit.refusals import NotFound

# A larger run sends its minimap after the page: counting it takes longer than all of the rest.
INLINE_MINIMAP: Final = 20_000

# A rail of more branches than this shows those around the chosen one.
RAIL_ROWS: Final = 100
# Without a chosen branch; each branch alone offers its own.
MAX_MOVES: Final = 20

_KIND_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "messages": ("Messages", "message-square"),
    "thoughts": ("Thoughts", "message-circle-dashed"),
    "calls": ("Tool calls", "terminal"),
    "results": ("Results", "corner-down-right"),
    "overrides": ("Overrides", "pencil-line"),
    "approvals": ("Approvals", "hand"),
    "errors": ("Errors", "triangle-alert"),
    OTHER: ("Other", "braces"),
}


@dataclass(frozen=True)
class RailRow:
    """A branch in the rail: `verdict` is a gate's word where one is known, else `status` is told."""

    id: UUID
    label: str
    lane: int
    number: int
    depth: int
    graph: str
    status: str
    verdict: str
    note: str
    href: str
    current: bool
    head_seq: int


@dataclass(frozen=True)
class RailEdge:
    """So many branches lie beyond the rail; `href` shows the next of them."""

    count: int
    href: str


@dataclass(frozen=True)
class KindRow:
    key: str
    name: str
    icon: str
    shown: bool
    count: int | None


@dataclass(frozen=True)
class Move:
    """A branch whose agent the reader may pause, resume or abandon."""

    branch: UUID
    label: str
    number: int
    lane: int
    to: str
    url: str
    abandon_url: str


@dataclass(frozen=True)
class RunHead:
    goal: str
    number: int
    state: str
    agent: str
    model: str
    origin: str
    started: datetime
    touched: datetime
    branches: int
    events: int
    tokens: int
    compare_url: str
    verdicts_url: str
    moves: tuple[Move, ...]


@dataclass(frozen=True)
class Search:
    text: str
    found: Found
    place: int
    next_href: str
    previous_href: str
    begun_href: str
    ids: str

    @property
    def total(self) -> int:
        return len(self.found.hits)


@dataclass(frozen=True)
class RunPage:
    """Everything of a run's page. `minimap` is None where it is to be fetched by itself."""

    run: UUID
    project: Project
    view: View
    suffix: str
    head: RunHead
    rail: tuple[RailRow, ...]
    kinds: tuple[KindRow, ...]
    rows: tuple[EventRow, ...]
    lane_width: int
    earlier: str
    later: str
    minimap: Minimap | None
    search: Search | None
    detail: EventDetail | None
    reader: Reader
    edges: tuple[RailEdge | None, RailEdge | None] = (None, None)
    notice: str = ""
    screen: str = "run"
    nav: str = "runs"
    title: str = ""
    socket: str = ""
    minimap_url: str = ""
    rows_url: str = ""

    @property
    def fold_href(self) -> str:
        return self.view.href(folded=True)

    @property
    def unfold_href(self) -> str:
        return self.view.href(folded=False)

    @property
    def all_lanes_href(self) -> str:
        return self.view.href(branch=None, after=None, before=None)

    @property
    def newest_href(self) -> str:
        return self.view.href(event=None, after=None, before=None, q="")


@dataclass(frozen=True)
class RowsPage:
    """One chunk of rows, and where the chunks beside it are."""

    view: View
    suffix: str
    rows: tuple[EventRow, ...]
    earlier: str
    later: str


@dataclass(frozen=True)
class SidePage:
    """What changes around the rows when the run moves on."""

    run: UUID
    view: View
    head: RunHead
    rail: tuple[RailRow, ...]
    minimap: Minimap | None = None
    kinds: tuple[KindRow, ...] = ()
    edges: tuple[RailEdge | None, RailEdge | None] = (None, None)


def read_run_page(
    *,
    actor: Actor,
    view: View,
    read_verdicts: ReadVerdicts = no_verdicts,
    error_sought: bool = False,
) -> RunPage:
    """The page that a view asks for.

    A constant number of queries, whatever the run holds; a search adds some for each thousand
    events that the index has not seen. `error_sought` says that the reader was led back here
    because no later event is an error.
    """
    run = read_run(actor=actor, run_id=view.run)
    lines = read_lines(run, branch=view.branch)
    found = search_run(run, lines, view.q) if view.q else Found()
    asked = view.event or (found.hits[0] if found.hits and view.after is None else None)
    window = _read_window(run, view, lines, asked)
    selected = asked or _newest_shown(window, lines)
    chosen = _find_chosen(run, window, selected)
    judged = read_verdicts(lines.branches.values(), _head(chosen))
    rows = tell_rows(
        window.events,
        view,
        lines,
        selected=selected,
        hits=frozenset(found.hits),
        verdicts=judged.words,
    )
    reader = read_reader(actor, run)
    near = window if chosen in window.events else None
    small = lines.events <= INLINE_MINIMAP
    minimap = read_minimap(run, lines) if small else None
    return RunPage(
        run=run.pk,
        project=run.project,
        view=view,
        suffix=view.suffix,
        head=make_head(run, lines, view, reader),
        rail=make_rail(lines, view, judged.words),
        kinds=make_kinds(view, minimap),
        rows=tuple(rows),
        lane_width=width(lines.width),
        earlier=_earlier_href(view, window),
        later=_later_href(view, window),
        minimap=minimap,
        search=_make_search(view, found, selected) if view.q else None,
        detail=tell_detail(
            chosen, view=view, lines=lines, reader=reader, near=near, reports=judged.reports
        )
        if chosen
        else None,
        reader=reader,
        edges=make_edges(lines, view),
        notice="There is no error after this event." if error_sought else "",
        title=f"r-{run.number} {run.goal[:80]}",
        socket=f"/ws/runs/{run.pk}/",
        minimap_url=reverse("run-minimap", args=[run.pk]),
        rows_url=reverse("run-rows", args=[run.pk]),
    )


def _read_window(run: Run, view: View, lines: Lines, asked: UUID | None) -> Window:
    """A cursor wins over the event: the event stays chosen while its reader looks further on."""
    by_cursor = view.after is not None or view.before is not None
    seen = replace(view, event=None if by_cursor else asked)
    return read_window(run, seen, lines, limit=FIRST_ROWS)


def _newest_shown(window: Window, lines: Lines) -> UUID | None:
    """The last event with a row of its own: the question, not the pause that it brought about."""
    shown = list(drop_echoes(window.events, lines.branches))
    return shown[-1].event_id if shown else None


def _earlier_href(view: View, window: Window) -> str:
    return view.href(event=None, after=None, before=window.before) if window.before else ""


def _later_href(view: View, window: Window) -> str:
    return view.href(event=None, before=None, after=window.after) if window.after else ""


def read_rows_page(
    *, actor: Actor, view: View, limit: int = CHUNK, read_verdicts: ReadVerdicts = no_verdicts
) -> RowsPage:
    """One chunk of the view's rows."""
    run = read_run(actor=actor, run_id=view.run)
    lines = read_lines(run, branch=view.branch)
    window = read_window(run, view, lines, limit=limit)
    words = read_verdicts(lines.branches.values(), None).words
    rows = tell_rows(window.events, view, lines, selected=view.event, verdicts=words)
    return RowsPage(
        view=view,
        suffix=view.suffix,
        rows=tuple(rows),
        earlier=_earlier_href(view, window),
        later=_later_href(view, window),
    )


def read_side_page(
    *,
    actor: Actor,
    view: View,
    with_minimap: bool = False,
    read_verdicts: ReadVerdicts = no_verdicts,
) -> SidePage:
    """The head and the rail, and the minimap if it is asked for."""
    run = read_run(actor=actor, run_id=view.run)
    lines = read_lines(run, branch=view.branch)
    minimap = read_minimap(run, lines) if with_minimap else None
    return SidePage(
        run=run.pk,
        view=view,
        head=make_head(run, lines, view, read_reader(actor, run)),
        rail=make_rail(lines, view, read_verdicts(lines.branches.values(), None).words),
        minimap=minimap,
        kinds=make_kinds(view, minimap),
        edges=make_edges(lines, view),
    )


def read_detail(
    *,
    actor: Actor,
    event: Event,
    view: View,
    draft: Mapping[str, str] | None = None,
    read_reports: ReadReports = no_reports,
) -> EventDetail:
    """One event in full, for a reader who may see its run."""
    run = read_run(actor=actor, run_id=event.run_id)
    lines = read_lines(run, branch=view.branch)
    return tell_detail(
        event,
        view=view,
        lines=lines,
        reader=read_reader(actor, run),
        draft=draft,
        reports=read_reports(event.branch_id, bytes(event.digest)),
    )


def read_reader(actor: Actor, run: Run) -> Reader:
    return Reader(
        may_fork=actor.may(run.project_id, Right.FORK),
        may_steer=actor.may(run.project_id, Right.STEER),
        may_answer=actor.may(run.project_id, Right.ANSWER),
    )


def _head(event: Event | None) -> Head | None:
    return (event.branch_id, bytes(event.digest)) if event else None


def _find_chosen(run: Run, window: Window, selected: UUID | None) -> Event | None:
    if selected is None:
        return None
    here = next((event for event in window.events if event.event_id == selected), None)
    if here is not None:
        return here
    rows = Event.objects.filter(project_id=run.project_id, run=run, event_id=selected)
    found = rows.first()
    if found is None:
        raise NotFound("There is no such event in this run.")
    return found


def _make_search(view: View, found: Found, selected: UUID | None) -> Search:

    def href(by: int) -> str:
        beside = found.beside(selected, by)
        return view.href(event=beside, after=None, before=None) if beside else ""

    begun = begin_words(view.q)
    return Search(
        text=view.q,
        found=found,
        place=found.place(selected),
        next_href=href(1),
        previous_href=href(-1),
        begun_href=view.href(q=begun, after=None, before=None) if begun else "",
        ids=" ".join(str(hit) for hit in found.hits),
    )


def make_kinds(view: View, minimap: Minimap | None) -> tuple[KindRow, ...]:
    counts = {**minimap.counts, "overrides": minimap.overrides} if minimap else {}
    return tuple(
        KindRow(
            key=key,
            name=name,
            icon=icon,
            shown=key in view.kinds,
            count=counts.get(key, 0) if minimap else None,
        )
        for key, (name, icon) in _KIND_NAMES.items()
    )


def make_rail(lines: Lines, view: View, verdicts: Mapping[UUID, str]) -> tuple[RailRow, ...]:
    """The branches as a tree, each parent before its forks.

    Of a large run the RAIL_ROWS around the chosen branch, or the first; a row at either edge says
    how many lie beyond, and leads to them.
    """
    walked = walk_tree({key: row.parent_id for key, row in lines.branches.items()})
    shown = _rail_window([key for key, _, _ in walked], view.branch)
    tree = [
        TreeRow(lines.lanes[key], depth, None if parent is None else parent - shown.start)
        for key, depth, parent in walked[shown.start : shown.stop]
    ]
    return tuple(
        _rail_row(lines, view, verdicts, key, depth, branch_cell(index, tree))
        for index, (key, depth, _) in enumerate(walked[shown.start : shown.stop])
    )


def make_edges(lines: Lines, view: View) -> tuple[RailEdge | None, RailEdge | None]:
    """What the rail leaves out above and below, each with a way there."""
    keys = [key for key, _, _ in walk_tree({k: r.parent_id for k, r in lines.branches.items()})]
    shown = _rail_window(keys, view.branch)

    def edge(count: int, at: int) -> RailEdge | None:
        if count < 1:
            return None
        return RailEdge(
            count, view.href(branch=keys[at], event=None, after=None, before=None, q="")
        )

    return edge(shown.start, shown.start - 1), edge(len(keys) - shown.stop, shown.stop)


def _rail_window(keys: Sequence[UUID], chosen: UUID | None) -> range:
    at = keys.index(chosen) if chosen in keys else 0
    start = max(0, min(at - RAIL_ROWS // 2, len(keys) - RAIL_ROWS))
    return range(start, min(start + RAIL_ROWS, len(keys)))


def _rail_row(
    lines: Lines, view: View, verdicts: Mapping[UUID, str], key: UUID, depth: int, graph: str
) -> RailRow:
    branch = lines.branches[key]
    waits = lines.waits_since(key)
    ended = Status(branch.status) in ENDED
    return RailRow(
        id=key,
        label=branch.label,
        lane=lines.lanes[key],
        number=branch.number,
        depth=depth,
        graph=graph,
        status="stasis" if waits else branch.status,
        verdict="" if waits or ended else verdicts.get(key, ""),
        note=_rail_note(branch, lines),
        href=view.href(branch=key, event=None, after=None, before=None, q=""),
        current=view.branch == key,
        head_seq=branch.head_seq,
    )


def _rail_note(branch: Branch, lines: Lines) -> str:
    if branch.parent_id is None:
        return f"trunk, {branch.head_seq:,} event{'' if branch.head_seq == 1 else 's'}"
    parent = lines.branches[branch.parent_id]
    who = branch.forked_by or "Imported"
    return f"{who}, forked at {parent.base + (branch.fork_seq or 0):,}"


def make_head(run: Run, lines: Lines, view: View, reader: Reader) -> RunHead:
    branches = list(lines.branches.values())
    return RunHead(
        goal=run.goal,
        number=run.number,
        state=run_state({b.status for b in branches}, waits=bool(lines.asked)),
        agent=run.agent,
        model=run.model,
        origin=run.origin,
        started=run.created_at,
        touched=run.touched_at,
        branches=len(branches),
        events=lines.events,
        tokens=sum(b.tokens for b in branches),
        compare_url=_url_above("compare-open", run) if len(branches) > 1 else "",
        verdicts_url=_url_above("run-verdicts", run),
        moves=_moves(lines, view) if reader.may_steer else (),
    )


def run_state(statuses: set[str], *, waits: bool) -> str:
    """One word for a run: what most wants to be known of its branches."""
    if waits:
        return "stasis"
    order = (Status.RUNNING, Status.PAUSED, Status.MERGED, Status.COMPLETED, Status.ABANDONED)
    return next((status.value for status in order if status in statuses), "")


def _url_above(name: str, run: Run) -> str:
    """A page of the verdicts, which this app does not know; empty where they are absent."""
    try:
        return reverse(name, args=[run.pk])
    except NoReverseMatch:
        return ""


def _moves(lines: Lines, view: View) -> tuple[Move, ...]:
    """What may be paused or resumed: the chosen branch, else every branch that is at work."""
    waiting = {key for key, _ in lines.asked}
    return tuple(
        Move(
            branch=row.pk,
            label=row.label,
            number=row.number,
            lane=lines.lanes[row.pk],
            to="pause" if row.status == Status.RUNNING else "resume",
            url=reverse(
                "branch-move", args=[row.pk, "pause" if row.status == Status.RUNNING else "resume"]
            ),
            abandon_url=reverse("branch-move", args=[row.pk, "abandon"]),
        )
        for row in lines.branches.values()
        if row.status in {Status.RUNNING, Status.PAUSED}
        and row.pk not in waiting
        and view.branch in {None, row.pk}
    )[:MAX_MOVES]
