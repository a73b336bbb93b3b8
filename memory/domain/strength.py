"""Strength of retrieval: how it fades, by which table, and when a record is buried.

    half_life = base · (1 + K·ln(1 + retrieval_count))
    strength  = max(floor, (1 + age_days / half_life)^(−β))

Age counts since the last retrieval. `half_life` is the time scale of a power law, by its customary
name: strength halves there only where β is 1. The table has defaults that nobody fitted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from memory.domain.terms import ItemType, Trust

RETRIEVAL_GAIN: Final = 1.0  # K
PRUNE_STRENGTH: Final = 0.15
PRUNE_CONFIDENCE: Final = 0.4
PRUNE_SUPPORT: Final = 2


@dataclass(frozen=True, slots=True)
class Curve:
    """How one type of item fades; `fitted` says whether logs stand behind the numbers."""

    base_days: float
    beta: float
    floor: float
    gain: float = RETRIEVAL_GAIN
    fitted: bool = False

    def half_life(self, retrievals: int) -> float:
        return self.base_days * (1 + self.gain * math.log1p(retrievals))

    def strength(self, age_days: float, retrievals: int = 0) -> float:
        """From 1 down to the floor. A clock that ran backwards counts as no age."""
        faded = math.pow(1 + max(0.0, age_days) / self.half_life(retrievals), -self.beta)
        return max(self.floor, faded)


# How each type of item fades in one project: the table, but for what a person took from a fit.
type Curves = Mapping[ItemType, Curve]

SECURITY: Final = Curve(365, 0.3, 0.5)
TABLE: Final[dict[ItemType, Curve]] = {
    ItemType.SECURITY: SECURITY,
    ItemType.API_CONTRACT: Curve(180, 0.4, 0.3),
    ItemType.UI_FIX: Curve(90, 0.6, 0.15),
    ItemType.COSMETIC_TIP: Curve(21, 0.8, 0.05),
}


def curve_of(item_type: ItemType, trust: Trust, curves: Curves) -> Curve:
    """Whatever is verified fades as slowly as security does by default: that is a policy."""
    return SECURITY if trust is Trust.VERIFIED else curves[item_type]


def may_prune(*, strength: float, confidence: float, support: int, trust: Trust) -> bool:
    """Whether a record fades out of sight: weak, doubted, alone, and vouched for by nobody.

    Pruned is buried, never erased.
    """
    return (
        strength < PRUNE_STRENGTH
        and confidence < PRUNE_CONFIDENCE
        and support < PRUNE_SUPPORT
        and trust is not Trust.VERIFIED
    )
