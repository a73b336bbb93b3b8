import re
from xml.etree import ElementTree

import pytest

from verel_site.kit.charts import (
    Bucket,
    Hour,
    Series,
    draw_ages,
    draw_hours,
    draw_minimap,
    draw_spark,
    draw_steps,
    round_up,
    short,
)

EVIL = '"><script>alert(1)</script>'


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - drawn by the code under test


def bars(svg: str, css: str) -> list[ElementTree.Element]:
    return [r for r in parse(svg).iter("rect") if r.get("class") == css]


def test_hours_say_their_numbers_and_draw_them_to_scale() -> None:
    svg = draw_hours([Hour(100, 0), Hour(50, 4), Hour(0, 2, partial=True)])
    assert parse(svg).get("aria-label") == "150 events and 6 decisions in 3 hours"
    assert parse(svg).get("role") == "img"
    up = [float(b.get("height", "0")) for b in bars(svg, "bar")]
    down = [float(b.get("height", "0")) for b in bars(svg, "bar now")]
    assert up[0] == pytest.approx(2 * up[1], abs=0.2)
    assert down[0] == pytest.approx(2 * down[1], abs=0.2)


def test_the_hour_that_is_not_over_is_soft() -> None:
    assert len(bars(draw_hours([Hour(3, 0), Hour(2, 0, partial=True)]), "bar soft")) == 1


def test_ages_print_each_count_and_the_promise() -> None:
    svg = draw_ages([("under 1 h", 4), ("over 1 h", 0)], late_from=1, promise="promise: 1 h")
    assert parse(svg).get("aria-label") == "Waiting: 4 under 1 h, 0 over 1 h"
    assert 'class="limit"' in svg
    assert len(bars(svg, "bar")) == 1


def test_steps_hold_each_value_until_the_next_day() -> None:
    svg = draw_steps([Series("train", (0, 10, 10), main=True)], [(0, "1 Nov")])
    curve = next(p.get("d", "") for p in parse(svg).iter("path") if p.get("class") == "curve")
    points = [tuple(map(float, p.split())) for p in curve[1:].split("L")]
    assert points[1][1] == points[0][1]
    assert points[2][0] == points[1][0]
    assert points[2][1] < points[1][1]
    assert parse(svg).get("aria-label") == "10 train"


def test_end_labels_of_equal_series_do_not_overlap() -> None:
    svg = draw_steps([Series("a", (5,), main=True), Series("b", (5,))], [])
    places = [float(t.get("y", "0")) for t in parse(svg).iter("text") if t.get("class") == "label"]
    assert abs(places[0] - places[1]) >= 24


@pytest.mark.parametrize(
    "svg",
    [
        draw_hours([]),
        draw_hours([Hour(0, 0)]),
        draw_ages([]),
        draw_steps([], []),
        draw_steps([Series("none", ())], []),
        draw_spark([], label="runs"),
        draw_spark([0, 0], label="runs"),
        draw_minimap([]),
    ],
)
def test_no_data_draws_an_empty_chart(svg: str) -> None:
    assert parse(svg).tag == "svg"
    assert "nan" not in svg
    assert "inf" not in svg


@pytest.mark.parametrize(
    "svg",
    [
        draw_hours([Hour(1, 1, tick=EVIL)], gap=(0, EVIL), up_name=EVIL),
        draw_ages([(EVIL, 1)], late_from=0, promise=EVIL),
        draw_steps([Series(EVIL, (1, 2))], [(0, EVIL)], note=(0, EVIL)),
        draw_spark([1], label=EVIL),
        draw_minimap([Bucket(EVIL, 1)]),
    ],
)
def test_labels_are_escaped(svg: str) -> None:
    assert not [e for e in parse(svg).iter() if e.tag == "script"]


def test_the_minimap_places_forks_and_window_by_share() -> None:
    svg = draw_minimap([Bucket("bad", 1)] * 10, forks=[(0.5, 6)], window=(0.5, 0.75))
    assert len(re.findall('class="mm-bad"', svg)) == 10
    assert 'class="mm-fork" data-lane="1" d="M33 360.0h7"' in svg
    assert 'class="mm-window" x="1.5" y="360.0" width="41" height="178.0"' in svg


@pytest.mark.parametrize(
    ("value", "top"), [(0.3, 1), (1, 1), (3, 5), (11, 20), (51, 100), (5000, 5000)]
)
def test_axes_end_on_a_round_number(value: float, top: int) -> None:
    assert round_up(value) == top


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1500, "1.5k"), (2_000_000, "2M")]
)
def test_axis_figures_are_short(value: float, text: str) -> None:
    assert short(value) == text
