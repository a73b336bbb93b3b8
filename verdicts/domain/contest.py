"""Champion and challenger: more than two continuations, compared two by two.

The contenders stand in an order that was drawn once. The first is champion; each of the others
challenges whoever is champion then, so that there is one round less than contenders. Nothing is
remembered but the order and what was said of pairs: the course is played anew from those, and a
word that is taken back takes everything back that followed from it.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MIN_CONTENDERS: Final = 3
MAX_CONTENDERS: Final = 12


class Neutral(StrEnum):
    """What was said of a pair of which neither side won."""

    EQUAL = "equal"
    BOTH_BAD = "both_bad"


@dataclass(frozen=True, slots=True)
class Round[Contender: Hashable]:
    """`won` is the champion or the challenger, or says that neither was better."""

    champion: Contender
    challenger: Contender
    won: Contender | Neutral


@dataclass(frozen=True, slots=True)
class Course[Contender: Hashable]:
    """The rounds that are decided. `pending` is the pair that is to be judged next; where there is
    none the contest is over, and `winner` is None where nobody deserves to win."""

    rounds: tuple[Round[Contender], ...]
    pending: tuple[Contender, Contender] | None = None
    winner: Contender | None = None


def play[Contender: Hashable](
    order: Sequence[Contender], said: Mapping[frozenset[Contender], Contender | Neutral]
) -> Course[Contender]:
    """`said` has what became of pairs, in whichever order they were judged.

    Equal keeps the champion: the challenger was not better. Both bad keeps it too, as the one to
    beat, but it wins nothing unless another takes its place. Of fewer than two nobody wins.
    """
    if len(order) < 2:
        return Course(())
    champion, poor = order[0], False
    rounds: list[Round[Contender]] = []
    for challenger in order[1:]:
        won = said.get(frozenset((champion, challenger)))
        if won is None:
            return Course(tuple(rounds), pending=(champion, challenger))
        rounds.append(Round(champion, challenger, won))
        if won == challenger:
            champion, poor = challenger, False
        elif won == Neutral.BOTH_BAD:
            poor = True
    return Course(tuple(rounds), winner=None if poor else champion)
