import re
from xml.etree import ElementTree

import pytest

from verel_site.kit.budget_chart import draw_budget, ends_at


@pytest.mark.parametrize(
    ("used", "passed", "reached"),
    [
        (0, 10.0, None),
        (100, 10.0, None),  # 300 of 400 by the end of 30 days
        (134, 10.0, 29.85),
        (200, 10.0, 20.0),
        (400, 10.0, 10.0),
        (401, 10.0, 10.0),  # passed already: now
    ],
)
def test_a_budget_ends_when_the_pace_so_far_has_used_it_up(
    used: int, passed: float, reached: float | None
) -> None:
    told = ends_at(used, passed=passed, days=30, limit=400)
    assert told == (reached if reached is None else pytest.approx(reached, abs=0.01))


@pytest.mark.parametrize("used", [0, 1, 214, 400, 5_000])
def test_what_is_drawn_stays_within_its_frame_and_is_said(used: int) -> None:
    svg = draw_budget(
        [used // 2, used], [(0, "1 Nov")], passed=1.5, days=30, limit=400, unit="tokens"
    )
    root = ElementTree.fromstring(svg)  # noqa: S314 -- drawn by the code under test
    assert root.get("aria-label", "").startswith(f"{used:,} of 400 tokens used")
    drawn = " ".join(path.get("d", "") for path in root.iter("path"))
    downs = [float(y) for y in re.findall(r"[ML][-\d.]+ ([-\d.]+)", drawn)]
    assert 0 <= min(downs) <= max(downs) <= 176
    (dot,) = root.iter("circle")
    assert 0 <= float(dot.get("cy", "-1")) <= 176
    assert ("fail" in dot.get("class", "")) is (used > 400)
