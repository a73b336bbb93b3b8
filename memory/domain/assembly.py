"""What of memory enters a context, under a token budget, and why the rest does not.

Records pass the rules that forbid before they compete: only live ones that somebody vouches for,
in a scope that was asked for, and of one key only one. What is left is taken section by section in
the order of keeping (identity and rules, percepts, skills, facts, episodes), so that under pressure
episodes go first. Inside a section maximal marginal relevance takes next

    λ·rank − (1 − λ)·(highest similarity to what was taken)
    rank = w_e·confidence + w_r·strength + w_g·relevance

`relevance` is how well the record fits the goal. The output's order depends on sections and on the
age of records alone, never on ranks: a context that gains a record keeps its prefix up to there.

Beside records stands what is given: the reader's role, and what its own branch saw and did last.
Nobody vouches for that and nobody has to, since its reader was there; the n-th newest has a strength
of 1 / n. It is compared with its own kind alone, so that it crowds out no record.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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


class Origin(StrEnum):
    """What a line of a context is; all but a record is given."""

    RECORD = "record"
    ROLE = "role"
    PERCEPT = "percept"
    EPISODE = "episode"


class Left(StrEnum):
    """Why a record did not enter."""

    STANDING = "standing"
    TRUST = "trust"
    SCOPE = "scope"
    KEY = "key"
    RANK = "rank"
    REDUNDANT = "redundant"
    BUDGET = "budget"
    SUSPICIOUS = "suspicious"


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
    origin: Origin = Origin.RECORD

    @property
    def is_given(self) -> bool:
        return self.origin is not Origin.RECORD


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
    """`by` is the line that took its place, where one did; `figures` what the rule went by."""

    candidate: Candidate
    reason: Left
    by: str = ""
    figures: Mapping[str, str | float] = field(default_factory=dict)


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
            "entered": [_tell_entered(one) for one in self.entered],
            "left_out": [_tell_left(one) for one in self.left_out],
        }


def _tell_entered(one: Entered) -> dict[str, Any]:
    candidate = one.candidate
    return {
        "id": candidate.id,
        "origin": candidate.origin.value,
        "section": candidate.section.value,
        "text": one.text,
        "tokens": one.tokens,
        "rank": round(one.rank, 4),
        "confidence": round(candidate.confidence, 4),
        "strength": round(candidate.strength, 4),
        "relevance": round(candidate.relevance, 4),
    }


def _tell_left(one: LeftOut) -> dict[str, Any]:
    told: dict[str, Any] = {"id": one.candidate.id, "origin": one.candidate.origin.value}
    # What is suspicious is not told on, not even as a reason.
    if one.candidate.is_given and one.reason is not Left.SUSPICIOUS:
        told["text"] = one.candidate.text
    told |= {"reason": one.reason.value, **one.figures}
    return told | {"by": one.by} if one.by else told


def count_tokens(text: str) -> int:
    """An estimate, on the safe side for prose in Latin letters: a token for every three bytes of
    UTF-8, rounded up, and one for the line's end. No tokenizer stands behind it."""
    return -(-len(text.encode(errors="replace")) // 3) + 1


def label(candidate: Candidate) -> str:
    """The record's one line. What only a model says, or nobody has verified, says so itself; no word
    of the record's own can end the line, or the label."""
    text = " ".join(candidate.text.split())
    if candidate.origin is Origin.ROLE:
        return f"role: {text}"
    if candidate.is_given:
        return f"{text} [src:{_name(candidate.source)} {candidate.origin.value}]"
    if candidate.grounding is Grounding.PRECISE or candidate.trust is Trust.VERIFIED:
        return text
    level = "low" if candidate.confidence < 0.5 else "mid" if candidate.confidence < 0.8 else "high"
    return f"{text} [src:{_name(candidate.source)} conf:{level} {candidate.grounding.value}]"


def _name(source: str) -> str:
    return _NO_NAME.sub("-", source).strip("-")[:MAX_SOURCE] or "memory"


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
    orders: Callable[[str], Sequence[str]]
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
            alike = {"likeness": round(one.alike, 4), "rank": round(one.rank, 4)}
            self.left_out.append(LeftOut(one.candidate, Left.REDUNDANT, one.by, alike))
            return False
        if self.tokens + tokens > self.policy.budget:
            room = self.policy.budget - self.tokens
            short = {"tokens": tokens, "room": room, "rank": round(one.rank, 4)}
            self.left_out.append(LeftOut(one.candidate, Left.BUDGET, figures=short))
            return False
        found = self.orders(one.candidate.text) if _trips(one.candidate) else ()
        if found:
            says = {"says": f"It {found[0]}."}
            self.left_out.append(LeftOut(one.candidate, Left.SUSPICIOUS, figures=says))
            return False
        self.tokens += tokens
        self.entered.append(Entered(one.candidate, text, tokens, one.rank))
        if not one.candidate.is_given:
            self.taken.append(one)
        return True


def assemble(
    candidates: Iterable[Candidate],
    *,
    scopes: Sequence[str],
    policy: Policy,
    orders: Callable[[str], Sequence[str]] = lambda text: (),
) -> Assembly:
    """One context. The same candidates give the same one, in whatever order they come. `orders`
    tells what a text orders its reader: what gives any is left out, unless a person let it in; and so
    is what gives one together with the line before it."""
    told = sorted(candidates, key=lambda one: (one.order, one.origin, one.id))
    filling = _Filling(policy, orders)
    admitted = _one_per_key(_admit(told, set(scopes), filling), filling)
    for section in KEEPING:
        _fill(filling, [one for one in admitted if one.section is section])
    entered = sorted(
        filling.entered, key=lambda one: (ORDER[one.candidate.section], one.candidate.order)
    )
    kept = _keep_apart(entered, filling)
    left_out = sorted(filling.left_out, key=lambda one: one.candidate.order)
    tokens = sum(one.tokens for one in kept)
    return Assembly(tuple(kept), tuple(left_out), tokens, policy)


def _admit(told: Iterable[Candidate], scopes: set[str], filling: _Filling) -> list[Candidate]:
    admitted = []
    for one in told:
        left = _refusal(one, scopes, filling.policy)
        if left is None:
            admitted.append(one)
        else:
            filling.left_out.append(left)
    return admitted


def _refusal(one: Candidate, scopes: set[str], policy: Policy) -> LeftOut | None:
    if one.is_given:
        return None
    if one.standing is not Standing.LIVE:
        return LeftOut(one, Left.STANDING, figures={"standing": one.standing.value})
    if one.trust is Trust.UNVERIFIED:
        return LeftOut(one, Left.TRUST)
    if one.scope not in scopes:
        return LeftOut(one, Left.SCOPE, figures={"scope": one.scope})
    rank = rank_of(one, policy)
    low = rank < policy.least_rank
    return LeftOut(one, Left.RANK, figures={"rank": round(rank, 4)}) if low else None


def _trips(one: Candidate) -> bool:
    """Whether it may be an attack: a person read what is verified, and a role is its reader's own."""
    return one.trust is not Trust.VERIFIED and one.origin is not Origin.ROLE


def _keep_apart(entered: Sequence[Entered], filling: _Filling) -> list[Entered]:
    """Without the lines that make an order of the line before them."""
    if not filling.orders(" ".join(one.candidate.text for one in entered)):
        return list(entered)
    kept: list[Entered] = []
    for one in entered:
        before = kept[-1].candidate if kept else None
        found = _order_of(before, one.candidate, filling) if before else ()
        if before and found:
            says = {"says": f"With the line before it, it {found[0]}."}
            filling.left_out.append(LeftOut(one.candidate, Left.SUSPICIOUS, before.id, says))
        else:
            kept.append(one)
    return kept


def _order_of(before: Candidate, one: Candidate, filling: _Filling) -> Sequence[str]:
    if not _trips(one) or before.origin is Origin.ROLE:
        return ()
    alone = filling.orders(before.text)
    return [name for name in filling.orders(f"{before.text} {one.text}") if name not in alone]


def _one_per_key(admitted: Sequence[Candidate], filling: _Filling) -> list[Candidate]:
    """Of one key what is verified speaks, in whatever scope: a narrow one is no way round it. Then
    the narrowest scope, trust, rank, and age."""

    def standing(one: Candidate) -> tuple[bool, int, int, float, int]:
        verified = one.trust is Trust.VERIFIED
        rank = rank_of(one, filling.policy)
        return verified, narrowness(one.scope), one.trust.rank, rank, -one.order

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
        if not any(one.is_given for one in told):
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
