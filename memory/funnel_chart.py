"""How many of a consolidation's episodes came how far: a funnel of columns, drawn as pure geometry."""

from collections.abc import Sequence
from typing import Final

from django.utils.safestring import SafeString

from verel_site.kit.charts import draw_bar, draw_svg, draw_text

COLUMN: Final = 64
TOP, FOOT, SIDE = 30, 40, 44


def draw_funnel(
    stages: Sequence[tuple[str, int]], *, over: bool = True, across: int = 760, down: int = 220
) -> SafeString:
    """A column for each (name, count), as high as its count; between two the share that went on. Of
    one that is not over, what nothing has reached yet has no share."""
    most = max((count for _, count in stages), default=0) or 1
    pitch = (across - 2 * SIDE) / max(1, len(stages) - 1)
    middle, room = TOP + (down - TOP - FOOT) / 2, down - TOP - FOOT

    def half(count: int) -> float:
        return max(1.0 if count else 0.5, room * count / most / 2)

    parts: list[str] = []
    for index, (name, count) in enumerate(stages):
        x, tall = SIDE + index * pitch, half(count)
        if index + 1 < len(stages):
            following = stages[index + 1][1]
            parts.append(
                _slope(x + COLUMN / 2, tall, x + pitch - COLUMN / 2, half(following), middle)
            )
            if count and (following or over):
                share = (
                    f"{round(100 * following / count)}\N{NO-BREAK SPACE}%"
                    if following <= count
                    else f"× {following / count:.1f}"
                )
                parts.append(draw_text(x + pitch / 2, middle + 4, share, "label-2", "middle"))
        css = "bar now" if index + 1 == len(stages) else "bar"
        parts += [
            draw_bar(x - COLUMN / 2, middle - tall, COLUMN, 2 * tall, css),
            draw_text(x, down - FOOT + 18, f"{count:,}", "label", "middle"),
            draw_text(x, down - FOOT + 33, name, "", "middle"),
        ]
    said = ", ".join(f"{count:,} {name}" for name, count in stages)
    return draw_svg(across, down, parts, f"Funnel: {said}")


def _slope(x1: float, one: float, x2: float, other: float, middle: float) -> str:
    return (
        f'<path class="area" d="M{x1:.1f} {middle - one:.1f}L{x2:.1f} {middle - other:.1f}'
        f'L{x2:.1f} {middle + other:.1f}L{x1:.1f} {middle + one:.1f}Z"/>'
    )
