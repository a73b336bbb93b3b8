"""Lane graph geometry: pure functions from rows to one small SVG per row.

A lane cell knows only its own row, so rows can be windowed, swapped and re-ordered without
redrawing a neighbour. Rows are named by any rising integer (a journal position): places are
only ever compared, never subtracted, so gaps and filtered rows do no harm.

The SVG is made of numbers and fixed words only; nothing that was passed in as text is printed.
Colours and strokes are the style sheet's (`.lanes`).
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final, Literal

PITCH: Final = 14
LEFT: Final = 14
RIGHT: Final = 6
ROW: Final = 28
TURN: Final = 5
HUES: Final = 5
# Lanes beyond these columns share the last one, dotted, so that a run with 50 branches stays readable.
COLUMNS: Final = 8

TREE_PITCH: Final = 12
TREE_LEFT: Final = 9
TREE_ROW: Final = 44
TREE_MIDDLE: Final = 15
TREE_DEPTH: Final = 6

type End = Literal["open", "running", "stasis", "done", "merged", "abandoned"]


@dataclass(frozen=True, slots=True)
class Span:
    """Where one branch runs. All places are positions of rows.

    `first` is the event it was forked after (a row of another lane), or for a root its own first
    event. `last` is its own last event; a fork without events has `last` equal to `first`.
    `merged_at` is the merge event, on the winner's lane, that it flowed into.
    """

    lane: int
    first: int
    last: int
    end: End = "open"
    merged_at: int | None = None
    root: bool = False

    @property
    def stop(self) -> int:
        return self.last if self.merged_at is None else self.merged_at


@dataclass(frozen=True, slots=True)
class Start[K: Hashable]:
    """What decides a branch's lane: whose fork it is (None for a root), and when it was made.

    `made` is any integer that rises with time. The place of the fork will not do: a fork made
    today after an old event would push younger lanes aside.
    """

    key: K
    parent: K | None
    made: int


def assign_lanes[K: Hashable](branches: Iterable[Start[K]]) -> dict[K, int]:
    """A lane for each branch: 0 for the trunk, then the lowest free one right of the parent's.

    Branches may come in any order; those made earlier choose first, so a branch keeps its lane
    for the whole run. A branch with an unknown parent lies right of the trunk, and so do
    branches that are each other's ancestors.
    """
    made = sorted(branches, key=lambda branch: branch.made)
    known = {branch.key for branch in made}
    children: dict[K | None, list[int]] = defaultdict(list)
    for index, branch in enumerate(made):
        children[branch.parent if branch.parent in known else None].append(index)
    lanes: dict[K, int] = {}
    taken: set[int] = set()
    ready = children[None][:]
    heapify(ready)
    while len(lanes) < len(known):
        if not ready:
            ready = [next(i for i, branch in enumerate(made) if branch.key not in lanes)]
        branch = made[heappop(ready)]
        if branch.key in lanes:
            continue
        lane = 0 if branch.parent is None else lanes.get(branch.parent, 0) + 1
        while lane in taken:
            lane += 1
        lanes[branch.key] = lane
        taken.add(lane)
        for index in children.get(branch.key, []):
            heappush(ready, index)
    return lanes


def column(lane: int) -> int:
    return min(lane, COLUMNS - 1)


def x(lane: int) -> int:
    return LEFT + column(lane) * PITCH


def width(lanes: int) -> int:
    """How wide every cell of a run with this many lanes is, in px."""
    return LEFT + RIGHT + column(max(lanes - 1, 0)) * PITCH


def hue(lane: int) -> str:
    """Lane 0 is ink. Five hues follow, then repeat dashed."""
    again = " data-again" if lane > HUES else ""
    return f'data-lane="{(lane - 1) % HUES + 1 if lane else 0}"{again}'


def _path(lane: int, d: str, css: str = "lane") -> str:
    return f'<path class="{css}" {hue(lane)} d="{d}"/>'


def _bridged(lane: int, d: str) -> str:
    """A connector over a halo in the row's own background, so that crossings read as bridges."""
    return _path(lane, d, "halo") + _path(lane, d)


def _draw_passing(at: int, own: int, spans: Iterable[Span], height: int) -> str:
    passing: dict[int, list[int]] = defaultdict(list)
    for span in spans:
        if span.lane != own and span.first < at < span.stop and column(span.lane) != column(own):
            passing[column(span.lane)].append(span.lane)
    out = []
    for lanes in passing.values():
        css = "lane shared" if len(lanes) > 1 else "lane"
        out.append(_path(min(lanes), f"M{x(lanes[0])} 0V{height}", css))
    return "".join(out)


def _draw_own(at: int, span: Span, kind: str, height: int) -> str:
    middle = height // 2
    above, below = at > span.first, at < span.stop
    if above and below:
        css = "lane folded" if kind == "fold" else "lane"
        return _path(span.lane, f"M{x(span.lane)} 0V{height}", css)
    if above:
        return _path(span.lane, f"M{x(span.lane)} 0V{middle}")
    if below:
        return _path(span.lane, f"M{x(span.lane)} {middle}V{height}")
    return ""


def _draw_forks(own: int, forks: Sequence[Span], height: int) -> str:
    """Forks leave to the right and turn down; the farthest leaves highest, so none cross."""
    out, left, middle = [], x(own), height // 2
    for step, fork in enumerate(forks):
        y, to = min(middle + 4 * step, height - TURN - 1), x(fork.lane)
        out.append(
            _bridged(fork.lane, f"M{left} {y}H{to - TURN}Q{to} {y} {to} {y + TURN}V{height}")
        )
    return "".join(out)


def _draw_merges(own: int, merges: Sequence[Span], height: int) -> str:
    """Merges come down and turn into the node, from either side."""
    out, to, middle = [], x(own), height // 2
    for merge in merges:
        start = x(merge.lane)
        turned = start - TURN if start > to else start + TURN
        out.append(
            _bridged(
                merge.lane,
                f"M{start} 0V{middle - TURN}Q{start} {middle} {turned} {middle}H{to}",
            )
        )
    return "".join(out)


def _disc(lane: int, y: int, radius: float, css: str = "node solid") -> str:
    return f'<circle class="{css}" {hue(lane)} cx="{x(lane)}" cy="{y}" r="{radius}"/>'


def _draw_end(span: Span, y: int) -> str:
    """The mark of a branch's last event, if its state has one."""
    lane, cx = span.lane, x(span.lane)
    if span.end == "stasis":
        return (
            f'<rect class="node blank" x="{cx - 6}" y="{y - 6}" width="12" height="12" rx="2"/>'
            + _path(
                lane,
                f"M{cx - 2.5} {y - 4.5}V{y + 4.5}M{cx + 2.5} {y - 4.5}V{y + 4.5}",
                "node bars",
            )
        )
    if span.end == "running":
        return _disc(lane, y, 4.5, "node ring live") + _disc(lane, y, 1.6)
    if span.end == "abandoned":
        foot = f"M{cx} {y}V{y + 6}M{cx - 4.5} {y + 6.5}H{cx + 4.5}"
        return _path(lane, foot, "node bars") + _disc(lane, y, 3)
    return ""


def _draw_node(at: int, span: Span, kind: str, forked: bool, y: int) -> str:
    lane, cx = span.lane, x(span.lane)
    if kind == "fold":
        return ""
    if kind == "override":
        return (
            f'<rect class="node pencil" x="{cx - 4.5}" y="{y - 4.5}" width="9" height="9" rx="2"/>'
        )
    if kind == "merge":
        d = f"M{cx} {y - 6.5}L{cx + 6.5} {y}L{cx} {y + 6.5}L{cx - 6.5} {y}Z"
        return _path(lane, d, "node solid")
    if at == span.last and (mark := _draw_end(span, y)):
        return mark
    if forked:
        return _disc(lane, y, 4.5, "node ring") + _disc(lane, y, 2)
    return _disc(lane, y, 5 if kind in {"user", "assistant", "approval"} else 3.6)


def _svg(across: int, height: int, body: str) -> str:
    return (
        f'<svg class="lanes" width="{across}" height="{height}" '
        f'viewBox="0 0 {across} {height}" aria-hidden="true">{body}</svg>'
    )


def lane_cell[K: Hashable](
    *, at: int, branch: K, kind: str, spans: Mapping[K, Span], height: int = ROW
) -> str:
    """The graph cell of the row at position `at`, an event of kind `kind` on `branch`.

    Kinds that have a node of their own: fold, override, merge; user, assistant and approval are
    large; all others are small. The cell is as wide for every row of the run.
    """
    own = spans[branch]
    # Of a run with very many branches few are near a row.
    near = [s for s in spans.values() if s.first <= at <= s.stop]
    started = {
        column(s.lane): s
        for s in sorted(near, key=lambda s: -s.lane)
        if s.first == at and s is not own and not s.root and s.lane > own.lane
    }
    forks = [s for place, s in started.items() if place > column(own.lane)]
    merges = [s for s in near if s.merged_at == at and column(s.lane) != column(own.lane)]
    body = (
        _draw_passing(at, own.lane, near, height)
        + _draw_own(at, own, kind, height)
        + _draw_forks(own.lane, forks, height)
        + _draw_merges(own.lane, merges, height)
        + _draw_node(at, own, kind, bool(started), height // 2)
    )
    return _svg(width(max(s.lane for s in spans.values()) + 1), height, body)


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One line of the branch list. `parent` is the index of an earlier row, None for a root."""

    lane: int
    depth: int
    parent: int | None = None


def walk_tree[K: Hashable](parents: Mapping[K, K | None]) -> list[tuple[K, int, int | None]]:
    """Branches as (key, depth, index of the parent's row), each parent before its forks.

    Siblings keep the order of the mapping. A branch whose parent is unknown is a root. Branches
    that are each other's ancestors are left out.
    """
    children: dict[K | None, list[K]] = defaultdict(list)
    for key, parent in parents.items():
        children[parent if parent in parents else None].append(key)
    rows: list[tuple[K, int, int | None]] = []
    stack: list[tuple[K, int, int | None]] = [(key, 0, None) for key in reversed(children[None])]
    while stack:
        row = stack.pop()
        rows.append(row)
        index = len(rows) - 1
        stack += [(key, row[1] + 1, index) for key in reversed(children.get(row[0], []))]
    return rows


def _tree_x(depth: int) -> int:
    return TREE_LEFT + min(depth, TREE_DEPTH) * TREE_PITCH


def branch_cell(index: int, rows: Sequence[TreeRow], *, height: int = TREE_ROW) -> str:
    """The tree beside row `index` of the branch list: one elbow per row.

    Depths beyond the sixth are drawn at the sixth; print the depth beside the name there.
    """
    row, y = rows[index], TREE_MIDDLE
    cx, out = _tree_x(row.depth), []
    if row.parent is not None:
        px = _tree_x(row.depth - 1)
        elbow = f"M{px} 0V{y}" if px == cx else f"M{px} 0V{y - 5}Q{px} {y} {px + 5} {y}H{cx}"
        out.append(_path(row.lane, elbow))
    open_below = False
    for later in rows[index + 1 :]:
        if later.parent is None or later.parent > index:
            continue
        if later.parent < index:
            out.append(_path(later.lane, f"M{_tree_x(later.depth - 1)} 0V{height}"))
        elif not open_below:
            open_below = True
            out.append(_path(later.lane, f"M{cx} {y}V{height}"))
    out.append(f'<circle class="node solid" {hue(row.lane)} cx="{cx}" cy="{y}" r="4"/>')
    across = TREE_LEFT * 2 + min(max(r.depth for r in rows), TREE_DEPTH) * TREE_PITCH
    return _svg(across, height, "".join(out))
