"""What of memory enters a context, under a token budget, and why the rest does not.

Records pass the rules that forbid before they compete: only live ones that somebody vouches for,
in a scope that was asked for, and of one key only one. What is left is taken section by section in
the order of keeping (identity, percepts, skills and facts, episodes), so that under pressure
episodes go first. Inside a section maximal marginal relevance takes next

    λ·rank − (1 − λ)·(highest similarity to what was taken)
    rank = w_e·confidence + w_r·strength + w_g·relevance

`relevance` is how well the record fits the goal. The output's order depends on sections and on the
age of records alone, never on ranks: a context that gains a record keeps its prefix up to there.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import heapify, heappop, heappush
from typing import Any, Final

from memory.domain.content import narrowness
from memory.domain.terms import Grounding, Standing, Trust


class Section(StrEnum):
    """In the order of the output."""

    SYSTEM = "system"
    SKILLS = "skills"
    FACTS = "facts"
    EPISODES = "episodes"
    SCRATCH = "scratch"


ORDER: Final = {section: at for at, section in enumerate(Section)}
# Who is filled first is evicted last.
KEEPING: Final = (Section.SYSTEM, Section.SCRATCH, Section.SKILLS, Section.FACTS, Section.EPISODES)


# Whoever observed it is named in the label by these signs alone.
_NO_NAME: Final = re.compile(r"[^\w.@/-]+", re.ASCII)
MAX_SOURCE: Final = 40


class Left(StrEnum):
    """Why a record did not enter."""

    STANDING = "standing"
    TRUST = "trust"
    SCOPE = "scope"
    KEY = "key"
    RANK = "rank"
    REDUNDANT = "redundant"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that may enter. `order` rises with age of creation: older is lower, and no two are
    the same. `key` is empty where the record has none."""

    id: str
    order: int
    section: Section
    text: str
    scope: str
    key: str = ""
    standing: Standing = Standing.LIVE
    trust: Trust = Trust.CORROBORATED
    grounding: Grounding = Grounding.INFERRED
    source: str = ""
    confidence: float = 0.0
    strength: float = 1.0
    relevance: float = 0.0
    words: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policy:
    """The weights and limits of one assembly; all of them are stored with it."""

    budget: int
    confidence_weight: float = 0.4
    strength_weight: float = 0.3
    relevance_weight: float = 0.3
    least_rank: float = 0.2
    diversity: float = 0.7  # λ
    most_alike: float = 0.8

    def as_json(self) -> dict[str, float]:
        return {
            "budget": self.budget,
            "w_e": self.confidence_weight,
            "w_r": self.strength_weight,
            "w_g": self.relevance_weight,
            "least_rank": self.least_rank,
            "lambda": self.diversity,
            "most_alike": self.most_alike,
        }


@dataclass(frozen=True, slots=True)
class Entered:
    candidate: Candidate
    text: str
    tokens: int
    rank: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`by` is the record that took its place, where one did."""

    candidate: Candidate
    reason: Left
    by: str = ""


@dataclass(frozen=True, slots=True)
class Assembly:
    entered: tuple[Entered, ...]
    left_out: tuple[LeftOut, ...]
    tokens: int
    policy: Policy

    def as_json(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "policy": self.policy.as_json(),
            "entered": [
                {
                    "id": one.candidate.id,
                    "section": one.candidate.section.value,
                    "text": one.text,
                    "tokens": one.tokens,
                    "rank": round(one.rank, 4),
                }
                for one in self.entered
            ],
            "left_out": [
                {
                    "id": one.candidate.id,
                    "reason": one.reason.value,
                    **({"by": one.by} if one.by else {}),
                }
                for one in self.left_out
            ],
        }


def count_tokens(text: str) -> int:
    """An estimate, on the safe side for prose in Latin letters: a token for every three bytes of
    UTF-8, rounded up, and one for the line's end. No tokenizer stands behind it."""
    return -(-len(text.encode(errors="replace")) // 3) + 1


def label(candidate: Candidate) -> str:
    """The record's one line. What only a model says, or nobody has verified, says so itself; no word
    of the record's own can end the line, or the label."""
    text = " ".join(candidate.text.split())
    if candidate.grounding is Grounding.PRECISE or candidate.trust is Trust.VERIFIED:
        return text
    source = _NO_NAME.sub("-", candidate.source).strip("-")[:MAX_SOURCE] or "memory"
    level = "low" if candidate.confidence < 0.5 else "mid" if candidate.confidence < 0.8 else "high"
    return f"{text} [src:{source} conf:{level} {candidate.grounding.value}]"


def rank_of(candidate: Candidate, policy: Policy) -> float:
    return (
        policy.confidence_weight * candidate.confidence
        + policy.strength_weight * candidate.strength
        + policy.relevance_weight * candidate.relevance
    )


@dataclass(slots=True)
class _Contender:
    """A candidate while it competes: its words as the bits of one number, which tell in a fraction of
    the time of sets how many two texts share; and the nearest of what was taken."""

    candidate: Candidate
    words: int
    size: int
    rank: float
    alike: float = 0.0
    by: str = ""

    def margin(self, policy: Policy) -> float:
        return policy.diversity * self.rank - (1 - policy.diversity) * self.alike


@dataclass
class _Filling:
    policy: Policy
    entered: list[Entered] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    taken: list[_Contender] = field(default_factory=list)
    bits: dict[str, int] = field(default_factory=dict)
    tokens: int = 0

    def contend(self, one: Candidate) -> _Contender:
        words, bits = 0, self.bits
        for word in one.words:
            words |= bits.get(word) or bits.setdefault(word, 1 << len(bits))
        return _Contender(one, words, len(one.words), rank_of(one, self.policy))

    def take(self, one: _Contender) -> bool:
        """Whether it entered; the reason is kept where it did not."""
        text = label(one.candidate)
        tokens = count_tokens(text)
        if one.alike >= self.policy.most_alike:
            self.left_out.append(LeftOut(one.candidate, Left.REDUNDANT, one.by))
            return False
        if self.tokens + tokens > self.policy.budget:
            self.left_out.append(LeftOut(one.candidate, Left.BUDGET))
            return False
        self.tokens += tokens
        self.entered.append(Entered(one.candidate, text, tokens, one.rank))
        self.taken.append(one)
        return True


def assemble(candidates: Iterable[Candidate], *, scopes: Sequence[str], policy: Policy) -> Assembly:
    """One context. The same candidates give the same one, in whatever order they come."""
    told = sorted(candidates, key=lambda one: one.order)
    filling = _Filling(policy)
    admitted = _one_per_key(_admit(told, set(scopes), filling), filling)
    for section in KEEPING:
        _fill(filling, [one for one in admitted if one.section is section])
    entered = sorted(
        filling.entered, key=lambda one: (ORDER[one.candidate.section], one.candidate.order)
    )
    left_out = sorted(filling.left_out, key=lambda one: one.candidate.order)
    return Assembly(tuple(entered), tuple(left_out), filling.tokens, policy)


def _admit(told: Iterable[Candidate], scopes: set[str], filling: _Filling) -> list[Candidate]:
    admitted = []
    for one in told:
        reason = _refusal(one, scopes, filling.policy)
        if reason is None:
            admitted.append(one)
        else:
            filling.left_out.append(LeftOut(one, reason))
    return admitted


def _refusal(one: Candidate, scopes: set[str], policy: Policy) -> Left | None:
    if one.standing is not Standing.LIVE:
        return Left.STANDING
    if one.trust is Trust.UNVERIFIED:
        return Left.TRUST
    if one.scope not in scopes:
        return Left.SCOPE
    return Left.RANK if rank_of(one, policy) < policy.least_rank else None


def _one_per_key(admitted: Sequence[Candidate], filling: _Filling) -> list[Candidate]:
    """Of one key the narrowest scope speaks; in it trust, then rank, then age."""

    def standing(one: Candidate) -> tuple[int, int, float, int]:
        return narrowness(one.scope), one.trust.rank, rank_of(one, filling.policy), -one.order

    best: dict[str, Candidate] = {}
    for one in admitted:
        if one.key and (one.key not in best or standing(one) > standing(best[one.key])):
            best[one.key] = one
    kept = []
    for one in admitted:
        winner = best.get(one.key, one)
        if winner is one:
            kept.append(one)
        else:
            filling.left_out.append(LeftOut(one, Left.KEY, winner.id))
    return kept


def _fill(filling: _Filling, told: Sequence[Candidate]) -> None:
    """Takes by marginal relevance until nothing more fits. Each similarity is computed once.

    Margins only fall, so the best of a heap whose margin still holds is the best of all.
    """
    policy = filling.policy
    waiting = {one.order: filling.contend(one) for one in told}
    for taken in filling.taken:
        _approach(waiting.values(), taken)
    heap = [(-one.margin(policy), order) for order, one in waiting.items()]
    heapify(heap)
    while heap:
        held, order = heappop(heap)
        best = waiting[order]
        if -best.margin(policy) != held:
            heappush(heap, (-best.margin(policy), order))
            continue
        del waiting[order]
        if filling.take(best):
            _approach(waiting.values(), best)


def _approach(waiting: Iterable[_Contender], taken: _Contender) -> None:
    words, size = taken.words, taken.size
    for one in waiting:
        shared = (words & one.words).bit_count()
        # As `likeness.similarity` counts it.
        if shared and (alike := shared / (size + one.size - shared)) > one.alike:
            one.alike, one.by = alike, taken.candidate.id
