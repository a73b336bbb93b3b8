"""Whose a claim is: what one repository's runs taught is that repository's own, what those of several
did is the team's. What is narrow goes wider by a person's promotion, or by another repository."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from branches.models import Run
from memory.consolidation_models import Candidate, Consolidation
from memory.domain.consolidation import TEAM, repository_of, scope_of
from memory.domain.content import fold
from memory.domain.terms import Grounding, Tier
from memory.evidence import MAX_EVIDENCE, Cited
from memory.models import Evidence, Record
from memory.records import Proposal


def repositories_of(rows: Sequence[Candidate]) -> dict[str, str]:
    """Of the runs behind the candidates, by their ids; empty where a run names none."""
    runs = {UUID(one["run"]) for row in rows for one in row.sources}
    told = Run.objects.filter(pk__in=runs).values_list("pk", "spec", "metadata")
    return {str(pk): repository_of(spec) or repository_of(metadata) for pk, spec, metadata in told}


def scope_of_candidate(row: Candidate, repositories: dict[str, str]) -> str:
    return scope_of({repositories.get(one["run"], "") for one in row.sources})


def known_elsewhere(job: Consolidation, proposal: Proposal) -> list[Record]:
    """What says the same for the team, or was consolidated for another repository."""
    rows = Record.objects.live().filter(project_id=job.project_id, key=proposal.key)
    return [
        row
        for row in rows.exclude(scope=proposal.scope)
        if fold(row.object) == fold(proposal.object)
        and (row.tier != Tier.PRIVATE.value or _is_repositorys(row))
    ]


def _is_repositorys(row: Record) -> bool:
    return row.scope.startswith("repo:") and row.by_kind == "system"


def widen(proposal: Proposal, known: Sequence[Record]) -> Proposal:
    """For the team, with what spoke for it in other repositories."""
    rows = Evidence.objects.filter(record__in=known, agrees=True).select_related("record")
    rows = rows.order_by("position")
    mine = {one.event_id for one in proposal.cited}
    cited = [_cite(row) for row in rows[:MAX_EVIDENCE] if row.event_id not in mine]
    return replace(proposal, scope=TEAM, cited=(*proposal.cited, *cited)[:MAX_EVIDENCE])


def _cite(row: Evidence) -> Cited:
    """With its report where that made the record precise; beside another score it proves nothing."""
    told = row.corroborator if row.record.grounding == Grounding.PRECISE.value else {}
    report, verdict = told.get("report"), told.get("verdict")
    return Cited(
        row.event_id, row.quote, row.score, UUID(report) if report else None, verdict or "pass"
    )
