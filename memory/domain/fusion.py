"""Several rankings made one, without comparing their scores.

Reciprocal rank fusion: the score of a thing is the sum over the rankings of 1 / (k + its rank there),
ranks counted from 1, with k = 60. Cormack, Clarke, Büttcher: "Reciprocal Rank Fusion outperforms
Condorcet and individual Rank Learning Methods", SIGIR 2009.
"""

from collections.abc import Sequence
from typing import Final

K: Final = 60


def fuse[T](rankings: Sequence[Sequence[T]]) -> list[T]:
    """Each thing once, the best first; of equals the one that an earlier ranking names first."""
    scores: dict[T, float] = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, start=1):
            scores[one] = scores.get(one, 0.0) + 1 / (K + rank)
    # A stable sort, and a dict keeps the order in which things came.
    return sorted(scores, key=lambda one: -scores[one])
