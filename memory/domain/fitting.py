"""Fitting the curve of forgetting to logged retrievals, by maximum likelihood.

A log row says: of `trials` items of an age and a count of earlier retrievals, `hits` were of use.
A hit is Bernoulli with the power law of `strength` as its chance, so that the log-likelihood is

    Σ hits·ln p + (trials − hits)·ln(1 − p),   p = (1 + age / half_life)^(−β)

It is maximised over ln(base) and ln(β), and over ln(K) where asked for, by the downhill simplex of
Nelder and Mead; logarithms keep every parameter positive. The floor is a policy and is not fitted.
Base and β pull against each other where no age is far beyond the half-life: ages should reach
several times it, and `Fit.spread` says how wide the log ages are.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from memory.domain.strength import Curve

MIN_TRIALS: Final = 200
MAX_STEPS: Final = 400
TOLERANCE: Final = 1e-9
_TINY: Final = 1e-12
_LIMIT: Final = 12.0  # of a logarithm; what lies beyond is no curve of days

type Point = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LogRow:
    age_days: float
    retrievals: int
    hits: int
    trials: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The fitted curve, how likely the log is under it and under the default, and on how much."""

    curve: Curve
    log_likelihood: float
    default_log_likelihood: float
    trials: int
    spread: float


class TooFewRows(ValueError):
    """The log is too small, or of one age only."""


def log_likelihood(rows: Iterable[LogRow], curve: Curve) -> float:
    total = 0.0
    for row in rows:
        power = math.log1p(row.age_days / curve.half_life(row.retrievals))
        chance = min(1 - _TINY, max(_TINY, math.exp(-curve.beta * power)))
        total += row.hits * math.log(chance) + (row.trials - row.hits) * math.log1p(-chance)
    return total


def fit_curve(rows: Sequence[LogRow], default: Curve, *, fit_gain: bool = False) -> Fit:
    """The likeliest curve, searched from the default. Raises TooFewRows."""
    trials = sum(row.trials for row in rows)
    ages = [row.age_days for row in rows if row.age_days > 0 and row.trials]
    if trials < MIN_TRIALS or len(set(ages)) < 2:
        raise TooFewRows(
            f"A fit takes {MIN_TRIALS} trials at two ages or more; there are {trials}."
        )
    start = [math.log(default.base_days), math.log(default.beta)]
    if fit_gain:
        start.append(math.log(default.gain))

    def cost(point: Point) -> float:
        if any(abs(value) > _LIMIT for value in point):
            return math.inf
        return -log_likelihood(rows, _curve_at(point, default))

    best = _descend(cost, tuple(start))
    curve = _curve_at(best, default)
    return Fit(
        curve=curve,
        log_likelihood=log_likelihood(rows, curve),
        default_log_likelihood=log_likelihood(rows, default),
        trials=trials,
        spread=math.log(max(ages) / min(ages)),
    )


def _curve_at(point: Point, default: Curve) -> Curve:
    values = [math.exp(value) for value in point]
    gain = values[2] if len(values) > 2 else default.gain
    return replace(default, base_days=values[0], beta=values[1], gain=gain, fitted=True)


def _descend(cost: Callable[[Point], float], start: Point) -> Point:
    """The downhill simplex: reflect, expand, contract, shrink."""
    corners = [start]
    corners += [
        tuple(value + 0.5 * (at == axis) for at, value in enumerate(start))
        for axis in range(len(start))
    ]
    simplex = sorted((cost(corner), corner) for corner in corners)
    for _ in range(MAX_STEPS):
        if simplex[-1][0] - simplex[0][0] < TOLERANCE and _width(simplex) < 1e-6:
            break
        simplex = sorted(_step(cost, simplex))
    return simplex[0][1]


def _width(simplex: Sequence[tuple[float, Point]]) -> float:
    best = simplex[0][1]
    return max(abs(a - b) for _, corner in simplex for a, b in zip(corner, best, strict=True))


def _step(
    cost: Callable[[Point], float], simplex: list[tuple[float, Point]]
) -> list[tuple[float, Point]]:
    *kept, (worst_cost, worst) = simplex
    middle = tuple(
        sum(axis) / len(kept) for axis in zip(*(corner for _, corner in kept), strict=True)
    )

    def at(factor: float) -> tuple[float, Point]:
        point = tuple(m + factor * (m - w) for m, w in zip(middle, worst, strict=True))
        return cost(point), point

    reflected = at(1.0)
    if reflected[0] < kept[0][0]:
        return [*kept, min(reflected, at(2.0))]
    if reflected[0] < kept[-1][0]:
        return [*kept, reflected]
    contracted = at(0.5 if reflected[0] < worst_cost else -0.5)
    if contracted[0] < min(worst_cost, reflected[0]):
        return [*kept, contracted]
    best = kept[0][1]
    shrunk = [
        tuple(b + 0.5 * (v - b) for v, b in zip(c, best, strict=True)) for _, c in simplex[1:]
    ]
    return [kept[0], *((cost(corner), corner) for corner in shrunk)]
