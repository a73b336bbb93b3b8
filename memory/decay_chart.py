"""How a record's strength faded, was refreshed, and will fade; its confidence beside it.

Pure geometry over what is known. Strength is computed from the logged retrievals; confidence is
followed back from what it is now through the independent runs that moved it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils.safestring import SafeString

from memory.domain.strength import PRUNE_STRENGTH, SECURITY, Curve
from memory.domain.trust import SUPPORT_WEIGHT
from verel_site.kit.charts import draw_dot, draw_line, draw_polyline, draw_svg, draw_text
from verel_site.kit.moments import tell_moment

DAY: Final = 86_400
LEAST_DAYS: Final = 14.0
MOST_DAYS: Final = 365.0
POINTS: Final = 24
LEFT, RIGHT, TOP, FOOT = 26, 148, 12, 24


@dataclass(frozen=True, slots=True)
class Fading:
    """`uses` are (when, how many retrievals there were after it), the making first; `supports` when
    an independent run raised the confidence. `ahead` draws the curve of a promotion too, `fitted` one
    that logs say."""

    now: datetime
    curve: Curve
    uses: Sequence[tuple[datetime, int]]
    confidence: float
    supports: Sequence[datetime]
    ahead: bool = True
    fitted: Curve | None = None


def days_between(earlier: datetime, later: datetime) -> float:
    return max(0.0, (later - earlier).total_seconds() / DAY)


def span_of(fading: Fading) -> float:
    """Days that are shown on each side of today."""
    return min(MOST_DAYS, max(LEAST_DAYS, days_between(fading.uses[0][0], fading.now)))


def follow_confidence(fading: Fading) -> list[tuple[datetime, float]]:
    """`(when, what it was from then on)`, oldest first: each support is undone, the latest first."""
    steps: list[tuple[datetime, float]] = []
    value = fading.confidence
    for moment in sorted(fading.supports, reverse=True):
        steps.append((moment, value))
        value = max(0.0, 1 - (1 - value) / (1 - SUPPORT_WEIGHT))
    return [(fading.uses[0][0], value), *reversed(steps)]


def draw_decay(fading: Fading, *, across: int = 856, down: int = 212) -> SafeString:
    span = span_of(fading)

    def place_x(days: float) -> float:
        return LEFT + (days + span) / (2 * span) * (across - LEFT - RIGHT)

    def place_y(value: float) -> float:
        return TOP + (1 - value) * (down - TOP - FOOT)

    parts = _draw_frame(fading, span, across, down, place_x, place_y)
    past = [(place_x(day), place_y(value)) for day, value in _past(fading, span)]
    parts += [draw_polyline(past, "area", place_y(0)), draw_polyline(past, "curve")]
    parts += _draw_ahead(fading, span, across, place_x, place_y)
    parts += _draw_confidence(fading, span, place_x, place_y)
    parts += [
        draw_line(place_x(0), TOP - 4, place_x(0), place_y(0), "rule"),
        draw_text(place_x(0), down - 6, "today", "label", "middle"),
    ]
    return draw_svg(across, down, parts, _say(fading, span))


def draw_mini(fading: Fading, *, across: int = 312, down: int = 92) -> SafeString:
    """The last days of strength and confidence, without what is to come."""
    left, right, top, foot = 6, 62, 8, 18
    span = min(30.0, span_of(fading))

    def place_x(days: float) -> float:
        return left + (days + span) / span * (across - left - right)

    def place_y(value: float) -> float:
        return top + (1 - value) * (down - top - foot)

    past = [(place_x(day), place_y(value)) for day, value in _past(fading, span)]
    steps = _stairs(fading, span)
    held = [(place_x(day), place_y(value)) for day, value in steps]
    strength, end = _now(fading), across - right
    near = place_y(strength)
    other = place_y(fading.confidence)
    if abs(near - other) < 13:
        other = near + 13 if other >= near else near - 13
    parts = [
        draw_line(left, place_y(0), end, place_y(0), "grid"),
        draw_polyline(past, "area", place_y(0)),
        draw_polyline(past, "curve"),
        draw_polyline(held, "curve soft"),
        draw_text(end + 6, near + 3, "strength", "label"),
        draw_text(end + 6, other + 3, "confidence"),
        draw_text(left, down - 3, f"{span:.0f} days ago"),
        draw_text(end, down - 3, "today", "", "end"),
    ]
    said = f"Strength {strength:.2f} today, confidence {fading.confidence:.2f}"
    return draw_svg(across, down, parts, said)


def _draw_frame(
    fading: Fading,
    span: float,
    across: int,
    down: int,
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
) -> list[str]:
    right = across - RIGHT
    parts = []
    for value in (0, 0.5, 1):
        parts += [
            draw_line(LEFT, place_y(value), right, place_y(value), "grid"),
            draw_text(LEFT - 6, place_y(value) + 4, f"{value:g}", anchor="end"),
        ]
    floor = place_y(PRUNE_STRENGTH)
    parts += [
        draw_line(LEFT, floor, right, floor, "limit"),
        draw_text(LEFT + 4, floor - 5, f"prune below {PRUNE_STRENGTH}"),
    ]
    for share, anchor in ((-1.0, "start"), (-0.5, "middle"), (0.5, "middle"), (1.0, "end")):
        moment = fading.now + timedelta(days=share * span)
        parts.append(
            draw_text(place_x(share * span), down - 6, tell_moment(moment, "day"), "", anchor)
        )
    return parts


def _past(fading: Fading, span: float) -> list[tuple[float, float]]:
    """Days from today, below zero, and the strength: it falls, and rises to 1 at each use."""
    points: list[tuple[float, float]] = []
    for index, (moment, count) in enumerate(fading.uses):
        until = fading.uses[index + 1][0] if index + 1 < len(fading.uses) else fading.now
        length = days_between(moment, until)
        start = -days_between(moment, fading.now)
        for step in range(POINTS + 1):
            age = length * step / POINTS
            if start + age >= -span:
                points.append((start + age, fading.curve.strength(age, count)))
    return points or [(-span, 1.0), (0.0, _now(fading))]


def _now(fading: Fading) -> float:
    moment, count = fading.uses[-1]
    return fading.curve.strength(days_between(moment, fading.now), count)


def _ahead(fading: Fading, curve: Curve, span: float) -> list[tuple[float, float]]:
    moment, count = fading.uses[-1]
    age = days_between(moment, fading.now)
    days = [span * step / POINTS for step in range(POINTS + 1)]
    return [(day, curve.strength(age + day, count)) for day in days]


def _draw_ahead(
    fading: Fading,
    span: float,
    across: int,
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
) -> list[str]:
    left = _ahead(fading, fading.curve, span)
    end = across - RIGHT + 8
    promoted = _ahead(fading, SECURITY, span)
    two = fading.ahead and fading.curve != SECURITY
    parts = [draw_polyline([(place_x(d), place_y(v)) for d, v in left], "curve soft ahead")]
    low, high = place_y(left[-1][1]) + 4, place_y(promoted[-1][1]) + 4
    if two:
        drawn = [(place_x(d), place_y(v)) for d, v in promoted]
        high = min(high, low - 13)
        parts += [
            draw_polyline(drawn, "curve human ahead"),
            draw_text(end, high, "strength if promoted", "label human"),
        ]
    parts.append(draw_text(end, low, "strength if left" if two else "strength", "label-2"))
    if fading.fitted is not None:
        fitted = _ahead(fading, fading.fitted, span)
        placed = place_y(fitted[-1][1]) + 4
        if low - 13 < placed < low + 13:
            placed = low + 13
        parts += [
            draw_polyline([(place_x(d), place_y(v)) for d, v in fitted], "curve lane ahead"),
            draw_text(end, placed, "strength as fitted", "label-2"),
        ]
    return parts


def _stairs(fading: Fading, span: float) -> list[tuple[float, float]]:
    steps = follow_confidence(fading)
    points: list[tuple[float, float]] = []
    for moment, value in steps:
        day = max(-span, -days_between(moment, fading.now))
        if points:
            points.append((day, points[-1][1]))
        points.append((day, value))
    return [*points, (0.0, fading.confidence)]


def _draw_confidence(
    fading: Fading,
    span: float,
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
) -> list[str]:
    points = [(place_x(day), place_y(value)) for day, value in _stairs(fading, span)]
    dots = [draw_dot(x, y, "open", 3) for x, y in points[:-1:2]]
    x, y = points[-1]
    return [
        draw_polyline(points, "curve step"),
        *dots,
        draw_text(x + 7, y - 7, f"confidence {fading.confidence:.2f}", "label"),
    ]


def _say(fading: Fading, span: float) -> str:
    left = _ahead(fading, fading.curve, span)[-1][1]
    told = f"Confidence is {fading.confidence:.2f}. Strength is {_now(fading):.2f} today"
    return f"{told}, and {left:.2f} in {span:.0f} days if nobody recalls it."
