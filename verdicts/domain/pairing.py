"""Which pairs rules propose, and to how many reviewers: decided by the pair alone, so that whoever
reckons it anew from the same heads comes to the same pairs."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from verdicts.domain.agreement import Outcome, Weight, prefer

MAX_REVIEWERS: Final = 9
_PARTS: Final = 2**64


class Cause(StrEnum):
    """Why a pair is before people."""

    HAND = "hand"
    FINISHED = "finished"
    DISPUTED = "disputed"
    CONTEST = "contest"


@dataclass(frozen=True, slots=True)
class PairRule:
    """Of the pairs that a finished branch makes `sample_percent` in a hundred are proposed, and with
    `on_disputed` each over which graders disagree. A proposed pair goes to `reviewers` people, and
    `overlap_percent` in a hundred to one more, so that agreement can be told."""

    on_finished: bool = False
    sample_percent: int = 100
    on_disputed: bool = False
    reviewers: int = 1
    overlap_percent: int = 0

    @property
    def active(self) -> bool:
        return self.on_finished or self.on_disputed


def is_drawn(first: bytes, second: bytes, *, percent: int, lot: str) -> bool:
    """Whether the pair of these head digests is among `percent` in a hundred. Which is first means
    nothing; different lots draw apart. Who is drawn at one percentage is drawn at every higher one.
    """
    low, high = sorted((first, second))
    digest = hashlib.sha256(b"\n".join((lot.encode(), low, high))).digest()
    return int.from_bytes(digest[:8]) * 100 < percent * _PARTS


def count_reviewers(rule: PairRule, first: bytes, second: bytes) -> int:
    more = is_drawn(first, second, percent=rule.overlap_percent, lot="overlap")
    return rule.reviewers + int(more)


def find_split(first: Mapping[str, Weight], second: Mapping[str, Weight]) -> tuple[str, str] | None:
    """Two graders whose words on two heads speak for different ones, if there are; `first` and
    `second` are what each grader said of either head."""
    favoured: dict[Outcome, str] = {}
    for grader in sorted(first.keys() & second.keys()):
        favoured.setdefault(prefer(first[grader], second[grader]), grader)
    if Outcome.FIRST in favoured and Outcome.SECOND in favoured:
        return favoured[Outcome.FIRST], favoured[Outcome.SECOND]
    return None
