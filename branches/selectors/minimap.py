"""The whole run in one narrow picture, and how many events of each kind it has.

One aggregate over (position bucket, type): payloads are not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import Count, F

from branches.domain import terms
from branches.domain.telling import KINDS, OTHER, kind_of
from branches.models import Event, Run
from branches.selectors.run_lines import Lines

BUCKETS: Final = 330
HEIGHT: Final = 720
WIDTH: Final = 44
_TOP: Final = 4
_LEFT: Final = 6
_BROADEST: Final = 26
# What is drawn wherever it stands, over what is more frequent in its bucket.
_STANDS_OUT: Final = ("errors", "overrides", "approvals", "messages")
_WIDTHS: Final[Mapping[str, int]] = {"calls": 8, "results": 10, "thoughts": 14}
_PLAIN_WIDTH: Final = 7
_CSS: Final[Mapping[str, str]] = {
    "errors": "bad",
    "overrides": "override",
    "approvals": "override",
    "messages": "message",
    "calls": "call",
    "results": "result",
    "thoughts": "thought",
}


@dataclass(frozen=True)
class Bar:
    css: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class Tick:
    """A fork; `hue` is its lane's."""

    hue: int
    y: str


@dataclass(frozen=True)
class Minimap:
    """`first` and `last` are the positions of its upper and lower end.

    `counts` are of events by kind. `overrides` are of rows: a fork and its patches stand in one
    with their override.
    """

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    first: int
    last: int
    label: str
    counts: Mapping[str, int]
    overrides: int
    top: int = _TOP
    height: int = HEIGHT
    width: int = WIDTH


def read_minimap(run: Run, lines: Lines) -> Minimap:
    """One query; it looks at each of the run's events, at its position and type only."""
    events = Event.objects.filter(run=run)
    first, last = lines.first_position, lines.last_position
    span = last - first + 1
    rows = events.values_list((F("position") - first) * BUCKETS / span, "type")
    counted = rows.annotate(n=Count("pk")).order_by()
    buckets: list[dict[str, int]] = [{} for _ in range(BUCKETS)]
    counts = dict.fromkeys((*KINDS, OTHER), 0)
    overrides = sum(1 for b in lines.branches.values() if b.parent_id and not b.override.strip())
    for bucket, event_type, number in counted:
        kind = kind_of(event_type)
        counts[kind] += number
        overrides += number if event_type == terms.OVERRIDE else 0
        place = buckets[min(max(int(bucket), 0), BUCKETS - 1)]
        place[kind] = place.get(kind, 0) + number
    fullest = max((sum(place.values()) for place in buckets), default=1) or 1
    pitch = (HEIGHT - 2 * _TOP) / BUCKETS
    bars = tuple(
        _bar(place, fullest, _TOP + index * pitch, pitch)
        for index, place in enumerate(buckets)
        if place
    )
    return Minimap(
        bars=bars,
        ticks=_ticks(lines, first, span),
        first=first,
        last=last,
        label=(
            f"Whole run: {sum(counts.values()):,} events, {len(lines.branches) - 1:,} forks, "
            f"{counts['errors']:,} errors"
        ),
        counts=counts,
        overrides=overrides,
    )


def _bar(place: Mapping[str, int], fullest: int, y: float, pitch: float) -> Bar:
    kind = next((kind for kind in _STANDS_OUT if kind in place), "")
    width = float(_BROADEST - 4)
    if not kind:
        kind = max(place, key=lambda key: place[key])
        narrow = _WIDTHS.get(kind, _PLAIN_WIDTH)
        width = narrow + (_BROADEST - narrow) * (sum(place.values()) / fullest) / 2
    return Bar(_CSS.get(kind, "result"), f"{y:.1f}", f"{width:.1f}", f"{pitch * 0.68:.2f}")


def _ticks(lines: Lines, first: int, span: int) -> tuple[Tick, ...]:
    inner = HEIGHT - 2 * _TOP
    ticks: dict[int, Tick] = {}
    for key, branch in lines.branches.items():
        if branch.parent_id:
            y = _TOP + (lines.fork_positions[key] - first) / span * inner
            # Of forks at one pixel the first is drawn.
            ticks.setdefault(round(y), Tick((lines.lanes[key] - 1) % 5 + 1, f"{y:.1f}"))
    return tuple(ticks.values())
