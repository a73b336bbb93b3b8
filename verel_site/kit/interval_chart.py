"""Figures between nought and one with their intervals: one a row, or one a stretch of time.

As in `charts`: pure functions, px at 1:1, and the label says every number that is drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.safestring import SafeString

from verel_site.kit.charts import (
    draw_dot,
    draw_line,
    draw_polyline,
    draw_svg,
    draw_text,
)

# Landis & Koch 1977: from 0.6 agreement is called substantial, from 0.8 almost perfect.
SUBSTANTIAL: Final = 0.6
ALMOST_PERFECT: Final = 0.8

_ROW: Final = 25
_LEFT: Final = 108
_RIGHT: Final = 46
_TOP: Final = 4
_NAME: Final = 17


@dataclass(frozen=True, slots=True)
class Bar:
    """One row. `mine` is the reader's own, `hollow` is no person; `value` is None where undefined."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    mine: bool = False
    hollow: bool = False


def draw_intervals(bars: Sequence[Bar], *, label: str, across: int = 440) -> SafeString:
    """One dot a row with its interval as a line, and the band between "substantial" and "almost
    perfect". A dot below the band is drawn as a failure. `label` names the figure."""
    floor = _floor([value for bar in bars for value in (bar.value, bar.low) if value is not None])

    def place(value: float) -> float:
        share = (min(max(value, floor), 1) - floor) / (1 - floor)
        return _LEFT + share * (across - _LEFT - _RIGHT)

    foot = _TOP + len(bars) * _ROW
    left, right = place(SUBSTANTIAL), place(ALMOST_PERFECT)
    parts = [
        f'<rect class="band" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" '
        f'height="{foot - _TOP}"/>'
    ]
    for tick in _ticks(floor):
        x = place(tick)
        parts += [
            draw_line(x, _TOP, x, foot, "grid"),
            draw_text(x, foot + 15, f"{tick:g}", anchor="middle"),
        ]
    for index, bar in enumerate(bars):
        parts += _draw_row(bar, _TOP + (index + 0.5) * _ROW, across, place)
    said = ", ".join(f"{bar.name} {tell_value(bar.value, bar.low, bar.high)}" for bar in bars)
    return draw_svg(across, foot + 22, parts, f"{label}: {said or 'nothing'}")


def tell_value(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """ "0.81 (0.70 to 0.92)", without what is not known."""
    if value is None:
        return "undefined"
    return (
        f"{value:.2f}" if low is None or high is None else f"{value:.2f} ({low:.2f} to {high:.2f})"
    )


def _floor(values: Sequence[float]) -> float:
    """Where the axis begins: low enough for all, and for the band to be seen."""
    lowest = min(values, default=0.4)
    return next((edge for edge in (0.3, 0.0, -0.5) if lowest >= edge), -1.0)


def _ticks(floor: float) -> tuple[float, ...]:
    if floor > 0:
        return (0.4, 0.6, 0.8, 1)
    return (0, 0.2, 0.4, 0.6, 0.8, 1) if floor == 0 else (-0.5, 0, 0.6, 0.8, 1)


def _draw_row(bar: Bar, y: float, across: int, place: Callable[[float], float]) -> list[str]:
    name = bar.name if len(bar.name) <= _NAME else f"{bar.name[: _NAME - 1]}…"
    poor = bar.value is not None and bar.value < SUBSTANTIAL
    strong = bar.mine or poor
    parts = [draw_text(_LEFT - 10, y + 4, name, "label" if strong else "label-2", "end")]
    if bar.value is None:
        return [*parts, draw_text(across - _RIGHT + 8, y + 4, "–", "label-2")]
    if bar.low is not None and bar.high is not None:
        parts.append(draw_line(place(bar.low), y, place(bar.high), y, "whisker"))
    css = "open" if bar.hollow else "fail" if poor else "human" if bar.mine else ""
    parts.append(draw_dot(place(bar.value), y, css, 4.5))
    told = f"{bar.value:.2f}"
    return [*parts, draw_text(across - _RIGHT + 8, y + 4, told, "label" if strong else "label-2")]


@dataclass(frozen=True, slots=True)
class Point:
    """One stretch of time; `value` is None where there was nothing to tell."""

    tick: str
    value: float | None
    low: float | None = None
    high: float | None = None


def draw_course(
    points: Sequence[Point], *, name: str, across: int = 620, down: int = 176
) -> SafeString:
    """A figure over time, oldest first, over the band of its intervals. A stretch without a value
    breaks neither: the line goes on at the next one. `name` stands at its end."""
    left, right, top, foot = 34, 84, 10, 22
    values = [v for point in points for v in (point.value, point.low) if v is not None]
    floor = next((edge for edge in (0.0, -0.5) if min(values, default=0) >= edge), -1.0)

    def place(index: int, value: float) -> tuple[float, float]:
        step = (across - left - right) / max(len(points) - 1, 1)
        return left + index * step, top + (1 - (value - floor) / (1 - floor)) * (down - top - foot)

    parts = []
    for tick in (floor, SUBSTANTIAL, ALMOST_PERFECT, 1):
        y = place(0, tick)[1]
        parts += [
            draw_line(left, y, across - right, y, "grid"),
            draw_text(left - 6, y + 4, f"{tick:g}", anchor="end"),
        ]
    known = [(at, point) for at, point in enumerate(points) if point.value is not None]
    parts += _draw_spread(known, place)
    line = [place(at, point.value or 0) for at, point in known]
    if len(line) > 1:
        parts.append(draw_polyline(line, "curve"))
    parts += [draw_dot(x, y) for x, y in (line if len(line) <= 31 else line[-1:])]
    if known:
        x, y = line[-1]
        parts += [
            draw_text(x + 10, y + 1, f"{known[-1][1].value:.2f}", "label"),
            draw_text(x + 10, y + 14, name),
        ]
    for index in sorted({0, len(points) - 1} if points else set()):
        anchor = "start" if index == 0 else "end"
        x = place(index, 0)[0]
        parts.append(draw_text(x, down - 4, points[index].tick, anchor=anchor))
    said = ", ".join(f"{p.tick} {tell_value(p.value, p.low, p.high)}" for _, p in known)
    return draw_svg(across, down, parts, f"{name} over time: {said or 'nothing'}")


def _draw_spread(
    known: Sequence[tuple[int, Point]], place: Callable[[int, float], tuple[float, float]]
) -> list[str]:
    """The area between the ends of the intervals; where there is no interval, between nothing."""
    upper = [place(at, point.high) for at, point in known if point.high is not None]
    lower = [place(at, point.low) for at, point in known if point.low is not None]
    if len(upper) < 2:
        return []
    around = "L".join(f"{x:.1f} {y:.1f}" for x, y in [*upper, *reversed(lower)])
    return [f'<path class="area" d="M{around}Z"/>']
