"""How items of one type fade: the curve in use, the one that logs say, and the hits behind that."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.safestring import SafeString

from memory.decay_chart import POINTS, WORD_ROOM, Plot
from memory.domain.strength import PRUNE_STRENGTH, Curve
from verel_site.kit.charts import draw_dot, draw_line, draw_polyline, draw_svg, draw_text

LEAST_DAYS: Final = 60.0
MOST_DAYS: Final = 730.0
# Past the age at which a curve that has no floor would have lost most of its strength.
TIMES_BASE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """Of a class of age the share that was a hit, and of how many trials that is."""

    days: float
    share: float
    trials: int


@dataclass(frozen=True, slots=True)
class Drawn:
    curve: Curve
    word: str
    css: str


def draw_curves(
    curves: Sequence[Drawn], seen: Sequence[Seen], *, across: int = 720, down: int = 212
) -> SafeString:
    """Strength from 0 to 1 over days since the last retrieval, of what was never retrieved before."""
    plot = Plot(0.0, _span(curves, seen), across, down)
    ends = [(one, plot.place(_points(one.curve, plot.ahead))) for one in curves]
    parts = [*_draw_frame(plot)]
    parts += [draw_polyline(points, one.css) for one, points in ends]
    parts += [draw_dot(plot.x(one.days), plot.y(one.share), "open", _size(one)) for one in seen]
    below = 0.0
    for one, points in sorted(ends, key=lambda end: -end[0].curve.strength(plot.ahead)):
        below = max(points[-1][1] + 4, below + WORD_ROOM)
        parts.append(draw_text(plot.end + 8, below, one.word, "label-2"))
    return draw_svg(across, down, parts, _say(curves, seen, plot.ahead))


def _span(curves: Sequence[Drawn], seen: Sequence[Seen]) -> float:
    bases = [TIMES_BASE * one.curve.base_days for one in curves]
    ages = [one.days for one in seen]
    return min(MOST_DAYS, max(LEAST_DAYS, *bases, *ages))


def _points(curve: Curve, span: float) -> list[tuple[float, float]]:
    # Closer together where it falls fast.
    days = [span * (step / POINTS) ** 2 for step in range(POINTS + 1)]
    return [(day, curve.strength(day)) for day in days]


def _size(one: Seen) -> float:
    return 3.0 if one.trials < 100 else 4.0


def _draw_frame(plot: Plot) -> list[str]:
    parts = []
    for value in (0, 0.5, 1):
        parts += [
            draw_line(plot.left, plot.y(value), plot.end, plot.y(value), "grid"),
            draw_text(plot.left - 6, plot.y(value) + 4, f"{value:g}", anchor="end"),
        ]
    limit = plot.y(PRUNE_STRENGTH)
    parts.append(draw_line(plot.left, limit, plot.end, limit, "limit"))
    parts.append(draw_text(plot.end - 4, limit - 5, f"prune below {PRUNE_STRENGTH}", anchor="end"))
    for share, anchor in ((0.0, "start"), (1 / 3, "middle"), (2 / 3, "middle"), (1.0, "end")):
        day = plot.ahead * share
        word = f"{day:,.0f} days" if share else "just retrieved"
        parts.append(draw_text(plot.x(day), plot.down - 6, word, "", anchor))
    return parts


def _say(curves: Sequence[Drawn], seen: Sequence[Seen], span: float) -> str:
    told = ", ".join(f"{one.word} {one.curve.strength(span):.2f}" for one in curves)
    hits = f"; {len(seen)} classes of age with their share of hits" if seen else ""
    return f"Strength after {span:,.0f} days: {told}{hits}"
