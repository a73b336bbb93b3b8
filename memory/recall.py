"""Recall: which records fit a goal, and one context of them with the reasons stored."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from branches.domain.search_query import Clause, Term
from branches.domain.words import split_words
from memory.domain.assembly import Candidate, Entered, Policy, Section, assemble
from memory.domain.content import is_scope
from memory.domain.likeness import words_of
from memory.domain.terms import Grounding, Kind, Standing, Trust
from memory.models import Assembly, Record, Retrieval
from memory.storage.recall_index import find_words
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


def recall(*, project_id: UUID, goal: str, scopes: Sequence[str], limit: int) -> list[Record]:
    """Records that may enter a context and fit the goal, the best first."""
    words = list(dict.fromkeys(split_words(goal)))[:MAX_GOAL_WORDS]
    if not words:
        return []
    clause = Clause(tuple(Term((word,)) for word in words))
    positions = find_words(
        project_id=project_id, clauses=[clause], limit=limit, recallable_in=scopes
    )
    rows = Record.objects.filter(project_id=project_id, position__in=positions)
    found = {row.position: row for row in rows}
    return [found[position] for position in positions if position in found]


@transaction.atomic
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
    rows = _gather(project_id, goal, scopes)
    aim = words_of(goal)
    candidates = [_as_candidate(row, aim, now) for row in rows]
    made = assemble(candidates, scopes=scopes, policy=policy or Policy(DEFAULT_BUDGET))
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
    _remember(stored, {str(row.record_id): row for row in rows}, made.entered)
    return stored


def _gather(project_id: UUID, goal: str, scopes: Sequence[str]) -> list[Record]:
    """What fits the goal and what holds anyway; and beside them what of their keys may not enter,
    so that the stored explanation names it."""
    fitting = recall(project_id=project_id, goal=goal, scopes=scopes, limit=CANDIDATES)
    vouched = Record.objects.live().filter(project_id=project_id, scope__in=scopes)
    standing = [
        row
        for trust in (Trust.VERIFIED, Trust.CORROBORATED)
        for row in vouched.filter(trust=trust.value).order_by("-asserted_at")[:VOUCHED]
    ]
    rows = {row.position: row for row in [*standing, *fitting]}
    keys = {row.key for row in rows.values() if row.key}
    rivals = Record.objects.filter(project_id=project_id, key__in=keys)
    for row in rivals.exclude(pk__in=rows)[:CANDIDATES]:
        rows[row.position] = row
    return list(rows.values())


def _as_candidate(row: Record, aim: frozenset[str], now: object) -> Candidate:
    words = words_of(row.text)
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
        relevance=len(words & aim) / len(aim) if aim else 0.0,
        words=words,
    )


def _remember(stored: Assembly, rows: dict[str, Record], entered: Sequence[Entered]) -> None:
    """A retrieval moves count and time, and so the strength; never the confidence."""
    now = stored.created_at
    taken = [rows[one.candidate.id] for one in entered]
    Retrieval.objects.bulk_create(
        Retrieval(
            project_id=stored.project_id,
            record=row,
            assembly=stored,
            age_days=max(
                0.0, (now - (row.retrieved_at or row.created_at)).total_seconds() / 86_400
            ),
            retrievals=row.retrieval_count,
            at=now,
        )
        for row in taken
    )
    Record.objects.filter(pk__in=[row.pk for row in taken]).update(
        retrieval_count=F("retrieval_count") + 1, retrieved_at=now
    )
