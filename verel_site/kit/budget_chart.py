"""What was used of a budget so far, and where this pace leads by the end of its time.

As in `charts`: a pure function, px at 1:1, and the label says every number that is drawn.
"""

from collections.abc import Sequence

from django.utils.safestring import SafeString

from verel_site.kit.charts import (
    draw_dot,
    draw_line,
    draw_polyline,
    draw_scale,
    draw_svg,
    draw_text,
    round_up,
    short,
)

_LEFT, _RIGHT, _TOP, _FOOT = 34, 66, 10, 22


def ends_at(used: int, *, passed: float, days: int, limit: int) -> float | None:
    """After how many days the budget is used up at the pace so far; None if not within `days`.

    `passed` counts the days gone by, with the part of today.
    """
    if used > limit:
        return passed
    if not used or passed <= 0:
        return None
    reached = passed * limit / used
    return reached if reached <= days else None


def draw_budget(
    used: Sequence[int],
    ticks: Sequence[tuple[int, str]],
    *,
    passed: float,
    days: int,
    limit: int,
    unit: str,
    across: int = 440,
    down: int = 176,
) -> SafeString:
    """`used` are running totals by the end of each day, the last one as of now, `passed` days
    after the beginning; `ticks` are (day, text) under an axis of so many `days`."""
    now = used[-1]
    ahead = now * days / passed if passed > 0 else now
    # A pace beyond twice the budget leaves the frame: how far is told in words.
    highest = round_up(max(limit * 1.1, now, min(ahead, 2 * limit)))

    def place_x(day: float) -> float:
        return _LEFT + day * (across - _LEFT - _RIGHT) / days

    def place_y(value: float) -> float:
        return _TOP + (1 - value / highest) * (down - _TOP - _FOOT)

    parts = draw_scale(highest, place_y, _LEFT, across - _RIGHT)
    points = [(place_x(0), place_y(0))]
    points += [
        (place_x(min(day, passed)), place_y(value)) for day, value in enumerate(used, start=1)
    ]
    parts += [draw_polyline(points, "area", place_y(0)), draw_polyline(points, "curve")]
    here = points[-1]
    if now:
        share = min(1.0, (highest - now) / (ahead - now)) if ahead > now else 1.0
        until = passed + share * (days - passed)
        aim = place_y(now + share * (ahead - now))
        parts.append(draw_line(*here, place_x(until), aim, "curve soft ahead"))
    # Beside the dot, on the side where there is room before the frame ends.
    late = passed > days / 2
    parts += [
        draw_line(_LEFT, place_y(limit), across - _RIGHT, place_y(limit), "limit"),
        draw_text(across - _RIGHT + 8, place_y(limit) + 4, "budget", "label fail"),
        draw_dot(*here, "fail" if now > limit else "", 4),
        draw_text(
            here[0] + (-8 if late else 8),
            here[1] - 6,
            f"{short(now)} used",
            "label",
            "end" if late else "start",
        ),
    ]
    parts += [draw_text(place_x(day + 0.5), down - 5, tick, anchor="middle") for day, tick in ticks]
    said = f"{now:,} of {limit:,} {unit} used, {round(ahead):,} at the end at this pace"
    return draw_svg(across, down, parts, said)
