"""Inline SVG charts: geometry here, colour and type in components.css.

Pure functions of data. Each returns one <svg role="img"> whose label says the numbers, so that
a chart never holds a fact that cannot be read out. Labels are escaped. Sizes are px at 1:1.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe


def draw_svg(across: float, down: float, parts: Iterable[str], label: str) -> SafeString:
    body = "".join(parts)
    head = f'<svg class="chart" viewBox="0 0 {across:g} {down:g}" role="img" '
    return mark_safe(f'{head}aria-label="{escape(label)}">{body}</svg>')  # noqa: S308


def draw_text(x: float, y: float, text: object, css: str = "", anchor: str = "start") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    named = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{where}{named}>{escape(str(text))}</text>'


def draw_line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<path class="{css}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def draw_polyline(
    points: Sequence[tuple[float, float]], css: str, floor: float | None = None
) -> str:
    """A line through the points; with `floor`, the closed area down to it."""
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    if floor is not None:
        d += f"L{points[-1][0]:.1f} {floor:.1f}L{points[0][0]:.1f} {floor:.1f}Z"
    return f'<path class="{css}" d="{d}"/>'


def draw_bar(x: float, y: float, across: float, down: float, css: str = "bar") -> str:
    return f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{across:.1f}" height="{down:.1f}"/>'


def draw_dot(x: float, y: float, css: str = "", radius: float = 3.5) -> str:
    return f'<circle class="{f"dot {css}".strip()}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def round_up(value: float) -> int:
    """The next 1, 2 or 5 times a power of ten: the top of an axis."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if value <= factor * step:
                return factor * step
        step *= 10


def short(number: float) -> str:
    """1500 as 1.5k, 2000000 as 2M: for axes, where the exact figure is not read."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"


@dataclass(frozen=True, slots=True)
class Hour:
    """One bar up and one down. `tick` is printed under it; `partial` says it is not over."""

    up: int
    down: int
    tick: str = ""
    partial: bool = False


_HOURS_LEFT: Final = 34
_HOURS_RIGHT: Final = 8
_HOURS_TOP: Final = 10
_HOURS_FOOT: Final = 20


def draw_hours(
    hours: Sequence[Hour],
    *,
    up_name: str = "events",
    down_name: str = "decisions",
    gap: tuple[int, str] | None = None,
    span: str = "",
    across: int = 920,
    down: int = 164,
) -> SafeString:
    """Up: what agents sent. Down: what people decided, on an own scale. Same hours.

    `gap` points at one hour, by index, and says in words what happened then. `span` names the
    whole time where a bar is no hour: "7 days".
    """
    ups, downs = sum(h.up for h in hours), sum(h.down for h in hours)
    top = round_up(max((h.up for h in hours), default=1) or 1)
    bottom = round_up(max((h.down for h in hours), default=1) or 1)
    right = across - _HOURS_RIGHT
    zero = _HOURS_TOP + (down - _HOURS_TOP - _HOURS_FOOT) * 0.72
    above, below = zero - _HOURS_TOP, down - _HOURS_FOOT - zero
    pitch = (right - _HOURS_LEFT) / max(len(hours), 1)
    parts = []
    for share in (1, 0.5):
        y = zero - share * above
        parts += [
            draw_line(_HOURS_LEFT, y, right, y, "grid"),
            draw_text(_HOURS_LEFT - 6, y + 4, short(top * share), anchor="end"),
        ]
    parts.append(draw_text(_HOURS_LEFT - 6, zero + 4, 0, anchor="end"))
    for index, hour in enumerate(hours):
        x = _HOURS_LEFT + index * pitch
        parts += _draw_hour(hour, x, pitch, zero, above / top, below / bottom)
        if hour.tick:
            parts.append(draw_text(x + 1, down - 4, hour.tick))
    parts.append(draw_line(_HOURS_LEFT, zero + 0.5, right, zero + 0.5, "axis"))
    if gap:
        x = _HOURS_LEFT + (gap[0] + 0.5) * pitch
        parts += [
            draw_line(x, _HOURS_TOP + 4, x, zero - 8, "rule"),
            draw_text(x - 4, _HOURS_TOP + 10, gap[1], "label", "end"),
        ]
    label = f"{ups:,} {up_name} and {downs:,} {down_name} in {span or f'{len(hours)} hours'}"
    return draw_svg(across, down, parts, f"{label}; {gap[1]}" if gap else label)


def _draw_hour(
    hour: Hour, x: float, pitch: float, zero: float, up_scale: float, down_scale: float
) -> list[str]:
    across, css = max(pitch - 2.5, 1), "bar soft" if hour.partial else "bar"
    up, down = hour.up * up_scale, hour.down * down_scale
    bars = [draw_bar(x + 1, zero - up, across, up, css)] if up else []
    return bars + ([draw_bar(x + 1, zero + 1.5, across, down, "bar now")] if down else [])


_AGE_ROW: Final = 25


def draw_ages(
    buckets: Sequence[tuple[str, int]],
    *,
    late_from: int | None = None,
    promise: str = "",
    across: int = 440,
) -> SafeString:
    """One bar per age, youngest first. From index `late_from` on, the promise is broken."""
    left, right, top = 92, 40, 4
    most = max((count for _, count in buckets), default=0) or 1
    down = top + len(buckets) * _AGE_ROW + 6
    parts = []
    for index, (name, count) in enumerate(buckets):
        y = top + index * _AGE_ROW
        length = count / most * (across - left - right)
        parts.append(draw_text(left - 10, y + 15, name, "label-2", "end"))
        if count:
            parts.append(draw_bar(left, y + 4, length, _AGE_ROW - 9))
        parts.append(draw_text(left + length + 7, y + 15, f"{count:,}", "label"))
    parts.append(draw_line(left, top, left, down - 6, "axis"))
    if late_from is not None:
        y = top + late_from * _AGE_ROW - 1
        parts += [
            draw_line(4, y, across - 4, y, "limit"),
            draw_text(across - 4, y + 13, promise, "label fail", "end"),
        ]
    said = ", ".join(f"{count} {name}" for name, count in buckets) or "nothing"
    return draw_svg(across, down, parts, f"Waiting: {said}")


_NAME_LETTERS: Final = 20


@dataclass(frozen=True, slots=True)
class Share:
    """One bar by name; `mine` is the reader's own, in blue."""

    name: str
    count: int
    mine: bool = False


def draw_counts(counts: Sequence[Share], *, label: str, across: int = 440) -> SafeString:
    """One bar a name, in the order that is given. `label` names the figure."""
    left, right, top = 138, 48, 4
    most = max((one.count for one in counts), default=0) or 1
    down = top + len(counts) * _AGE_ROW + 6
    parts = []
    for index, one in enumerate(counts):
        y = top + index * _AGE_ROW
        length = one.count / most * (across - left - right)
        name = one.name if len(one.name) <= _NAME_LETTERS else f"{one.name[: _NAME_LETTERS - 1]}…"
        parts.append(draw_text(left - 10, y + 15, name, "label" if one.mine else "label-2", "end"))
        parts.append(
            draw_bar(left, y + 4, length, _AGE_ROW - 9, "bar human" if one.mine else "bar")
        )
        parts.append(draw_text(left + length + 7, y + 15, f"{one.count:,}", "label"))
    parts.append(draw_line(left, top, left, down - 6, "axis"))
    said = ", ".join(f"{one.name} {one.count:,}" for one in counts) or "nobody"
    return draw_svg(across, down, parts, f"{label}: {said}")


@dataclass(frozen=True, slots=True)
class Series:
    """A running total, one value a day. `main` draws it in ink over its area, else soft."""

    name: str
    values: Sequence[int]
    main: bool = False


def draw_scale(
    highest: float, place_y: Callable[[float], float], left: float, right: float
) -> list[str]:
    """Lines across at nought, the middle and the top of an axis, with their numbers."""
    parts = []
    for value in (0, highest / 2, highest):
        y = place_y(value)
        parts += [
            draw_line(left, y, right, y, "grid"),
            draw_text(left - 6, y + 4, short(value), anchor="end"),
        ]
    return parts


def draw_steps(
    series: Sequence[Series],
    ticks: Sequence[tuple[int, str]],
    *,
    note: tuple[int, str] | None = None,
    across: int = 440,
    down: int = 176,
) -> SafeString:
    """Running totals as stairs, named at their ends. All series have the same length.

    `ticks` are (index, text) under the axis; `note` is a dot on the first series with a word.
    """
    left, right, top, foot = 34, 66, 10, 22
    days = max((len(s.values) for s in series), default=0)
    highest = round_up(max((v for s in series for v in s.values), default=1) or 1)

    def place_x(index: int) -> float:
        return left + index * (across - left - right) / max(days - 1, 1)

    def place_y(value: float) -> float:
        return top + (1 - value / highest) * (down - top - foot)

    parts = draw_scale(highest, place_y, left, across - right)
    ends = _spread_labels([place_y(s.values[-1]) if s.values else 0 for s in series])
    for one, end in zip(series, ends, strict=True):
        parts += _draw_stairs(one, place_x, place_y)
        if one.values:
            parts += [
                draw_text(across - right + 8, end - 2, f"{one.values[-1]:,}", "label"),
                draw_text(across - right + 8, end + 11, one.name),
            ]
    if note and series:
        x, y = place_x(note[0]), place_y(series[0].values[note[0]])
        parts += [draw_dot(x, y, "open", 4), draw_text(x + 2, y + 19, note[1], "label-2")]
    for index, tick in ticks:
        anchor = "start" if index == 0 else "end" if index == days - 1 else "middle"
        parts.append(draw_text(place_x(index), down - 5, tick, anchor=anchor))
    said = ", ".join(f"{s.values[-1] if s.values else 0:,} {s.name}" for s in series)
    return draw_svg(across, down, parts, f"{said}; {note[1]}" if note else said)


def _draw_stairs(
    series: Series, place_x: Callable[[int], float], place_y: Callable[[float], float]
) -> list[str]:
    if not series.values:
        return []
    points = [(place_x(0), place_y(series.values[0]))]
    for index, (before, value) in enumerate(
        zip(series.values, series.values[1:], strict=False), start=1
    ):
        points += [(place_x(index), place_y(before)), (place_x(index), place_y(value))]
    area = [draw_polyline(points, "area", place_y(0))] if series.main else []
    return [*area, draw_polyline(points, "curve" if series.main else "curve soft")]


def _spread_labels(places: Sequence[float], apart: float = 28) -> list[float]:
    """The same places, moved up where two labels would overlap."""
    order = sorted(range(len(places)), key=lambda i: -places[i])
    out, lowest = list(places), float("inf")
    for index in order:
        out[index] = lowest = min(places[index], lowest - apart)
    return out


def draw_spark(
    values: Sequence[int], *, label: str, across: int = 96, down: int = 18
) -> SafeString:
    """One small bar per value. `label` names what is counted; the numbers are added to it."""
    most, pitch = max(values, default=0) or 1, across / max(len(values), 1)
    bars = [
        draw_bar(i * pitch, down - v / most * down, pitch - 1.5, v / most * down)
        for i, v in enumerate(values)
    ]
    drawn = draw_svg(across, down, bars, f"{label}: {', '.join(map(str, values))}")
    return mark_safe(drawn.replace('class="chart"', 'class="chart spark"', 1))  # noqa: S308


@dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch of a run's events. `kind`: call, result, thought, edit, message, bad or override,
    the most telling one inside; `weight` from 0 to 1 is its share of the heaviest bucket.
    """

    kind: str
    weight: float


MINIMAP_KINDS: Final = frozenset(
    {"call", "result", "thought", "edit", "message", "bad", "override"}
)


def draw_minimap(
    buckets: Sequence[Bucket],
    *,
    forks: Sequence[tuple[float, int]] = (),
    window: tuple[float, float] | None = None,
    across: int = 44,
    down: int = 720,
) -> SafeString:
    """The whole run in one strip, top to bottom: one stroke per bucket.

    `forks` are (place from 0 to 1, lane); `window` is the part in view, also from 0 to 1. It is
    decoration beside a list that says the same, so it is hidden from screen readers.
    """
    pitch = (down - 8) / max(len(buckets), 1)
    parts = []
    for index, bucket in enumerate(buckets):
        kind = bucket.kind if bucket.kind in MINIMAP_KINDS else "call"
        length = 4 + 22 * min(max(bucket.weight, 0), 1)
        parts.append(draw_bar(6, 4 + index * pitch, length, min(pitch * 0.68, 5), f"mm-{kind}"))
    for place, lane in forks:
        y = 4 + min(max(place, 0), 1) * (down - 8)
        hue = (lane - 1) % 5 + 1 if lane else 0
        parts.append(f'<path class="mm-fork" data-lane="{hue}" d="M33 {y:.1f}h7"/>')
    if window:
        y, end = (4 + min(max(part, 0), 1) * (down - 8) for part in window)
        parts.append(
            f'<rect class="mm-window" x="1.5" y="{y:.1f}" width="{across - 3}" '
            f'height="{max(end - y, 6):.1f}" rx="2"/>'
        )
    return mark_safe(  # noqa: S308 - numbers and the kinds above
        f'<svg class="minimap-art" viewBox="0 0 {across} {down}" preserveAspectRatio="none" '
        f'aria-hidden="true">{"".join(parts)}</svg>'
    )


@dataclass(frozen=True, slots=True)
class FailingRow:
    """One failure over the iterations: the numbers, from 1, of those in which it stood."""

    mark: str
    label: str
    at: frozenset[int]


_FAILING_LEFT: Final = 190
_FAILING_RIGHT: Final = 96
_FAILING_TOP: Final = 20
_FAILING_CURVE: Final = 64
_FAILING_ROW: Final = 18
_FAILING_LABEL: Final = 22


def draw_failing(
    rows: Sequence[FailingRow],
    *,
    ticks: Sequence[str],
    counts: Sequence[int],
    progressed: Sequence[bool],
    across: int = 960,
) -> SafeString:
    """The size of the failing set over iterations, and under it which failures they are.

    `ticks` names the iterations, oldest first, and `counts` has the size of the whole set in each:
    it may be more than the rows that are shown. `progressed` fills an iteration's dot; a row's
    first cell after an absence is outlined.
    """
    pitch = (across - _FAILING_LEFT - _FAILING_RIGHT) / max(len(ticks), 1)
    foot = _FAILING_TOP + _FAILING_CURVE + 22 + len(rows) * _FAILING_ROW
    parts = _draw_failing_curve(counts, progressed, pitch, across)
    for index, row in enumerate(rows):
        y = _FAILING_TOP + _FAILING_CURVE + 22 + index * _FAILING_ROW
        parts += _draw_failing_row(row, y, len(ticks), pitch, across)
    for index, tick in enumerate(ticks, start=1):
        css = "label" if index == len(ticks) else ""
        parts.append(draw_text(_middle(index, pitch), foot + 18, tick, css, "middle"))
    parts.append(draw_text(_FAILING_LEFT - 8, foot + 18, "iteration", anchor="end"))
    told = ", ".join(map(str, counts))
    return draw_svg(across, foot + 24, parts, f"Failing set over {len(ticks)} iterations: {told}.")


def _middle(index: int, pitch: float) -> float:
    return _FAILING_LEFT + (index - 0.5) * pitch


def _draw_failing_curve(
    counts: Sequence[int], progressed: Sequence[bool], pitch: float, across: int
) -> list[str]:
    top = round_up(max(counts, default=1) or 1)
    parts = []
    for value in sorted({0, top // 2, top}):
        y = _FAILING_TOP + (1 - value / top) * _FAILING_CURVE
        parts += [
            draw_line(_FAILING_LEFT, y, across - _FAILING_RIGHT, y, "grid"),
            draw_text(_FAILING_LEFT - 8, y + 4, value, anchor="end"),
        ]
    points = [
        (_middle(index, pitch), _FAILING_TOP + (1 - count / top) * _FAILING_CURVE)
        for index, count in enumerate(counts, start=1)
    ]
    if points:
        parts.append(draw_polyline(points, "curve"))
    for (x, y), count, forward in zip(points, counts, progressed, strict=True):
        parts += [
            draw_dot(x, y, "pass" if forward else "open", 4.5),
            draw_text(x, y - 9, count, "label", "middle"),
        ]
    return parts


def _draw_failing_row(
    row: FailingRow, y: float, iterations: int, pitch: float, across: int
) -> list[str]:
    cut = row.label if len(row.label) <= _FAILING_LABEL else f"{row.label[: _FAILING_LABEL - 1]}…"
    right = across - _FAILING_RIGHT
    parts = [
        draw_text(8, y + 13, row.mark, "mono"),
        draw_text(44, y + 13, cut, "label-2"),
        draw_line(_FAILING_LEFT, y + _FAILING_ROW - 0.5, right, y + _FAILING_ROW - 0.5, "grid"),
    ]
    for index in sorted(row.at):
        new = index > 1 and index - 1 not in row.at
        x = _middle(index, pitch) - pitch / 2 + 3
        css = "cell new" if new else "cell"
        parts.append(
            f'<rect class="{css}" x="{x:.1f}" y="{y + 4:.1f}" width="{pitch - 6:.1f}" '
            f'height="{_FAILING_ROW - 8}" rx="2"/>'
        )
    last = max(row.at)
    still = last == iterations
    word = "open" if still else f"gone at {last + 1}"
    parts.append(draw_text(right + 8, y + 13, word, "label fail" if still else ""))
    return parts


@dataclass(frozen=True, slots=True)
class Rates:
    """Two shares from 0 to 1 of one run; None where that half did not run."""

    tick: str
    upper: float | None
    lower: float | None


def draw_rates(
    runs: Sequence[Rates],
    *,
    upper_name: str,
    lower_name: str,
    leaked: bool = False,
    across: int = 620,
    down: int = 190,
) -> SafeString:
    """Two shares over runs, oldest first, in per cent, named at their ends; between them lies the
    gap. `leaked` draws the lower one as a failure."""
    left, right, top, foot = 40, 112, 12, 24

    def place(index: int, share: float) -> tuple[float, float]:
        step = (across - left - right) / max(len(runs) - 1, 1)
        return left + index * step, top + (1 - share) * (down - top - foot)

    parts = []
    for share in (0, 0.5, 1):
        y = place(0, share)[1]
        parts += [
            draw_line(left, y, across - right, y, "grid"),
            draw_text(left - 6, y + 4, tell_percent(share), anchor="end"),
        ]
    upper = [place(i, run.upper) for i, run in enumerate(runs) if run.upper is not None]
    lower = [place(i, run.lower) for i, run in enumerate(runs) if run.lower is not None]
    if upper and lower:
        around = "L".join(f"{x:.1f} {y:.1f}" for x, y in [*upper, *reversed(lower)])
        parts.append(f'<path class="area" d="M{around}Z"/>')
    lines = ((upper, upper_name, "curve", ""), (lower, lower_name, _lower_css(leaked), "open"))
    ends = _part_labels(*(line[-1][1] if line else down for line, *_ in lines), top=top + 12)
    for (line, name, css, dot), end in zip(lines, ends, strict=True):
        if line:
            parts += _draw_rate(line, css, dot)
            share = (down - foot - line[-1][1]) / (down - top - foot)
            parts += [
                draw_text(across - right + 10, end - 2, tell_percent(share), "label"),
                draw_text(across - right + 10, end + 11, name),
            ]
    for index in sorted({0, len(runs) - 1} if runs else set()):
        anchor = "start" if index == 0 else "end"
        parts.append(draw_text(place(index, 0)[0], down - 6, runs[index].tick, anchor=anchor))
    return draw_svg(across, down, parts, _tell_rates(runs, upper_name, lower_name))


def tell_percent(share: float) -> str:
    """A share of 1, as all pages write it."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _part_labels(one: float, two: float, *, top: float, apart: float = 28) -> tuple[float, float]:
    """The places of two labels of two lines each, moved apart around their middle where they would
    overlap, and never above `top`."""
    if abs(one - two) >= apart:
        return max(one, top), max(two, top)
    first = max((one + two - apart) / 2, top)
    return (first, first + apart) if one <= two else (first + apart, first)


def _lower_css(leaked: bool) -> str:
    return "curve fail" if leaked else "curve soft"


def _draw_rate(line: Sequence[tuple[float, float]], css: str, dot: str) -> list[str]:
    # One run alone has no line, and a long row of dots hides it.
    dots = line if len(line) <= 24 else line[-1:]
    drawn = [draw_polyline(line, css)] if len(line) > 1 else []
    return [*drawn, *(draw_dot(x, y, dot) for x, y in dots)]


def _tell_rates(runs: Sequence[Rates], upper_name: str, lower_name: str) -> str:
    def told(shares: Iterable[float | None]) -> str:
        return ", ".join("none" if share is None else tell_percent(share) for share in shares)

    upper, lower = told(run.upper for run in runs), told(run.lower for run in runs)
    return f"Passed over {len(runs)} runs: {upper_name} {upper}; {lower_name} {lower}"
