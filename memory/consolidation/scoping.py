"""Whose a claim is: what one repository's runs taught is that repository's own, what one agent met
in several is the agent's, and the rest is the team's. What is narrow goes wider by a person's
promotion, or once it is met elsewhere: then the team's record speaks in the place of the narrow ones.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from branches.models import Run
from memory.consolidation_models import Candidate, Consolidation
from memory.domain.consolidation import TEAM, Place, place_of, scope_of
from memory.domain.content import fold
from memory.domain.terms import Grounding, Standing, Tier, Trust
from memory.evidence import MAX_EVIDENCE, Cited
from memory.models import Evidence, Record
from memory.records import Proposal, suppress
from memory.requests import open_request, pin_request, refresh_others
from verel_site.access.actors import SYSTEM


def places_of(rows: Sequence[Candidate]) -> dict[str, Place]:
    """Whose the runs behind the candidates are, by their ids."""
    runs = {UUID(one["run"]) for row in rows for one in row.sources}
    told = Run.objects.filter(pk__in=runs).values_list("pk", "spec", "metadata")
    return {str(pk): place_of(spec, metadata) for pk, spec, metadata in told}


def scope_of_candidate(row: Candidate, places: dict[str, Place]) -> str:
    return scope_of({places.get(one["run"], Place()) for one in row.sources})


def known_elsewhere(job: Consolidation, proposal: Proposal) -> list[Record]:
    """What says the same for the team, or was consolidated for another repository or agent."""
    rows = Record.objects.live().filter(project_id=job.project_id, key=proposal.key)
    return [
        row
        for row in rows.exclude(scope=proposal.scope)
        if fold(row.object) == fold(proposal.object)
        and (row.tier != Tier.PRIVATE.value or row.by_kind == "system")
    ]


def widen(proposal: Proposal, known: Sequence[Record]) -> Proposal:
    """For the team, with what spoke for it elsewhere."""
    rows = Evidence.objects.filter(record__in=known, agrees=True).select_related("record")
    rows = rows.order_by("position")
    mine = {one.event_id for one in proposal.cited}
    cited = [_cite(row) for row in rows[:MAX_EVIDENCE] if row.event_id not in mine]
    return replace(proposal, scope=TEAM, cited=(*proposal.cited, *cited)[:MAX_EVIDENCE])


def fold_in(known: Sequence[Record], team: Record) -> None:
    """What the team's record says by now, the narrow ones need not say beside it; except for what
    somebody trusts more."""
    if team.standing != Standing.LIVE.value or team.tier == Tier.PRIVATE.value:
        return
    narrow = [
        row
        for row in known
        if row.tier == Tier.PRIVATE.value and Trust(row.trust).rank <= Trust(team.trust).rank
    ]
    if not narrow:
        return
    asked = any(open_request(row.pk) for row in narrow)
    for row in narrow:
        suppress(row, by=team)
    refresh_others(narrow)
    # Whoever was asked about a narrow one is asked about what speaks in its place.
    if asked and open_request(team.pk) is None:
        pin_request(team, actor=SYSTEM)


def _cite(row: Evidence) -> Cited:
    """With its report where that made the record precise; beside another score it proves nothing."""
    told = row.corroborator if row.record.grounding == Grounding.PRECISE.value else {}
    report, verdict = told.get("report"), told.get("verdict")
    return Cited(
        row.event_id, row.quote, row.score, UUID(report) if report else None, verdict or "pass"
    )
