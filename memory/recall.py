"""Recall: which records fit a goal, and one context of them with the reasons stored."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from memory.branch_lines import read_branch_lines
from memory.curves import read_curves
from memory.domain.assembly import Assembly as Assembled
from memory.domain.assembly import Candidate, Entered, Origin, Policy, Section, assemble
from memory.domain.content import is_scope
from memory.domain.fusion import fuse
from memory.domain.likeness import words_of
from memory.domain.readings import readings_of, strip_hidden
from memory.domain.recalled import COLUMNS, Recalled
from memory.domain.screening import commands, holds_canary
from memory.domain.strength import Curves
from memory.domain.terms import Grounding, Kind, Standing, Trust
from memory.models import Assembly, Record
from memory.near_misses import read_near_misses
from memory.records import canaries_of
from memory.rented import ask_store, read_answer, why_store_rests
from memory.storage.recall_index import clauses_of, find_recallable
from memory.storage.recalled_rows import put_retrievals, read_rivals, read_vouched
from memory.vectors import find_alike, why_embedder_rests
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.inserts import insert_row
from verel_site.kit.refusals import BadInput, Refusal

CANDIDATES: Final = 200
# Rules and what is verified are looked at even where the goal's words do not name them.
VOUCHED: Final = 50
DEFAULT_BUDGET: Final = 2_000
MAX_BUDGET: Final = 200_000
# So often a context is assembled anew because what entered was moved meanwhile.
ROUNDS: Final = 3
SECTIONS: Final = {
    Kind.RULE.value: Section.SYSTEM,
    Kind.SKILL.value: Section.SKILLS,
    Kind.FACT.value: Section.FACTS,
}


# What a record says never changes.
_words_of = lru_cache(maxsize=4_096)(words_of)


def read_scopes(text: str) -> list[str]:
    """Scopes apart by commas; team and global are always among them. Raises BadInput."""
    named = [part.strip() for part in text.split(",") if part.strip()]
    for scope in named:
        if not is_scope(scope):
            raise BadInput(
                "scope takes team, global, repo:NAME or agent:NAME, apart by commas.",
                parameter="scope",
            )
    return sorted({*named, "team", "global"})


class MemoryMoved(Refusal):
    code = "memory_moved"
    title = "Memory moved"


@dataclass(frozen=True, slots=True)
class Asked:
    """A source of candidates: how many of those that it named may enter, and why it named none
    where it could not be asked."""

    source: str
    found: int
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        told = {"source": self.source, "found": self.found}
        return {**told, "fault": self.fault} if self.fault else told


@dataclass(frozen=True, slots=True)
class Found:
    """Records that fit a goal, the best first, each with how close it is to the goal: 0 where words
    alone found it."""

    rows: list[tuple[Recalled, float]]
    asked: list[Asked]


@dataclass(frozen=True, slots=True)
class _Terms:
    """By what one context is made."""

    aim: frozenset[str]
    now: datetime
    curves: Curves
    scopes: Sequence[str]
    policy: Policy
    orders: Callable[[str], Sequence[str]]


def recall(*, project_id: UUID, goal: str, scopes: Sequence[str], limit: int) -> list[Recalled]:
    """Records that may enter a context and fit the goal, by words, by meaning and by what a rented
    store finds near, the best first. Call outside of transactions: each may take its time."""
    return [row for row, _ in find_fitting(project_id, goal, scopes, limit).rows]


def find_fitting(project_id: UUID, goal: str, scopes: Sequence[str], limit: int) -> Found:
    """What `recall` answers, and which sources were asked for it."""
    # The store looks while we look ourselves.
    pending = ask_store(project_id=project_id, goal=goal, scopes=scopes, limit=limit)
    told = _find_by_words(project_id, goal, scopes, limit)
    alike = dict(find_alike(project_id=project_id, goal=goal, scopes=scopes, limit=limit))
    near = dict(read_answer(pending))
    found = {row.position: row for row in told}
    if alike or near:
        found |= _read_missing(project_id, scopes, alike.keys() - found.keys(), near)
    at = {row.record_id: row.position for row in found.values()} if near else {}
    close = {at[one]: closeness for one, closeness in near.items() if one in at}
    rankings = {
        "words": [row.position for row in told],
        "meaning": [one for one in alike if one in found],
        "store": list(close),
    }
    spoken = [ranking for ranking in rankings.values() if ranking]
    order = (fuse(spoken) if len(spoken) > 1 else [*chain(*spoken)])[:limit]
    rows = [(found[one], max(alike.get(one, 0.0), close.get(one, 0.0))) for one in order]
    return Found(rows, _tell_asked(rankings))


def _read_missing(
    project_id: UUID, scopes: Sequence[str], alike: Iterable[int], near: Iterable[UUID]
) -> dict[int, Recalled]:
    """Of what vectors and the store name, what may enter: either may be older than the record."""
    rows = Record.objects.recallable().filter(project_id=project_id, scope__in=scopes)
    rows = rows.filter(Q(position__in=list(alike)) | Q(record_id__in=list(near)))
    return {row[0]: Recalled(*row) for row in rows.values_list(*COLUMNS)}


def _tell_asked(rankings: dict[str, list[int]]) -> list[Asked]:
    asked = [Asked("words", len(rankings["words"]))]
    rests = why_embedder_rests()
    if rests is not None:
        asked.append(Asked("meaning", len(rankings["meaning"]), rests))
    if settings.VEREL_MEMORY_STORE != "none":
        name = settings.VEREL_MEMORY_STORE
        asked.append(Asked(name, len(rankings["store"]), why_store_rests()))
    return asked


def _find_by_words(
    project_id: UUID, goal: str, scopes: Sequence[str], limit: int
) -> list[Recalled]:
    clauses = clauses_of(goal)
    if not clauses:
        return []
    return find_recallable(project_id=project_id, clauses=clauses, scopes=scopes, limit=limit)


def assemble_context(
    *,
    project_id: UUID,
    actor: Actor,
    role: str = "",
    goal: str = "",
    scopes: Sequence[str] = ("team", "global"),
    policy: Policy | None = None,
    branch_id: UUID | None = None,
    trial: bool = False,
) -> Assembly:
    """One context for a reader, stored with what entered and why the rest did not. A branch gives
    what it saw and did last. A trial is a person's look: it counts as no retrieval."""
    actor.demand(project_id, Right.READ)
    given = _read_given(actor, project_id, role, branch_id)
    fitting = find_fitting(project_id, goal, scopes, CANDIDATES)
    gathered = _gather(project_id, fitting.rows, scopes)
    known = {row.position for row, _ in gathered}
    gathered += [(row, 0.0) for row in read_near_misses(project_id, goal, known=known)]
    stored = Assembly(
        project_id=project_id,
        role=role,
        goal=goal,
        scopes=list(scopes),
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
        created_at=timezone.now(),
    )
    about: dict[str, Any] = {"asked": [one.as_json() for one in fitting.asked]}
    about |= {"branch": str(branch_id)} if branch_id else {}
    about |= {"trial": True} if trial else {}
    terms = _Terms(
        aim=words_of(goal),
        now=stored.created_at,
        curves=read_curves(project_id),
        scopes=scopes,
        policy=policy or Policy(budget_of(role)),
        orders=_orders_of(project_id),
    )
    for _ in range(ROUNDS):
        made = _assemble(gathered, given, terms)
        counts = {"entered": len(made.entered), "left_out": len(made.left_out)}
        stored.result = {**made.as_json(), **about, "counts": counts}
        stored.tokens = made.tokens
        moved = _keep(stored, {str(row.record_id): row for row, _ in gathered}, made.entered)
        if not moved:
            return stored
        gathered = [(moved.get(row.position, row), closeness) for row, closeness in gathered]
    raise MemoryMoved("What was to enter was decided on meanwhile: ask again.")


def budget_of(role: str, asked: int | None = None) -> int:
    """A role's budget is hard: less may be asked for, and never more."""
    most = settings.VEREL_ROLE_BUDGETS.get(role)
    if most is None:
        return DEFAULT_BUDGET if asked is None else asked
    return int(most if asked is None else min(asked, most))


def _read_given(
    actor: Actor, project_id: UUID, role: str, branch_id: UUID | None
) -> list[Candidate]:
    said = strip_hidden(role)
    told = [Candidate("role", 0, Section.SYSTEM, said, "", origin=Origin.ROLE)] if said else []
    if branch_id is not None:
        told += read_branch_lines(actor=actor, project_id=project_id, branch_id=branch_id)
    return told


def _orders_of(project_id: UUID) -> Callable[[str], Sequence[str]]:
    """What a text orders its reader, or gives away."""
    canaries = canaries_of(project_id)

    def orders(text: str) -> Sequence[str]:
        leaks = bool(canaries) and holds_canary(readings_of(text), canaries)
        return (*commands(text), *(["holds a token that only secret cases hold"] if leaks else []))

    return orders


def _assemble(
    gathered: Sequence[tuple[Recalled, float]], given: Sequence[Candidate], by: _Terms
) -> Assembled:
    candidates = [
        _as_candidate(row, by.aim, closeness, row.strength(by.now, by.curves))
        for row, closeness in gathered
    ]
    told = [*candidates, *(_aimed(one, by.aim) for one in given)]
    return assemble(told, scopes=by.scopes, policy=by.policy, orders=by.orders)


def _aimed(one: Candidate, aim: frozenset[str]) -> Candidate:
    return replace(one, relevance=len(one.words & aim) / len(aim)) if aim else one


def _keep(
    stored: Assembly, rows: dict[str, Recalled], entered: Sequence[Entered]
) -> dict[int, Recalled]:
    """Stores the context and counts its retrievals; or, where somebody moved what entered while it
    was assembled, stores nothing and answers what moved."""
    taken = [rows[one.candidate.id] for one in entered if not one.candidate.is_given]
    positions = [row.position for row in taken]
    with transaction.atomic():
        still = Record.objects.recallable().filter(pk__in=positions, scope__in=stored.scopes)
        count = {"retrieval_count": F("retrieval_count") + 1, "retrieved_at": stored.created_at}
        trial = "trial" in stored.result
        found = still.count() if trial else still.update(**count)
        if found == len(taken):
            insert_row(stored)
            if not trial:
                # Count and time move, and so the strength; never the confidence.
                put_retrievals(
                    project_id=stored.project_id,
                    assembly_id=stored.pk,
                    at=stored.created_at,
                    taken=taken,
                )
            return {}
        transaction.set_rollback(True)
    fresh = Record.objects.filter(pk__in=positions).values_list(*COLUMNS)
    return {row[0]: Recalled(*row) for row in fresh}


def _gather(
    project_id: UUID, fitting: Sequence[tuple[Recalled, float]], scopes: Sequence[str]
) -> list[tuple[Recalled, float]]:
    """What fits the goal and what holds anyway; and beside them what of their keys may not enter,
    so that the stored explanation names it."""
    vouched = read_vouched(project_id=project_id, scopes=scopes, limit=VOUCHED)
    told = {row.position: (row, 0.0) for row in vouched}
    told |= {row.position: (row, closeness) for row, closeness in fitting}
    keys = {row.key for row, _ in told.values() if row.key}
    if keys:
        known = told.keys()
        rivals = read_rivals(project_id=project_id, keys=keys, known=known, limit=CANDIDATES)
        told |= {row.position: (row, 0.0) for row in rivals}
    return list(told.values())


def _as_candidate(
    row: Recalled, aim: frozenset[str], closeness: float, strength: float
) -> Candidate:
    words = _words_of(row.text)
    return Candidate(
        id=str(row.record_id),
        order=row.position,
        section=SECTIONS[row.kind],
        text=row.text,
        scope=row.scope,
        key=row.key,
        standing=Standing(row.standing),
        trust=Trust(row.trust),
        grounding=Grounding(row.grounding),
        source=row.source,
        confidence=row.confidence,
        strength=strength,
        relevance=max(closeness, len(words & aim) / len(aim) if aim else 0.0),
        words=words,
    )
