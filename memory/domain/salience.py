"""Which episodes are worth thinking about: surprise first, then a soft score.

Surprise is how far the issues after an episode are from those before it, in nats:

    KL(after ‖ before) = Σ p·ln(p / q),   p = (after_i + 1) / (N_after + V),   q likewise of before

over V signatures: the known ones and those of either side (Laplace smoothing: each counts once
more than it was seen, so that q is never 0).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

GOAL_WEIGHT: Final = 0.6
COST_WEIGHT: Final = 0.4
SURPRISE_THRESHOLD: Final = 0.2
KEEP_PERCENTILE: Final = 70.0


def surprise(
    before: Mapping[str, int], after: Mapping[str, int], known: Collection[str] = ()
) -> float:
    """How surprising an episode is, in nats: 0 where nothing changed. Counts are per signature."""
    signatures = {*known, *before, *after}
    if not signatures:
        return 0.0
    before_total = sum(before.values()) + len(signatures)
    after_total = sum(after.values()) + len(signatures)
    nats = 0.0
    for signature in sorted(signatures):
        p = (after.get(signature, 0) + 1) / after_total
        q = (before.get(signature, 0) + 1) / before_total
        nats += p * math.log(p / q)
    return max(0.0, nats)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What is known of an episode: its surprise in nats, whether its signature was never seen,
    how near it is to its goal, and what it cost (tokens, or time)."""

    surprise: float
    unseen: bool
    relevance: float
    cost: float


@dataclass(frozen=True, slots=True)
class Salience:
    kept: bool
    hard: bool
    score: float


def weigh(
    batch: Sequence[Weighed],
    *,
    threshold: float = SURPRISE_THRESHOLD,
    percentile: float = KEEP_PERCENTILE,
) -> list[Salience]:
    """What is kept of a batch: what surprises or is new, and of all the rest what scores at or
    above the batch's percentile (nearest rank). Where that is 0 only what scores at all stands out,
    unless nothing does: no batch is lost whole."""
    relevance = spread([one.relevance for one in batch])
    cost = spread([one.cost for one in batch])
    scores = [GOAL_WEIGHT * r + COST_WEIGHT * c for r, c in zip(relevance, cost, strict=True)]
    bar = rank_at(scores, percentile)
    stands_out = max(scores, default=0.0) > 0
    return [
        Salience(
            kept=hard or (score >= bar and (score > 0 or not stands_out)), hard=hard, score=score
        )
        for score, hard in (
            (score, one.unseen or one.surprise >= threshold)
            for one, score in zip(batch, scores, strict=True)
        )
    ]


def spread(values: Sequence[float]) -> list[float]:
    """Min–max to [0, 1]; where all are the same, none stands out and each is 0."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    width = high - low
    # Halved first, so that the width of two far numbers does not overflow.
    if math.isinf(width):
        return spread([value / 2 for value in values])
    return [(value - low) / width if width > 0 else 0.0 for value in values]


def rank_at(values: Sequence[float], percentile: float) -> float:
    """The nearest-rank percentile; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percentile / 100 * len(ordered)) - 1)]


def drop_rate(kept: Sequence[Salience]) -> float | None:
    """The share that was dropped, measured; None of nothing."""
    return None if not kept else sum(not one.kept for one in kept) / len(kept)
