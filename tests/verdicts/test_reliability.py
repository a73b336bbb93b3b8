"""Estimates against the literature, and intervals against the plain way of making them."""

import math
from collections import Counter
from itertools import product

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts.domain.agreement import OUTCOMES, SCALE
from verdicts.reliability import (
    LEAST_PAIRS,
    Level,
    Spreads,
    estimate_alpha,
    estimate_kappa,
    estimate_percent,
    resampled_alpha,
)

A, E, B, X = OUTCOMES
spreads_of_three = st.dictionaries(
    st.tuples(*[st.integers(0, 3)] * 3).filter(lambda spread: sum(spread) > 1),
    st.integers(1, 9),
    min_size=1,
    max_size=8,
)


def test_alpha_of_krippendorffs_own_example() -> None:
    """Krippendorff 2011, section C: four observers, twelve units, five values, some missing;
    nominal alpha 0.743, ordinal 0.815."""
    told = (
        (1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0),
        (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3),
        (0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0),
        (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0),
    )
    units = [Counter(value for value in column if value) for column in zip(*told, strict=True)]
    spreads = Counter(
        tuple(unit[value] for value in range(1, 6)) for unit in units if sum(unit.values()) > 1
    )
    assert estimate_alpha(spreads).value == pytest.approx(0.743, abs=0.0005)
    assert estimate_alpha(spreads, "ordinal").value == pytest.approx(0.815, abs=0.0005)


def test_alpha_of_two_raters_reckoned_by_hand() -> None:
    # Ten pairs: 4 both first, 4 both second, 2 apart. Coincidences: 8, 8, and 2 off each way;
    # n = 20, Do = 4/20, De = 2*10*10/(20*19); alpha = 1 - 0.2 * 380 / 200.
    told = estimate_alpha({(2, 0): 4, (0, 2): 4, (1, 1): 2})
    assert told.value == pytest.approx(0.62)
    assert told.pairs == 10


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
@given(spreads=spreads_of_three)
def test_a_drawing_of_all_pairs_once_gives_the_librarys_alpha(
    level: Level, spreads: dict[tuple[int, ...], int]
) -> None:
    draws = np.array([list(spreads.values())], dtype=np.float64)
    (ours,) = resampled_alpha(draws, np.array(list(spreads), dtype=np.float64), level)
    counts = np.array([spread for spread, times in spreads.items() for _ in range(times)])
    if np.count_nonzero(counts.sum(axis=0)) < 2:
        assert math.isnan(ours)
        assert estimate_alpha(spreads, level).value is None
        return
    theirs = krippendorff.alpha(value_counts=counts, level_of_measurement=level)
    assert ours == pytest.approx(theirs)


def test_an_interval_is_the_same_every_time_and_around_its_figure() -> None:
    spreads: Spreads = {(2, 0, 0, 0): 40, (0, 0, 2, 0): 35, (1, 0, 1, 0): 15, (1, 1, 0, 0): 10}
    for told in (estimate_percent(spreads), estimate_alpha(spreads)):
        assert told.low is not None
        assert told.high is not None
        assert told.value is not None
        assert told.low < told.value < told.high
    assert estimate_alpha(spreads) == estimate_alpha(spreads)
    more = estimate_alpha({spread: 25 * times for spread, times in spreads.items()})
    less = estimate_alpha(spreads)
    assert (more.high or 0) - (more.low or 0) < ((less.high or 0) - (less.low or 0)) / 3


def test_the_interval_of_a_share_is_that_of_the_binomial() -> None:
    """80 of 100 agree: the exact 2.5 % and 97.5 % points of Binomial(100, 0.8) are 72 and 87."""
    told = estimate_percent({(2, 0): 80, (1, 1): 20})
    assert told.low == pytest.approx(0.72, abs=0.01)
    assert told.high == pytest.approx(0.87, abs=0.01)


def test_the_interval_of_kappa_is_near_the_asymptotic_one() -> None:
    """Fleiss, Cohen & Everitt 1969 give the standard error; on 75 1 4 5 4 1 0 0 10 it is 0.088."""
    cells = (75, 1, 4, 5, 4, 1, 0, 0, 10)
    squares = product(SCALE, SCALE)
    table = {square: n for square, n in zip(squares, cells, strict=True) if n}
    told = estimate_kappa(table)
    assert told.value is not None
    assert told.low is not None
    assert told.high is not None
    assert told.low == pytest.approx(told.value - 1.96 * 0.088, abs=0.04)
    assert told.high == pytest.approx(told.value + 1.96 * 0.088, abs=0.04)


def test_too_few_pairs_have_a_figure_and_no_interval() -> None:
    few = {(A, A): LEAST_PAIRS - 2, (A, B): 1}
    told = estimate_kappa(few)
    assert (told.pairs, told.low, told.high) == (LEAST_PAIRS - 1, None, None)
    assert estimate_kappa(few | {(B, B): 1}).low is not None
    nothing = (estimate_percent({}), estimate_kappa({}), estimate_alpha({}))
    assert {one.value for one in nothing} == {None}


def test_what_never_varies_has_no_chance_corrected_figure() -> None:
    assert estimate_percent({(2, 0): 9}).value == 1
    assert estimate_alpha({(2, 0): 9}).value is None
    assert estimate_kappa({(A, A): 9}).value is None
