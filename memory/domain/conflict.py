"""What happens when a record says something about what another one already speaks of.

One record lives per scope and key. A second one with the same object is support; with another
object it is a contradiction: trust wins, then recency, and the loser is suppressed, not deleted.
A verified record is never beaten by rule: whoever contradicts it waits for a person.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from memory.domain.content import fold
from memory.domain.terms import Trust


class Settlement(StrEnum):
    """What becomes of the newcomer, and with it of the record that lives."""

    SUPPORTS = "supports"
    WINS = "wins"
    LOSES = "loses"
    WAITS = "waits"


@dataclass(frozen=True, slots=True)
class Claim:
    """One record as a conflict sees it; `at` is when it was last asserted."""

    key: str
    object: str
    trust: Trust
    at: datetime


def settle(living: Claim, newcomer: Claim) -> Settlement:
    """Both speak under one key of one scope. Raises ValueError where they do not."""
    if not living.key or living.key != newcomer.key:
        raise ValueError("Only claims under one key can conflict.")
    if fold(living.object) == fold(newcomer.object):
        return Settlement.SUPPORTS
    if living.trust is Trust.VERIFIED:
        return Settlement.WAITS
    if newcomer.trust.rank != living.trust.rank:
        higher = newcomer.trust.rank > living.trust.rank
        return Settlement.WINS if higher else Settlement.LOSES
    return Settlement.WINS if newcomer.at > living.at else Settlement.LOSES
