from xml.etree import ElementTree

import pytest

from verel_site.kit.interval_chart import Bar, Point, draw_course, draw_intervals, tell_value

EVIL = '"><script>alert(1)</script>'


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - drawn by the code under test


def dots(svg: str) -> list[ElementTree.Element]:
    return list(parse(svg).iter("circle"))


def test_each_row_has_its_dot_on_the_scale_and_its_numbers_in_the_label() -> None:
    svg = draw_intervals(
        [Bar("Ines", 0.84, 0.77, 0.91, mine=True), Bar("Judge", 0.69, hollow=True)], label="kappa"
    )
    assert parse(svg).get("aria-label") == "kappa: Ines 0.84 (0.77 to 0.91), Judge 0.69"
    mine, judge = dots(svg)
    assert float(mine.get("cx", "0")) > float(judge.get("cx", "0"))
    assert (mine.get("class"), judge.get("class")) == ("dot human", "dot open")
    assert svg.count("whisker") == 1, "what has no interval has no line"


def test_a_row_below_the_band_is_drawn_as_a_failure() -> None:
    assert "dot fail" in draw_intervals([Bar("Tomás", 0.58)], label="kappa")


@pytest.mark.parametrize("value", [-1.0, -0.4, 0.0, 0.1, 0.3, 1.0])
def test_a_dot_stays_within_its_frame(value: float) -> None:
    svg = draw_intervals([Bar("One", value, max(-1, value - 0.3), min(1, value + 0.3))], label="κ")
    (dot,) = dots(svg)
    assert 100 <= float(dot.get("cx", "0")) <= 440 - 46 + 0.1


def test_an_undefined_figure_is_a_dash_and_no_dot() -> None:
    svg = draw_intervals([Bar("Ada", None)], label="kappa")
    assert not dots(svg)
    assert "undefined" in (parse(svg).get("aria-label") or "")
    assert tell_value(None) == "undefined"


def test_names_are_escaped_and_cut() -> None:
    svg = draw_intervals([Bar(EVIL, 0.5)], label=EVIL)
    assert "<script" not in svg
    assert "…" in svg


def test_a_course_goes_over_what_is_not_known() -> None:
    svg = draw_course(
        [Point("1 Nov", 0.5, 0.4, 0.6), Point("2 Nov", None), Point("3 Nov", 0.7, 0.6, 0.9)],
        name="alpha",
    )
    assert parse(svg).get("aria-label") == (
        "alpha over time: 1 Nov 0.50 (0.40 to 0.60), 3 Nov 0.70 (0.60 to 0.90)"
    )
    assert len(dots(svg)) == 2
    assert 'class="area"' in svg
    assert "nothing" in draw_course([], name="alpha")
