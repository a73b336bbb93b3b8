"""Whether a source supports a candidate, and so what the candidate may become.

The score comes from a model or with the candidate; it never decides alone: `precise` takes a
deterministic source in the same episode that agrees.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from memory.domain.terms import PRECISE_SOURCES, Grounding

PRECISE_ENTAILMENT: Final = 0.85
LEAST_ENTAILMENT: Final = 0.5


class Entailed(StrEnum):
    PRECISE = "precise"
    INFERRED = "inferred"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Corroborator:
    """A source beside the candidate: its kind, its episode, and whether it agrees."""

    source: str
    episode: str
    agrees: bool


def class_of(
    score: float | None, *, episode: str, corroborators: Iterable[Corroborator] = ()
) -> Entailed:
    """Without a score a candidate is inferred, whatever stands beside it.

    Raises ValueError for a score outside 0 to 1.
    """
    if score is None:
        return Entailed.INFERRED
    if math.isnan(score) or not 0 <= score <= 1:
        raise ValueError("An entailment score is a number from 0 to 1.")
    if score < LEAST_ENTAILMENT:
        return Entailed.DROPPED
    told = [one for one in corroborators if one.episode == episode]
    precise = [one for one in told if one.source in PRECISE_SOURCES]
    agreed = bool(precise) and all(one.agrees for one in precise)
    return Entailed.PRECISE if score >= PRECISE_ENTAILMENT and agreed else Entailed.INFERRED


def grounding_of(entailed: Entailed, *, source: str) -> Grounding:
    """A model's word is advisory at best, however high its score."""
    if entailed is Entailed.PRECISE:
        return Grounding.PRECISE
    return Grounding.ADVISORY if source in {"vision", "llm_judge"} else Grounding.INFERRED
