"""The words of memory: kinds, trust, tiers, standings, and the constants that rules turn on."""

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    FACT = "fact"
    RULE = "rule"
    SKILL = "skill"


class Trust(StrEnum):
    """Who vouches for a record. Compare by `rank`; the values order by spelling."""

    UNVERIFIED = "unverified"
    CORROBORATED = "corroborated"
    VERIFIED = "verified"

    @property
    def rank(self) -> int:
        return TRUST_RANKS[self]


class Tier(StrEnum):
    """How far a record reaches."""

    PRIVATE = "private"
    TEAM = "team"
    GLOBAL = "global"


class Standing(StrEnum):
    """Whether a record may be recalled at all; only a live one may."""

    LIVE = "live"
    HELD = "held"
    SUPPRESSED = "suppressed"
    BURIED = "buried"
    REFUSED = "refused"


class Grounding(StrEnum):
    PRECISE = "precise"
    ADVISORY = "advisory"
    INFERRED = "inferred"


class ItemType(StrEnum):
    SECURITY = "security"
    API_CONTRACT = "api_contract"
    UI_FIX = "ui_fix"
    COSMETIC_TIP = "cosmetic_tip"


class Outcome(StrEnum):
    PROGRESSED = "progressed"
    STUCK = "stuck"
    REGRESSED = "regressed"
    DONE = "done"


class Answer(StrEnum):
    """What a person may say to a promotion request."""

    PROMOTE = "promote"
    EDIT = "edit"
    MERGE = "merge"
    DEMOTE = "demote"
    REJECT = "reject"
    BURY = "bury"
    DEFER = "defer"


class RequestState(StrEnum):
    OPEN = "open"
    DECIDED = "decided"
    VOID = "void"


class IntentionState(StrEnum):
    WAITING = "waiting"
    CLAIMED = "claimed"
    FIRED = "fired"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


TRUST_RANKS: Final = {Trust.UNVERIFIED: 0, Trust.CORROBORATED: 1, Trust.VERIFIED: 2}

# Sources whose word is deterministic: only they make a fact precise.
PRECISE_SOURCES: Final = frozenset({"dom", "cv", "ocr", "test"})

# So many independent episodes corroborate a record.
CORROBORATING_EPISODES: Final = 3

# A scope is one of these words, or one of these before a colon and a name.
SHARED_SCOPES: Final = ("team", "global")
NAMED_SCOPES: Final = ("agent", "repo")
