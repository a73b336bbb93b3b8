"""A planted curve draws logs, and the fit must find it again."""

import random

import pytest

from memory.domain.fitting import LogRow, TooFewRows, fit_curve, log_likelihood
from memory.domain.strength import TABLE, Curve
from memory.domain.terms import ItemType

AGES = [1, 3, 7, 14, 30, 60, 120, 240, 480, 960]


def draw(planted: Curve, *, trials: int, seed: int) -> list[LogRow]:
    dice = random.Random(seed)
    rows = []
    for age in AGES:
        for retrievals in (0, 1, 4, 16):
            chance = (1 + age / planted.half_life(retrievals)) ** -planted.beta
            hits = sum(dice.random() < chance for _ in range(trials))
            rows.append(LogRow(age, retrievals, hits, trials))
    return rows


@pytest.mark.parametrize(
    ("base", "beta"), [(21, 0.8), (40, 1.2), (90, 0.6), (12, 0.5)], ids=lambda value: str(value)
)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_fit_finds_the_planted_base_and_beta(base: float, beta: float, seed: int) -> None:
    planted = Curve(base, beta, 0.0)
    rows = draw(planted, trials=2_000, seed=seed)
    fit = fit_curve(rows, TABLE[ItemType.UI_FIX])
    assert fit.curve.base_days == pytest.approx(base, rel=0.15)
    assert fit.curve.beta == pytest.approx(beta, rel=0.1)
    assert fit.curve.fitted
    assert fit.curve.floor == TABLE[ItemType.UI_FIX].floor
    assert fit.trials == 80_000


def test_the_fit_finds_the_planted_gain_too_where_it_is_asked_for() -> None:
    planted = Curve(30, 0.9, 0.0, gain=0.5)
    fit = fit_curve(draw(planted, trials=4_000, seed=3), Curve(90, 0.6, 0.1), fit_gain=True)
    assert fit.curve.gain == pytest.approx(0.5, rel=0.25)
    assert fit.curve.base_days == pytest.approx(30, rel=0.2)
    assert fit.curve.beta == pytest.approx(0.9, rel=0.1)


def test_no_curve_near_the_fitted_one_is_likelier() -> None:
    rows = draw(Curve(40, 1.2, 0.0), trials=500, seed=4)
    fit = fit_curve(rows, TABLE[ItemType.UI_FIX])
    assert fit.log_likelihood >= fit.default_log_likelihood
    for base in (0.97, 1.03):
        for beta in (0.97, 1.03):
            near = Curve(fit.curve.base_days * base, fit.curve.beta * beta, 0.0)
            assert log_likelihood(rows, near) <= fit.log_likelihood


def test_a_log_without_a_hit_or_without_a_miss_still_gives_a_curve() -> None:
    for hits in (0, 500):
        rows = [LogRow(age, 0, hits, 500) for age in (1.0, 10.0, 100.0)]
        fit = fit_curve(rows, TABLE[ItemType.UI_FIX])
        assert fit.curve.base_days > 0
        assert fit.curve.beta > 0


@pytest.mark.parametrize(
    "rows", [[], [LogRow(3, 0, 10, 100)], [LogRow(3, 0, 500, 1_000)], [LogRow(0, 0, 9, 900)]]
)
def test_too_little_is_refused_rather_than_fitted(rows: list[LogRow]) -> None:
    with pytest.raises(TooFewRows):
        fit_curve(rows, TABLE[ItemType.UI_FIX])
