"""Recall: which records fit a goal, and one context of them with the reasons stored."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from branches.domain.search_query import Clause, Term
from branches.domain.words import split_words
from memory.domain.assembly import Assembly as Made
from memory.domain.assembly import Candidate, Entered, Policy, Section, assemble
from memory.domain.content import is_scope
from memory.domain.fusion import fuse
from memory.domain.likeness import words_of
from memory.domain.recalled import COLUMNS, Recalled
from memory.domain.terms import Grounding, Kind, Standing, Trust
from memory.models import Assembly, Record, Retrieval
from memory.storage.recall_index import find_recallable
from memory.vectors import find_alike
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


def recall(*, project_id: UUID, goal: str, scopes: Sequence[str], limit: int) -> list[Recalled]:
    """Records that may enter a context and fit the goal, by words and by meaning, the best first.
    Call outside of transactions: an embedder may take its time."""
    return [row for row, _ in _recall(project_id, goal, scopes, limit)]


def _recall(
    project_id: UUID, goal: str, scopes: Sequence[str], limit: int
) -> list[tuple[Recalled, float]]:
    """Each with its cosine to the goal; 0 where it was found by words alone."""
    told = _find_by_words(project_id, goal, scopes, limit)
    alike = dict(find_alike(project_id=project_id, goal=goal, scopes=scopes, limit=limit))
    if not alike:
        return [(row, 0.0) for row in told]
    found = {row.position: row for row in told}
    # A vector may be older than what its record is by now.
    rows = Record.objects.recallable().filter(project_id=project_id, scope__in=scopes)
    missing = rows.filter(position__in=alike.keys() - found.keys())
    found |= {row[0]: Recalled(*row) for row in missing.values_list(*COLUMNS)}
    positions = fuse([[row.position for row in told], [at for at in alike if at in found]])
    return [(found[at], alike.get(at, 0.0)) for at in positions[:limit]]


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
    now = timezone.now()
    gathered = _gather(project_id, goal, scopes)
    aim = words_of(goal)
    candidates = [_as_candidate(row, aim, cosine, now) for row, cosine in gathered]
    made = assemble(candidates, scopes=scopes, policy=policy or Policy(DEFAULT_BUDGET))
    rows = {str(row.record_id): row for row, _ in gathered}
    with transaction.atomic():
        return _store(made, rows, project_id, actor, role, goal, scopes, now)


def _store(
    made: Made,
    rows: dict[str, Recalled],
    project_id: UUID,
    actor: Actor,
    role: str,
    goal: str,
    scopes: Sequence[str],
    now: datetime,
) -> Assembly:
    stored = Assembly.objects.create(
        project_id=project_id,
        role=role,
        goal=goal,
        scopes=list(scopes),
        result=made.as_json(),
        tokens=made.tokens,
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
        created_at=now,
    )
    _remember(stored, rows, made.entered)
    return stored


def _gather(project_id: UUID, goal: str, scopes: Sequence[str]) -> list[tuple[Recalled, float]]:
    """What fits the goal and what holds anyway; and beside them what of their keys may not enter,
    so that the stored explanation names it."""
    fitting = _recall(project_id, goal, scopes, CANDIDATES)
    vouched = Record.objects.live().filter(project_id=project_id, scope__in=scopes)
    told = {
        row[0]: (Recalled(*row), 0.0)
        for trust in (Trust.VERIFIED, Trust.CORROBORATED)
        for row in vouched.filter(trust=trust.value)
        .order_by("-asserted_at")
        .values_list(*COLUMNS)[:VOUCHED]
    }
    told |= {row.position: (row, cosine) for row, cosine in fitting}
    keys = {row.key for row, _ in told.values() if row.key}
    if keys:
        rivals = Record.objects.filter(project_id=project_id, key__in=keys).exclude(pk__in=told)
        for row in rivals.values_list(*COLUMNS)[:CANDIDATES]:
            told[row[0]] = (Recalled(*row), 0.0)
    return list(told.values())


def _as_candidate(row: Recalled, aim: frozenset[str], cosine: float, now: datetime) -> Candidate:
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
        strength=row.strength(now),
        relevance=max(cosine, len(words & aim) / len(aim) if aim else 0.0),
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
