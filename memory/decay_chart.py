"""How a record's strength faded, was refreshed, and will fade; its confidence beside it.

Pure geometry over what is known. Strength is computed from the logged retrievals; confidence is
followed back from what it is now through the independent runs that moved it.
"""

import math
from collections.abc import Sequence
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
# How far ahead a chart looks: until this much is left, but no farther than so many times the past
# where there is one to be seen.
LEFT_OVER: Final = 0.75
AHEAD_TIMES: Final = 3
POINTS: Final = 24
LEFT, RIGHT, TOP, FOOT = 26, 148, 12, 24
# Two labels of one line need so much room: across for a date, down for a word.
DATE_ROOM, WORD_ROOM = 56, 13
MINI_DAYS: Final = 30.0
MINI_LEAST: Final = 3.0


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


def age_of(fading: Fading) -> float:
    return days_between(fading.uses[0][0], fading.now)


def days_ahead(fading: Fading) -> float:
    """Long enough to see it fade; a record of today shows that alone."""
    curve, retrievals = fading.curve, fading.uses[-1][1]
    fades = curve.half_life(retrievals) * (math.pow(LEFT_OVER, -1 / curve.beta) - 1)
    age = age_of(fading)
    most = MOST_DAYS if age < LEAST_DAYS else AHEAD_TIMES * age
    return min(MOST_DAYS, max(LEAST_DAYS, age, min(fades, most)))


@dataclass(frozen=True, slots=True)
class Plot:
    """Days from today across, `past` of them before it, and 0 to 1 up."""

    past: float
    ahead: float
    across: int
    down: int
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    foot: int = FOOT

    @property
    def end(self) -> int:
        return self.across - self.right

    def x(self, days: float) -> float:
        return self.left + (days + self.past) / (self.past + self.ahead) * (self.end - self.left)

    def y(self, value: float) -> float:
        return self.top + (1 - value) * (self.down - self.top - self.foot)

    def place(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(self.x(day), self.y(value)) for day, value in points]


def follow_confidence(fading: Fading) -> list[tuple[datetime, float]]:
    """`(when, what it was from then on)`, oldest first: each support is undone, the latest first."""
    steps: list[tuple[datetime, float]] = []
    value = fading.confidence
    for moment in sorted(fading.supports, reverse=True):
        steps.append((moment, value))
        value = max(0.0, 1 - (1 - value) / (1 - SUPPORT_WEIGHT))
    return [(fading.uses[0][0], value), *reversed(steps)]


def draw_decay(fading: Fading, *, across: int = 856, down: int = 212) -> SafeString:
    plot = Plot(min(MOST_DAYS, age_of(fading)), days_ahead(fading), across, down)
    past = plot.place(_past(fading, plot.past))
    parts = [
        *_draw_frame(fading, plot),
        draw_polyline(past, "area", plot.y(0)),
        draw_polyline(past, "curve"),
        *_draw_ahead(fading, plot),
        *_draw_confidence(fading, plot),
        draw_line(plot.x(0), TOP - 4, plot.x(0), plot.y(0), "rule"),
    ]
    return draw_svg(across, down, parts, _say(fading, plot.ahead))


def draw_mini(fading: Fading, *, across: int = 312, down: int = 92) -> SafeString:
    """The last days of strength and confidence; of a record too young for that, the next ones."""
    age = age_of(fading)
    young = age < MINI_LEAST
    past, ahead = (0.0, MINI_DAYS) if young else (min(MINI_DAYS, age), 0.0)
    plot = Plot(past, ahead, across, down, left=6, right=62, top=8, foot=18)
    told = _ahead(fading, fading.curve, ahead) if young else _past(fading, past)
    held = [(0.0, fading.confidence), (ahead, fading.confidence)]
    strength, confidence = plot.place(told), plot.place(held if young else _stairs(fading, past))
    near, other = _apart(strength[-1][1], confidence[-1][1])
    dashed = " ahead" if young else ""
    parts = [
        draw_line(plot.left, plot.y(0), plot.end, plot.y(0), "grid"),
        draw_polyline(strength, "area", plot.y(0)),
        draw_polyline(strength, f"curve{dashed}"),
        draw_polyline(confidence, f"curve soft{dashed}"),
        draw_text(plot.end + 6, near + 3, "strength", "label"),
        draw_text(plot.end + 6, other + 3, "confidence"),
        draw_text(plot.left, down - 3, "today" if young else f"{past:.0f} days ago"),
        draw_text(plot.end, down - 3, f"in {ahead:.0f} days" if young else "today", "", "end"),
    ]
    said = f"Strength {_now(fading):.2f} today, confidence {fading.confidence:.2f}"
    return draw_svg(across, down, parts, said)


def _apart(one: float, other: float) -> tuple[float, float]:
    """Where two labels stand that would lie over each other."""
    if abs(one - other) >= WORD_ROOM:
        return one, other
    return one, one + WORD_ROOM if other >= one else one - WORD_ROOM


def _draw_frame(fading: Fading, plot: Plot) -> list[str]:
    parts = []
    for value in (0, 0.5, 1):
        parts += [
            draw_line(LEFT, plot.y(value), plot.end, plot.y(value), "grid"),
            draw_text(LEFT - 6, plot.y(value) + 4, f"{value:g}", anchor="end"),
        ]
    floor = plot.y(PRUNE_STRENGTH)
    return [
        *parts,
        draw_line(LEFT, floor, plot.end, floor, "limit"),
        draw_text(plot.end - 4, floor - 5, f"prune below {PRUNE_STRENGTH}", "", "end"),
        *_draw_dates(fading, plot),
    ]


def _draw_dates(fading: Fading, plot: Plot) -> list[str]:
    """Today; both ends, and what lies between them and today, each where it has room."""
    foot = plot.down - 6
    near = plot.x(0) - LEFT < DATE_ROOM / 2
    parts = [draw_text(plot.x(0), foot, "today", "label", "start" if near else "middle")]
    days = (-plot.past, -plot.past / 2, plot.ahead / 3, 2 * plot.ahead / 3, plot.ahead)
    taken = [plot.x(0)]
    for day in days:
        x = plot.x(day)
        if min(abs(x - other) for other in taken) < DATE_ROOM:
            continue
        taken.append(x)
        anchor = "start" if day == -plot.past else "end" if day == plot.ahead else "middle"
        moment = fading.now + timedelta(days=day)
        parts.append(draw_text(x, foot, tell_moment(moment, "day"), "", anchor))
    return parts


def _past(fading: Fading, span: float) -> list[tuple[float, float]]:
    """Days from today, below zero, and the strength: it falls, and rises to 1 at each use."""
    points: list[tuple[float, float]] = []
    for index, (moment, count) in enumerate(fading.uses):
        until = fading.uses[index + 1][0] if index + 1 < len(fading.uses) else fading.now
        length = days_between(moment, until)
        start = -days_between(moment, fading.now)
        shown = max(0.0, -span - start)
        if shown > length:
            continue
        for step in range(POINTS + 1):
            age = shown + (length - shown) * step / POINTS
            points.append((start + age, fading.curve.strength(age, count)))
    return points


def _now(fading: Fading) -> float:
    moment, count = fading.uses[-1]
    return fading.curve.strength(days_between(moment, fading.now), count)


def _ahead(fading: Fading, curve: Curve, span: float) -> list[tuple[float, float]]:
    moment, count = fading.uses[-1]
    age = days_between(moment, fading.now)
    days = [span * step / POINTS for step in range(POINTS + 1)]
    return [(day, curve.strength(age + day, count)) for day in days]


def _draw_ahead(fading: Fading, plot: Plot) -> list[str]:
    """What is to come, each with its word at the end, and the words apart from each other."""
    two = fading.ahead and fading.curve != SECURITY
    name = "strength if left" if two else "strength"
    drawn = [(_ahead(fading, fading.curve, plot.ahead), "curve soft ahead", name, "label-2")]
    if two:
        promoted = _ahead(fading, SECURITY, plot.ahead)
        drawn.append((promoted, "curve human ahead", "strength if promoted", "label human"))
    if fading.fitted is not None:
        fitted = _ahead(fading, fading.fitted, plot.ahead)
        drawn.append((fitted, "curve lane ahead", "strength as fitted", "label-2"))
    held = [(0.0, fading.confidence), (plot.ahead, fading.confidence)]
    drawn.append((held, "curve step ahead", f"confidence {fading.confidence:.2f}", "label"))
    parts = [draw_polyline(plot.place(points), css) for points, css, _, _ in drawn]
    below = 0.0
    for points, _, word, css in sorted(drawn, key=lambda one: -one[0][-1][1]):
        below = max(plot.y(points[-1][1]) + 4, below + WORD_ROOM)
        parts.append(draw_text(plot.end + 8, below, word, css))
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


def _draw_confidence(fading: Fading, plot: Plot) -> list[str]:
    points = plot.place(_stairs(fading, plot.past))
    dots = [draw_dot(x, y, "open", 3) for x, y in points[:-1:2]]
    return [draw_polyline(points, "curve step"), *dots]


def _say(fading: Fading, ahead: float) -> str:
    left = _ahead(fading, fading.curve, ahead)[-1][1]
    told = f"Confidence is {fading.confidence:.2f}. Strength is {_now(fading):.2f} today"
    return f"{told}, and {left:.2f} in {ahead:.0f} days if nobody recalls it."
