"""Whether a suite has leaked, and which of its cases go: pure, over counts and ages."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ROTATE_DAYS = 30
ROTATED_SHARE = 5  # one in five
# A gap counts from this many hold-out trials on, from this width, and where chance makes one
# wider less than once in a hundred.
MIN_TRIALS = 20
MIN_GAP = 0.15
MIN_DEVIATIONS = 2.33


@dataclass(frozen=True, slots=True)
class Tally:
    """Cases passed of those run, on the suite as agents meet it and on the hold-out."""

    passed: int
    total: int
    holdout_passed: int
    holdout_total: int

    @property
    def gap(self) -> float | None:
        """How much better the suite went than the hold-out; None where one of them did not run."""
        if not self.total or not self.holdout_total:
            return None
        return self.passed / self.total - self.holdout_passed / self.holdout_total


def add_up(tallies: Iterable[Tally]) -> Tally:
    told = list(tallies)
    return Tally(
        sum(one.passed for one in told),
        sum(one.total for one in told),
        sum(one.holdout_passed for one in told),
        sum(one.holdout_total for one in told),
    )


def has_leaked(tally: Tally) -> bool:
    """Whether the suite goes better than what nobody has seen, by more than chance: a one-sided
    two-proportion test."""
    gap = tally.gap
    if gap is None or tally.holdout_total < MIN_TRIALS or gap < MIN_GAP:
        return False
    pooled = (tally.passed + tally.holdout_passed) / (tally.total + tally.holdout_total)
    spread = pooled * (1 - pooled) * (1 / tally.total + 1 / tally.holdout_total)
    return spread <= 0 or gap / math.sqrt(spread) >= MIN_DEVIATIONS


def count_retiring(cases: int) -> int:
    """A fifth, rounded up."""
    return -(-cases // ROTATED_SHARE)


def pick_retiring[K](ages: Sequence[tuple[float, K]], count: int) -> list[K]:
    """The `count` that have been in use longest; `ages` are (since, key), and ties go in order."""
    ranked = sorted(range(len(ages)), key=lambda index: (ages[index][0], index))
    return [ages[index][1] for index in ranked[:count]]


def suite_digest(*, grader: str, parts: Iterable[tuple[str, bytes]]) -> str:
    """What a receipt names: SHA-256 in hex over the grader and each (part, canonical case) in
    order, every text behind its length in 8 big-endian bytes."""
    hashed = hashlib.sha256(b"verel suite 1")
    for text in (
        grader.encode(),
        *(piece for part, case in parts for piece in (part.encode(), case)),
    ):
        hashed.update(len(text).to_bytes(8, "big") + text)
    return hashed.hexdigest()
