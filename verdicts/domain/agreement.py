"""How far raters agree: what each said of each pair, as tables, percent and Cohen's kappa.

What was said is told by the pair's own order of branches, so that two reviewers who saw the sides
the other way round and picked one branch have said the same.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from verdicts.domain.labels import Choice


class Outcome(StrEnum):
    """Which branch of a pair was judged better, or that neither was."""

    FIRST = "first"
    EQUAL = "equal"
    SECOND = "second"
    BOTH_BAD = "both_bad"


# In the order of a scale from the first branch to the second; "both bad" has no place on it.
OUTCOMES: Final = (Outcome.FIRST, Outcome.EQUAL, Outcome.SECOND, Outcome.BOTH_BAD)
SCALE: Final = (Outcome.FIRST, Outcome.EQUAL, Outcome.SECOND)


@dataclass(frozen=True, slots=True)
class Rating[Pair: Hashable, Rater: Hashable]:
    pair: Pair
    rater: Rater
    value: Outcome


def place_choice(choice: Choice, *, swapped: bool) -> Outcome:
    """`swapped` says that the reviewer saw the pair's second branch on the left."""
    match choice:
        case Choice.LEFT:
            return Outcome.SECOND if swapped else Outcome.FIRST
        case Choice.RIGHT:
            return Outcome.FIRST if swapped else Outcome.SECOND
        case Choice.EQUAL:
            return Outcome.EQUAL
        case Choice.BOTH_BAD:
            return Outcome.BOTH_BAD


def place_score(score: float, *, swapped: bool) -> Outcome:
    """A rubric's score is below zero where the left side is better. Only its sign is compared:
    how far apart reviewers use a scale is their own."""
    if not score:
        return Outcome.EQUAL
    return Outcome.FIRST if (score < 0) != swapped else Outcome.SECOND


def without_bad(outcome: Outcome) -> Outcome:
    """What a grader could have said too: it prefers a side or it does not."""
    return Outcome.EQUAL if outcome == Outcome.BOTH_BAD else outcome


def group_ratings[Pair: Hashable, Rater: Hashable](
    ratings: Iterable[Rating[Pair, Rater]],
) -> dict[Pair, dict[Rater, Outcome]]:
    """By pair and rater; of two by one rater the later one counts."""
    units: dict[Pair, dict[Rater, Outcome]] = {}
    for rating in ratings:
        units.setdefault(rating.pair, {})[rating.rater] = rating.value
    return units


def count_units(
    units: Iterable[Iterable[Outcome]], values: Sequence[Outcome]
) -> Counter[tuple[int, ...]]:
    """How often each spread of answers came up, among pairs that two raters or more have rated:
    `(2, 0, 1)` is a pair of which two said the first value and one the third."""
    spreads: Counter[tuple[int, ...]] = Counter()
    for unit in units:
        given = Counter(unit)
        spread = tuple(given[value] for value in values)
        if sum(spread) > 1:
            spreads[spread] += 1
    return spreads


def agreeing(spread: Sequence[int]) -> float:
    """The share of the pairs of raters of one unit who said the same."""
    raters = sum(spread)
    return sum(count * (count - 1) for count in spread) / (raters * (raters - 1))


def percent(spreads: Mapping[tuple[int, ...], int]) -> float | None:
    """Observed agreement from 0 to 1: the mean over pairs of the share of raters' pairs who
    agree (Fleiss 1971, "Measuring nominal scale agreement among many raters", formula 2)."""
    total = sum(spreads.values())
    if not total:
        return None
    return sum(agreeing(spread) * times for spread, times in spreads.items()) / total


type Table = Mapping[tuple[Outcome, Outcome], int]


def cross[Pair: Hashable](
    one: Mapping[Pair, Outcome], other: Mapping[Pair, Outcome]
) -> Counter[tuple[Outcome, Outcome]]:
    """The contingency table of two raters over the pairs that both have rated."""
    return Counter((one[pair], other[pair]) for pair in one.keys() & other.keys())


def cohen_kappa(table: Table) -> float | None:
    """(po - pe) / (1 - pe), unweighted (Cohen 1960, "A coefficient of agreement for nominal
    scales"). None where there is nothing to correct for: no pair, or both said one thing always."""
    total = sum(table.values())
    if not total:
        return None
    rows: Counter[Outcome] = Counter()
    columns: Counter[Outcome] = Counter()
    for (row, column), times in table.items():
        rows[row] += times
        columns[column] += times
    by_chance = sum(rows[value] * columns[value] for value in rows)
    if by_chance == total * total:
        return None
    same = sum(times for (row, column), times in table.items() if row == column)
    return (same * total - by_chance) / (total * total - by_chance)


def consensus(values: Sequence[Outcome]) -> Outcome | None:
    """What more than half of them said."""
    if len(values) < 2:
        return values[0] if values else None
    value, times = Counter(values).most_common(1)[0]
    return value if 2 * times > len(values) else None


@dataclass(frozen=True, slots=True, order=True)
class Weight:
    """How bad a head is by one grader's word: by its findings, the worst first, and where those
    are alike by the verdict that it claimed (0 pass, 1 warn, 2 fail). Less is better."""

    critical: int = 0
    error: int = 0
    warning: int = 0
    claim: int = 0

    def __add__(self, other: "Weight") -> "Weight":
        return Weight(
            self.critical + other.critical,
            self.error + other.error,
            self.warning + other.warning,
            max(self.claim, other.claim),
        )


def prefer(first: Weight, second: Weight) -> Outcome:
    """Which head a grader's word speaks for."""
    if first == second:
        return Outcome.EQUAL
    return Outcome.FIRST if first < second else Outcome.SECOND
