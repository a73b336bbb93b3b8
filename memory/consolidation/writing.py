"""The sixth and the seventh step: claims become records by the door that every proposal takes, with
whatever is owed to a rented store; and what has faded is buried."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from memory.consolidation.scoping import (
    fold_in,
    known_elsewhere,
    places_of,
    scope_of_candidate,
    widen,
)
from memory.consolidation.windows import OVER, WINDOW, Stage, Window
from memory.consolidation_models import Candidate, Consolidation
from memory.curves import read_curves
from memory.domain.consolidation import TEAM, Fate, Place
from memory.domain.strength import (
    PRUNE_CONFIDENCE,
    PRUNE_STRENGTH,
    PRUNE_SUPPORT,
    Curves,
    may_prune,
)
from memory.domain.terms import ItemType, Kind, RequestState, Standing, Trust
from memory.evidence import Cited
from memory.facts import make_fact
from memory.models import Record
from memory.proposals import propose
from memory.querysets import CandidateQuerySet, RecordQuerySet
from memory.records import Proposal
from memory.rules import make_rule
from memory.storage.candidate_rows import save_candidates
from verel_site.access.actors import Actor
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Refusal

# Each is a proposal of its own; so many hold the database's writer for a moment only.
WRITTEN: Final = 25


def writer_of(job: Consolidation) -> Actor:
    return Actor(kind="system", id=str(job.pk), name=f"consolidation {job.number}")


def _ready(job: Consolidation) -> CandidateQuerySet:
    return Candidate.objects.filter(consolidation=job, fate=Fate.READY.value)


def write_back(job: Consolidation) -> Window:
    # By turn and not by number: of rivals the one that is to speak comes last.
    rows = list(_ready(job).order_by("turn", "pk")[:WRITTEN])
    if not rows:
        return OVER
    places = places_of(rows)

    def write() -> Counter[str]:
        counts = Counter(_settle(job, row, places) for row in rows)
        save_candidates(rows, ("fate", "became", "why", "record"))
        refused = counts.pop("refused", 0)
        return Counter({**counts, "written": counts.total(), "refused": refused})

    return Window(rows[-1].pk, len(rows), write)


def _settle(job: Consolidation, row: Candidate, places: dict[str, Place]) -> str:
    """What became of it; a refusal leaves nothing behind but its reason."""
    try:
        with transaction.atomic():
            proposal = _proposal(row, scope_of_candidate(row, places))
            known = known_elsewhere(job, proposal) if proposal.scope != TEAM else []
            proposal = widen(proposal, known) if known else proposal
            proposed = propose(project_id=job.project_id, actor=writer_of(job), proposal=proposal)
            fold_in(known, proposed.record)
    except Refusal as refusal:
        row.fate, row.why = Fate.REFUSED.value, f"{refusal.title}. {refusal.detail}"
        return "refused"
    row.fate, row.became = Fate.WRITTEN.value, proposed.became.value
    row.record = proposed.record
    return proposed.became.value


def _proposal(row: Candidate, scope: str) -> Proposal:
    told: dict[str, Any] = {
        "text": row.text,
        "item_type": ItemType(row.item_type),
        "source": row.source,
        "entailment": row.score,
        "evidence": [_cite(one) for one in row.sources],
    }
    if row.kind == Kind.RULE.value:
        return make_rule(expression=row.expression, scope=scope, **told)
    told |= {"subject": row.subject, "predicate": row.predicate, "object": row.object}
    return make_fact(scope=scope, **told)


def _cite(source: dict[str, Any]) -> Cited:
    return Cited(
        event_id=UUID(source["event"]),
        quote=source["quote"],
        score=source.get("score"),
        report=UUID(source["report"]) if source["report"] else None,
        sees=source["sees"] or "pass",
    )


def _fading(job: Consolidation) -> RecordQuerySet:
    """What might be pruned, as far as the database can tell; never what a person is asked about."""
    rows = Record.objects.live().filter(project_id=job.project_id, position__gt=job.cursor)
    rows = rows.filter(confidence__lt=PRUNE_CONFIDENCE, support_count__lt=PRUNE_SUPPORT)
    return rows.exclude(trust=Trust.VERIFIED.value).exclude(requests__state=RequestState.OPEN.value)


def fade(job: Consolidation) -> Window:
    rows = list(_fading(job).order_by("position")[:WINDOW])
    if not rows:
        return OVER
    # As of the order, so that a window done anew buries the same ones.
    now, curves = job.created_at, read_curves(job.project_id)
    gone = [
        row
        for row in rows
        if may_prune(
            strength=row.strength(now, curves),
            confidence=row.confidence,
            support=row.support_count,
            trust=Trust(row.trust),
        )
    ]

    def write() -> Counter[str]:
        return Counter(pruned=sum(_bury(job, gone, curves)))

    return Window(rows[-1].position, len(rows), write, Counter(faded=len(rows)))


def _bury(job: Consolidation, rows: Iterable[Record], curves: Curves) -> Iterable[bool]:
    for row in rows:
        strength = row.strength(job.created_at, curves)
        live = Record.objects.live().filter(pk=row.pk)
        if live.update(standing=Standing.BURIED.value) != 1:
            continue
        record_act(
            project_id=row.project_id,
            actor=writer_of(job),
            action="memory.prune",
            subject=f"record:{row.record_id}",
            digest=bytes(row.digest),
            before={"standing": Standing.LIVE.value},
            after={"standing": Standing.BURIED.value},
            reason=(
                f"Strength {strength:.2f} is below {PRUNE_STRENGTH}, confidence "
                f"{row.confidence:.2f} below {PRUNE_CONFIDENCE}, and {_tell_runs(row)} for it."
            ),
        )
        yield True


def _tell_runs(row: Record) -> str:
    if row.support_count == 1:
        return "one run speaks"
    return f"{row.support_count or 'no'} runs speak"


WRITE: Final = Stage(write_back, lambda job: _ready(job).count())
DECAY: Final = Stage(fade, lambda job: _fading(job).count())
