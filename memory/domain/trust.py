"""How trust and confidence move: pure, and by named evidence alone.

Trust is who vouches for a record; confidence, from 0 to 1, how likely it is true. Neither is the
strength of its retrieval, and reading a record moves neither.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from memory.domain.terms import CORROBORATING_EPISODES, Grounding, Tier, Trust

# What one independent episode takes away from the doubt, and one contradiction from the belief.
SUPPORT_WEIGHT: Final = 0.25
CONTRADICTION_WEIGHT: Final = 0.3
# Without a precise corroborator nothing starts above this.
INFERRED_CEILING: Final = 0.5


@dataclass(frozen=True, slots=True)
class Corroborated:
    """Independent episodes that support the record, all counted."""

    episodes: int


@dataclass(frozen=True, slots=True)
class Attested:
    """An evaluation: it lifts a record only if it was held out, has a receipt, and passed."""

    passed: bool
    held_out: bool
    receipt: bool


@dataclass(frozen=True, slots=True)
class SignedOff:
    """A person's word."""

    person: str


@dataclass(frozen=True, slots=True)
class Regressed:
    """What it was verified by fails now, or its suite was retired."""

    reason: str


@dataclass(frozen=True, slots=True)
class Demoted:
    """A person took one step of trust away, and as many more as its support does not bear."""

    person: str


type Move = Corroborated | Attested | SignedOff | Regressed | Demoted


def move_trust(trust: Trust, move: Move, *, support: int) -> Trust:
    """Where a record stands after a move; `support` counts its independent episodes."""
    match move:
        case Corroborated(episodes):
            return _at_least(trust, _by_support(episodes))
        case Attested(passed, held_out, receipt):
            return Trust.VERIFIED if passed and held_out and receipt else trust
        case SignedOff(person):
            return Trust.VERIFIED if person else trust
        case Regressed():
            return _at_most(trust, _by_support(support))
        case Demoted():
            return _at_most(_step_down(trust), _by_support(support))
        case _:
            assert_never(move)


def _by_support(episodes: int) -> Trust:
    enough = episodes >= CORROBORATING_EPISODES
    return Trust.CORROBORATED if enough else Trust.UNVERIFIED


def _at_least(one: Trust, other: Trust) -> Trust:
    return max(one, other, key=lambda trust: trust.rank)


def _at_most(one: Trust, other: Trust) -> Trust:
    return min(one, other, key=lambda trust: trust.rank)


def _step_down(trust: Trust) -> Trust:
    return Trust.CORROBORATED if trust is Trust.VERIFIED else Trust.UNVERIFIED


def first_confidence(*, entailment: float | None, grounding: Grounding) -> float:
    """What a new record starts with: its entailment, and no more than INFERRED_CEILING unless a
    precise source agreed. Without a score, half of that."""
    if entailment is None:
        return INFERRED_CEILING / 2
    return entailment if grounding is Grounding.PRECISE else min(entailment, INFERRED_CEILING)


def support_confidence(confidence: float, *, weight: float = SUPPORT_WEIGHT) -> float:
    """One more independent episode: a share of the doubt goes."""
    return _within(1 - (1 - confidence) * (1 - weight))


def contradict_confidence(confidence: float, *, weight: float = CONTRADICTION_WEIGHT) -> float:
    """One more contradiction: a share of the belief goes."""
    return _within(confidence * (1 - weight))


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))


def may_reach(tier: Tier, trust: Trust) -> bool:
    """Only what is verified goes global."""
    return tier is not Tier.GLOBAL or trust is Trust.VERIFIED
