"""Recall: which records fit a goal, and one context of them with the reasons stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from branches.domain.search_query import Clause, Term
from branches.domain.words import split_words
from memory.curves import read_curves
from memory.domain.assembly import Candidate, Entered, Policy, Section, assemble
from memory.domain.content import is_scope
from memory.domain.fusion import fuse
from memory.domain.likeness import words_of
from memory.domain.recalled import COLUMNS, Recalled
from memory.domain.terms import Grounding, Kind, Standing, Trust
from memory.models import Assembly, Record, Retrieval
from memory.rented import ask_store, read_answer, why_store_rests
from memory.storage.recall_index import find_recallable
from memory.storage.recalled_rows import read_rivals, read_vouched
from memory.vectors import find_alike, why_embedder_rests
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.refusals import BadInput

CANDIDATES: Final = 200
# Rules and what is verified are looked at even where the goal's words do not name them.
VOUCHED: Final = 50
MAX_GOAL_WORDS: Final = 24
DEFAULT_BUDGET: Final = 2_000
MAX_BUDGET: Final = 200_000
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
    words = list(dict.fromkeys(split_words(goal)))[:MAX_GOAL_WORDS]
    if not words:
        return []
    clause = Clause(tuple(Term((word,)) for word in words))
    return find_recallable(project_id=project_id, clauses=[clause], scopes=scopes, limit=limit)


def assemble_context(
    *,
    project_id: UUID,
    actor: Actor,
    role: str = "",
    goal: str = "",
    scopes: Sequence[str] = ("team", "global"),
    policy: Policy | None = None,
) -> Assembly:
    """One context for a reader, stored with what entered and why the rest did not."""
    actor.demand(project_id, Right.READ)
    now, curves = timezone.now(), read_curves(project_id)
    fitting = find_fitting(project_id, goal, scopes, CANDIDATES)
    gathered = _gather(project_id, fitting.rows, scopes)
    aim = words_of(goal)
    candidates = [
        _as_candidate(row, aim, closeness, row.strength(now, curves)) for row, closeness in gathered
    ]
    made = assemble(candidates, scopes=scopes, policy=policy or Policy(DEFAULT_BUDGET))
    rows = {str(row.record_id): row for row, _ in gathered}
    stored = Assembly(
        project_id=project_id,
        role=role,
        goal=goal,
        scopes=list(scopes),
        result={**made.as_json(), "asked": [one.as_json() for one in fitting.asked]},
        tokens=made.tokens,
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
        created_at=now,
    )
    with transaction.atomic():
        stored.save(force_insert=True)
        _remember(stored, rows, made.entered)
    return stored


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


def _remember(stored: Assembly, rows: dict[str, Recalled], entered: Sequence[Entered]) -> None:
    """A retrieval moves count and time, and so the strength; never the confidence."""
    now = stored.created_at
    taken = [rows[one.candidate.id] for one in entered]
    Retrieval.objects.bulk_create(
        Retrieval(
            project_id=stored.project_id,
            record_id=row.position,
            assembly=stored,
            age_days=row.age_days(now),
            retrievals=row.retrieval_count,
            at=now,
        )
        for row in taken
    )
    Record.objects.filter(pk__in=[row.position for row in taken]).update(
        retrieval_count=F("retrieval_count") + 1, retrieved_at=now
    )
