"""The chart of a record's fading is one to be read from the first minute on."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from memory.decay_chart import LEFT, RIGHT, Fading, days_ahead, draw_decay, draw_mini
from memory.domain.strength import SECURITY, TABLE, Curve
from memory.domain.terms import ItemType

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
AGES = (0.0, 0.05, 1.0, 5.0, 13.9, 14.0, 40.0, 365.0, 2_000.0)


def fading(days: float, item: ItemType = ItemType.API_CONTRACT, fitted: bool = False) -> Fading:
    made = NOW - timedelta(days=days)
    used = NOW - timedelta(days=days / 3)
    return Fading(
        NOW,
        TABLE[item],
        [(made, 0), (used, 1)] if days else [(made, 0)],
        0.62,
        [made],
        fitted=Curve(30, 0.9, 0.1, fitted=True) if fitted else None,
    )


def labels(svg: str) -> list[tuple[float, float, str, str]]:
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"([^>]*)>([^<]*)</text>', svg)
    return [(float(x), float(y), css, text) for x, y, css, text in found]


@pytest.mark.parametrize("item", list(ItemType))
def test_a_record_of_today_shows_how_it_will_fade(item: ItemType) -> None:
    told = fading(0, item)
    assert told.curve.strength(days_ahead(told)) < 0.85
    svg = str(draw_decay(told))
    (today,) = [x for x, _, _, text in labels(svg) if text == "today"]
    assert today == LEFT
    assert re.search(rf'class="curve soft ahead" d="M{LEFT}\.0 ', svg)


@pytest.mark.parametrize("days", AGES)
def test_the_past_keeps_a_share_that_can_be_read_once_there_is_one(days: float) -> None:
    told = fading(days)
    past = min(365.0, days)
    assert 14 <= days_ahead(told) <= 365
    if days >= 14:
        assert past / (past + days_ahead(told)) >= 0.249
        assert days_ahead(told) >= past


@pytest.mark.parametrize("days", AGES)
@pytest.mark.parametrize("item", list(ItemType))
@pytest.mark.parametrize("fitted", [False, True])
def test_everything_lies_within_the_chart_and_no_word_over_another(
    days: float, item: ItemType, fitted: bool
) -> None:
    svg = str(draw_decay(fading(days, item, fitted)))
    assert "nan" not in svg
    xs = [float(x) for x in re.findall(r"[ML]([\d.-]+) ", svg)]
    assert min(xs) >= LEFT - 0.1
    assert max(xs) <= 856 - RIGHT + 0.1
    ends = sorted(y for x, y, _, _ in labels(svg) if x > 856 - RIGHT)
    assert all(other - one >= 12.9 for one, other in pairwise(ends))
    dates = sorted(x for x, y, _, _ in labels(svg) if y == 206)
    assert all(other - one >= 55 for one, other in pairwise(dates))


def test_confidence_stands_beside_it_and_does_not_fade() -> None:
    svg = str(draw_decay(fading(5)))
    step = re.search(r'class="curve step ahead" d="M[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)"', svg)
    assert step is not None
    assert step[1] == step[2]
    assert "confidence 0.62" in [text for _, _, _, text in labels(svg)]


def test_what_is_verified_has_one_curve_ahead() -> None:
    told = Fading(NOW, SECURITY, [(NOW, 0)], 0.9, [])
    assert "if promoted" not in str(draw_decay(told))


@pytest.mark.parametrize(
    ("days", "ends"), [(0.1, ("today", "in 30 days")), (9.0, ("9 days ago", "today"))]
)
def test_the_small_one_looks_ahead_where_nothing_lies_behind(
    days: float, ends: tuple[str, str]
) -> None:
    told = {text for _, _, _, text in labels(str(draw_mini(fading(days))))}
    assert {*ends, "strength", "confidence"} == told
