"""What verified a record fails now: the record falls back to what its support bears.

Memory follows two ledgers that only grow, each from a saved cursor: the failures that graders
opened or saw return, and the merges that were taken back. Every step is safe to run twice.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from branches.models import Merge
from memory.domain.terms import RequestState, Trust
from memory.models import Evidence, MemoryCursor, PromotionRequest, Record
from memory.promotion import regress_record
from memory.querysets import RecordQuerySet
from verdicts.domain.ledger import Turn
from verdicts.models import FailureEntry, GateDecision, Report
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.audit.models import AuditEntry

FAILURES: Final = "failures"
REVERTS: Final = "reverts"
BATCH: Final = 200
# Younger entries may yet be overtaken by ones with lower numbers that commit later.
SETTLE_SECONDS: Final = 10
FAILING: Final = (Turn.OPENED.value, Turn.RETURNED.value)


def follow_regressions(*, now: datetime | None = None) -> bool:
    """One batch for each project with something verified; whether there may be more right away."""
    verified = Record.objects.filter(project=OuterRef("pk"), trust=Trust.VERIFIED.value)
    projects = Project.objects.filter(Exists(verified)).values_list("pk", flat=True)
    until = (now or timezone.now()) - timedelta(seconds=SETTLE_SECONDS)
    more = [_follow_failures(project_id, until) for project_id in projects]
    more += [_follow_reverts(project_id) for project_id in projects]
    return any(more)


def _follow_failures(project_id: UUID, until: datetime) -> bool:
    cursor, _ = MemoryCursor.objects.get_or_create(project_id=project_id, name=FAILURES)
    rows = FailureEntry.objects.filter(
        failure__project_id=project_id, pk__gt=cursor.position, at__lt=until
    )
    entries = list(rows.select_related("failure", "report").order_by("pk")[:BATCH])
    if not entries:
        return False
    with transaction.atomic():
        if _move(cursor, entries[-1].pk):
            for entry in entries:
                if entry.turn in FAILING and entry.report is not None:
                    reason = f"The {entry.grader} grader, which bore it out, fails: {entry.failure.message}"
                    _fall_back(_borne_out_by(entry.report), reason)
    return len(entries) == BATCH


def _borne_out_by(report: Report) -> RecordQuerySet:
    """Verified records that rest on an earlier pass of the same grader on the same branch: as a
    precise corroborator, or as the evaluation that their promotion was backed by."""
    earlier = Report.objects.filter(
        branch_id=report.branch_id,
        grader=report.grader,
        tool=report.tool,
        verdict="pass",
        order__lt=report.order,
    )
    named = [str(pk) for pk in earlier.values_list("pk", flat=True)]
    corroborated = Evidence.objects.filter(
        record=OuterRef("pk"),
        branch_id=report.branch_id,
        agrees=True,
        corroborator__report__in=named,
    )
    backed = PromotionRequest.objects.filter(
        record=OuterRef("pk"), state=RequestState.DECIDED.value, gate__report__in=named
    )
    rows = Record.objects.filter(project_id=report.project_id, trust=Trust.VERIFIED.value)
    return rows.filter(Exists(corroborated) | Exists(backed))


def _follow_reverts(project_id: UUID) -> bool:
    cursor, _ = MemoryCursor.objects.get_or_create(project_id=project_id, name=REVERTS)
    rows = AuditEntry.objects.filter(
        project_id=project_id, action="merge.revert", number__gt=cursor.position
    )
    entries = list(rows.order_by("number")[:BATCH])
    if not entries:
        return False
    with transaction.atomic():
        if _move(cursor, entries[-1].number):
            for entry in entries:
                merge = Merge.objects.filter(pk=entry.subject.removeprefix("merge:")).first()
                if merge is not None:
                    reason = f"{entry.actor_name} took back the merge it rests on: {entry.reason}"
                    _fall_back(_resting_on(merge), reason)
    return len(entries) == BATCH


def _resting_on(merge: Merge) -> RecordQuerySet:
    """Verified records that were promoted by the gate of the branch that won, or that no other
    branch speaks for."""
    gates = GateDecision.objects.filter(branch_id=merge.winner_id).values_list("pk", flat=True)
    backed = PromotionRequest.objects.filter(
        record=OuterRef("pk"),
        state=RequestState.DECIDED.value,
        gate__decision__in=[str(pk) for pk in gates],
    )
    speaks = Evidence.objects.filter(record=OuterRef("pk"), agrees=True)
    here = Q(branch_id=merge.winner_id)
    rows = Record.objects.filter(project_id=merge.project_id, trust=Trust.VERIFIED.value)
    return rows.filter(
        Exists(backed) | (Exists(speaks.filter(here)) & ~Exists(speaks.exclude(here)))
    )


def _move(cursor: MemoryCursor, position: int) -> bool:
    """Of two at once one counts."""
    rows = MemoryCursor.objects.filter(pk=cursor.pk, position=cursor.position)
    return rows.update(position=position) == 1


def _fall_back(rows: RecordQuerySet, reason: str) -> None:
    ids: Iterable[UUID] = list(rows.values_list("record_id", flat=True))
    for record_id in ids:
        regress_record(record_id=record_id, actor=SYSTEM, reason=reason)
