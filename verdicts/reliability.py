"""Estimates of agreement with their intervals.

Every interval is a percentile bootstrap over pairs (Efron & Tibshirani 1993, chapter 13): pairs are
drawn anew, as many as there are and with replacement, RESAMPLES times, and the middle 95 % of what
each drawing gives is told. Since a figure depends only on how often each spread of answers came up,
a drawing is one multinomial draw over spreads: exact, and its cost does not grow with the pairs.
The seed is fixed, so the same labels give the same interval. Drawings in which the figure is
undefined (everybody said one thing) do not count. Below LEAST_PAIRS there is no interval.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import krippendorff
import numpy as np
from numpy.typing import NDArray

from verdicts.domain.agreement import Outcome, Table, agreeing, cohen_kappa, percent

type Spreads = Mapping[tuple[int, ...], int]
type Level = Literal["nominal", "ordinal"]
type Numbers = NDArray[np.float64]

RESAMPLES: Final = 1_000
CONFIDENCE: Final = 0.95
SEED: Final = 20_261
LEAST_PAIRS: Final = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure over `pairs` pairs. `value` is None where it is undefined; `low` and `high` are
    None where there are too few pairs for an interval."""

    pairs: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


def estimate_percent(spreads: Spreads) -> Estimate:
    """Observed agreement, from 0 to 1."""
    shares = np.array([agreeing(spread) for spread in spreads], dtype=np.float64)

    def of(draws: Numbers) -> Numbers:
        return (draws @ shares) / draws.sum(axis=1)

    return _estimate(percent(spreads), list(spreads.values()), of)


def estimate_kappa(table: Table) -> Estimate:
    """Cohen's kappa of two raters."""
    values = sorted({value for cell in table for value in cell}, key=list(Outcome).index)
    cells = [(values.index(row), values.index(column)) for row, column in table]

    def of(draws: Numbers) -> Numbers:
        tables = np.zeros((len(draws), len(values), len(values)))
        for at, (row, column) in enumerate(cells):
            tables[:, row, column] = draws[:, at]
        total = tables.sum(axis=(1, 2))
        same = np.trace(tables, axis1=1, axis2=2) / total
        chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / total**2
        return _ratio(same - chance, 1 - chance)

    return _estimate(cohen_kappa(table), list(table.values()), of)


def estimate_alpha(spreads: Spreads, level: Level = "nominal") -> Estimate:
    """Krippendorff's alpha; the figure itself is the library's, with `spreads` in the order of the
    scale. None where everybody said one thing: then there is nothing to correct for."""
    units = np.array(list(spreads), dtype=np.float64)

    def of(draws: Numbers) -> Numbers:
        return resampled_alpha(draws, units, level)

    return _estimate(_alpha(spreads, level), list(spreads.values()), of)


def _alpha(spreads: Spreads, level: Level) -> float | None:
    counts = np.array([spread for spread, times in spreads.items() for _ in range(times)])
    if not len(counts) or np.count_nonzero(counts.sum(axis=0)) < 2:
        return None
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement=level))


def resampled_alpha(draws: Numbers, units: Numbers, level: Level) -> Numbers:
    """Alpha of each drawing by the coincidence matrix (Krippendorff 2011, "Computing
    Krippendorff's Alpha-Reliability", section D); a row of `draws` says how often each unit came
    up. NaN where it is undefined."""
    size = units.shape[1]
    within = units[:, :, None] * units[:, None, :] - units[:, :, None] * np.eye(size)
    within /= (units.sum(axis=1) - 1)[:, None, None]
    coincidences = np.tensordot(draws, within, axes=1)
    margins = coincidences.sum(axis=2)
    total = margins.sum(axis=1)
    apart = _distances(margins, level)
    observed = (coincidences * apart).sum(axis=(1, 2)) * (total - 1)
    expected = (margins[:, :, None] * margins[:, None, :] * apart).sum(axis=(1, 2))
    return 1 - _ratio(observed, expected)


def _distances(margins: Numbers, level: Level) -> Numbers:
    size = margins.shape[1]
    if level == "nominal":
        return np.broadcast_to(1 - np.eye(size), (len(margins), size, size))
    # The middle of each value's place in the ranking of all values given.
    middles = margins.cumsum(axis=1) - margins / 2
    apart: Numbers = (middles[:, :, None] - middles[:, None, :]) ** 2
    return apart


def _ratio(above: Numbers, below: Numbers) -> Numbers:
    fine = np.abs(below) > 1e-12
    return np.divide(above, below, out=np.full_like(above, np.nan), where=fine)


def _estimate(
    value: float | None, times: Sequence[int], of: Callable[[Numbers], Numbers]
) -> Estimate:
    pairs = sum(times)
    if value is None or pairs < LEAST_PAIRS:
        return Estimate(pairs, value)
    random = np.random.default_rng(SEED)
    draws = random.multinomial(pairs, np.array(times) / pairs, size=RESAMPLES)
    drawn = of(draws.astype(np.float64))
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return Estimate(pairs, value)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Estimate(pairs, value, float(low), float(high))
