"""What is asked of people about a record: a request, pinned to what was there to look at.

A request pins the record's content digest, its evidence, the conflicts and, where an evaluation
backs it, the gate's decision. When one of them moves it is void, says so, and another takes its
place.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from branches.models import Merge
from memory.domain.content import fold
from memory.domain.readings import strip_hidden
from memory.domain.terms import RequestState, Standing, Trust
from memory.evidence import evidence_digest, list_evidence
from memory.models import PromotionRequest, Record
from memory.records import Became, Proposed
from verdicts.models import GateDecision, Report, Suite
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.inbox.items import close_item, post_item
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable

PROMOTION: Final = "promotion"


class PromotionVoid(Refusal):
    code = "promotion_void"
    title = "What you looked at has moved"


class CannotAnswer(Unprocessable):
    code = "cannot_answer"
    title = "The record cannot take this answer"


class NoGate(Unprocessable):
    code = "no_gate"
    title = "No gate stands behind this evaluation"


def open_request(record_key: int) -> PromotionRequest | None:
    """What is being asked about a record, by the record's primary key."""
    return PromotionRequest.objects.filter(
        record_id=record_key, state=RequestState.OPEN.value
    ).first()


def waiting_requests(project_id: UUID) -> QuerySet[PromotionRequest]:
    """What waits for an answer now, the oldest first; what is deferred is asked anew in its time."""
    rows = PromotionRequest.objects.filter(
        project_id=project_id, state=RequestState.OPEN.value, deferred_until=None
    )
    return rows.order_by("created_at", "pk")


def next_after(request: PromotionRequest) -> PromotionRequest | None:
    """The one that waits behind a request, or else, at the end, the oldest."""
    rows = waiting_requests(request.project_id).exclude(pk=request.pk).select_related("record")
    behind = Q(created_at=request.created_at, pk__gt=request.pk)
    later = rows.filter(Q(created_at__gt=request.created_at) | behind)
    return later.first() or rows.first()


def ask_where_needed(proposed: Proposed) -> Proposed:
    """Puts before a person what no rule may settle: what is held, and what was corroborated."""
    record = proposed.record
    held = record.standing == Standing.HELD.value
    risen = record.standing == Standing.LIVE.value and record.trust == Trust.CORROBORATED.value
    # Nobody was asked yet about what came just now.
    asked = open_request(record.pk) if proposed.became is Became.SUPPORT else None
    if asked is not None:
        refresh_request(asked.pk)
    elif held or (risen and proposed.became is Became.SUPPORT):
        pin_request(record, actor=SYSTEM)
    # What came just now stands beside others only by its key.
    if record.key or proposed.became is Became.SUPPORT:
        refresh_others([record])
    return proposed


@transaction.atomic
def request_promotion(
    *, record_id: UUID, actor: Actor, gate_decision: UUID | None = None
) -> PromotionRequest:
    """Asks a person to verify a record. Asking again while a request is open answers that one.

    With `gate_decision` the request is backed by an evaluation: raises NoGate unless the gate was
    open on that head and a frozen suite's receipt stands behind it.
    """
    record = find_record(actor=actor, record_id=record_id)
    actor.demand(record.project_id, Right.PROPOSE)
    lock_project(project_id=record.project_id)
    gate = _read_gate(record.project_id, gate_decision) if gate_decision else {}
    asked = open_request(record.pk)
    if asked is not None:
        if not gate or asked.gate == gate:
            return asked
        _void(asked, "An evaluation came in.")
    if record.standing not in (Standing.LIVE.value, Standing.HELD.value):
        raise CannotAnswer(f"{record.label} is {record.standing}.", pointer="/record")
    return pin_request(record, actor=actor, gate=gate)


def pin_request(
    record: Record, *, actor: Actor, gate: dict[str, Any] | None = None
) -> PromotionRequest:
    listed = list_evidence(record)
    request = PromotionRequest.objects.create(
        project_id=record.project_id,
        record=record,
        content_digest=bytes(record.digest),
        evidence_digest=evidence_digest(listed),
        evidence=listed,
        conflicts=list_conflicts(record),
        gate=gate or {},
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
    )
    post_request(request)
    return request


def post_request(request: PromotionRequest) -> None:
    """Puts the question before people; again is no harm."""
    record = request.record
    against = [one for one in request.conflicts if not one["agrees"] and one["standing"] == "live"]
    flag = (
        "contradicts a verified one"
        if record.standing == Standing.HELD.value and against
        else ("held" if record.standing == Standing.HELD.value else "")
    )
    runs = record.support_count
    apart = Project.objects.filter(pk=record.project_id, separate_duties=True).exists()
    mine = [int(record.by_id)] if apart and record.by_kind == "person" else []
    post_item(
        project_id=record.project_id,
        kind=PROMOTION,
        subject_id=request.pk,
        subject_digest=hashlib.sha256(
            bytes(request.content_digest) + bytes(request.evidence_digest)
        ).digest(),
        title=strip_hidden(record.text),
        about=f"{record.label}, by {record.by_name}, {runs} independent run{'s' * (runs != 1)}",
        flag=flag,
        barred=mine,
    )


def list_conflicts(record: Record) -> list[dict[str, Any]]:
    """Other records under the key, whatever their standing, and who of the two would speak."""
    if not record.key:
        return []
    rows = Record.objects.filter(project_id=record.project_id, key=record.key)
    return [
        {
            "record": str(row.record_id),
            "label": row.label,
            "text": row.text,
            "object": row.object,
            "trust": row.trust,
            "standing": row.standing,
            "scope": row.scope,
            "agrees": fold(row.object) == fold(record.object),
        }
        for row in rows.exclude(pk=record.pk).order_by("position")
    ]


def _read_gate(project_id: UUID, decision_id: UUID) -> dict[str, Any]:
    decision = GateDecision.objects.filter(project_id=project_id, pk=decision_id).first()
    if decision is None:
        raise NoGate("There is no such decision of the gate.", pointer="/gate_decision")
    if not decision.open or decision.bypass_reason:
        raise NoGate("The gate was not open by itself.", pointer="/gate_decision")
    reports = Report.objects.filter(
        branch_id=decision.branch_id,
        head_digest=bytes(decision.head_digest),
        verdict="pass",
        receipt_standing="valid",
    )
    named = {report.receipt_claims.get("suite_digest", ""): report for report in reports}
    live = Suite.objects.filter(project_id=project_id, digest__in=named, retired_at=None)
    suite = live.exclude(frozen_at=None).first()
    if suite is None:
        raise NoGate(
            "No valid receipt of a frozen suite in use stands behind it.", pointer="/gate_decision"
        )
    return {
        "decision": str(decision.pk),
        "verdict": decision.verdict,
        "head_digest": bytes(decision.head_digest).hex(),
        "policy_version": decision.policy_version,
        "suite": str(suite.pk),
        "suite_digest": suite.digest,
        "report": str(named[suite.digest].pk),
    }


def find_record(*, actor: Actor, record_id: UUID) -> Record:
    rows = Record.objects.visible_to(actor).select_related("project", "suppressed_by", "supersedes")
    record = rows.filter(record_id=record_id).first()
    if record is None:
        raise NotFound(f"There is no record {record_id} that you may see.")
    return record


def find_request(*, actor: Actor, request_id: UUID) -> PromotionRequest:
    rows = PromotionRequest.objects.visible_to(actor).select_related("record", "project")
    request = rows.filter(pk=request_id).first()
    if request is None:
        raise NotFound(f"There is no promotion request {request_id} that you may see.")
    return request


@transaction.atomic
def refresh_request(request_id: UUID) -> PromotionVoid | None:
    """Voids a request of which something that it pins moved, and puts a fresh one in its place."""
    request = PromotionRequest.objects.select_related("record").get(pk=request_id)
    if request.state != RequestState.OPEN.value:
        return None
    lock_project(project_id=request.project_id)
    request.refresh_from_db()
    return _refresh(request) if request.state == RequestState.OPEN.value else None


def refresh_asked(project_id: UUID, number: int) -> None:
    """Before a record is looked at: what is asked about it pins what will be seen."""
    rows = PromotionRequest.objects.filter(
        project_id=project_id, record__number=number, state=RequestState.OPEN.value
    )
    for request in rows.select_related("record"):
        if changes_of(request, request.record):
            refresh_request(request.pk)


def refresh_others(records: Sequence[Record]) -> None:
    """Call in the transaction, and under the project's lock, of what moved these records: requests
    about them, and about others of their keys, pin what is no more."""
    keys = {record.key for record in records if record.key}
    rows = PromotionRequest.objects.filter(
        Q(record__key__in=keys) | Q(record__in=[record.pk for record in records]),
        project_id=records[0].project_id,
        state=RequestState.OPEN.value,
    )
    for request in list(rows.select_related("record").order_by("created_at")):
        _refresh(request)


def wake_deferred(limit: int) -> int:
    """Asks anew what was put off until now."""
    over = PromotionRequest.objects.filter(
        state=RequestState.OPEN.value, deferred_until__lte=timezone.now()
    )
    ids = list(over.order_by("deferred_until").values_list("pk", flat=True)[:limit])
    for request_id in ids:
        with transaction.atomic():
            request = PromotionRequest.objects.select_related("record").get(pk=request_id)
            lock_project(project_id=request.project_id)
            request.refresh_from_db()
            if request.state == RequestState.OPEN.value and request.deferred_until is not None:
                _replace(request, "The time it was put off for is over.")
    return len(ids)


def _refresh(request: PromotionRequest) -> PromotionVoid | None:
    changed = changes_of(request, request.record)
    return _replace(request, changed) if changed else None


def _replace(request: PromotionRequest, reason: str) -> PromotionVoid:
    record = request.record
    _void(request, reason)
    fresh = None
    if record.standing in (Standing.LIVE.value, Standing.HELD.value):
        gate = {} if gate_fault(request.gate) else request.gate
        fresh = pin_request(record, actor=SYSTEM, gate=gate)
    return PromotionVoid(reason, fresh=str(fresh.pk) if fresh else None)


def changes_of(request: PromotionRequest, record: Record) -> str:
    """What moved of what the request pins; empty where nothing did."""
    if bytes(request.content_digest) != bytes(record.digest):
        return "Its content changed after it was asked about."
    if record.standing not in (Standing.LIVE.value, Standing.HELD.value):
        return f"It is {record.standing} by now."
    listed = list_evidence(record)
    if bytes(request.evidence_digest) != evidence_digest(listed):
        more = len(listed) - len(request.evidence)
        return f"Its evidence changed after it was asked about: {more:+d} source{'' if abs(more) == 1 else 's'}."
    if request.conflicts != list_conflicts(record):
        return "Another record of its key changed after it was asked about."
    return gate_fault(request.gate)


def gate_fault(gate: dict[str, Any]) -> str:
    """Why the evaluation that a request pins backs it no more."""
    if not gate:
        return ""
    if not Suite.objects.filter(pk=gate["suite"], retired_at=None).exists():
        return "The suite of its evaluation was retired."
    pinned = GateDecision.objects.get(pk=gate["decision"])
    later = GateDecision.objects.filter(
        branch_id=pinned.branch_id, created_at__gt=pinned.created_at, open=False
    )
    if later.exists():
        return "The gate of its evaluation was found shut since."
    if Merge.objects.filter(winner_id=pinned.branch_id, reverted_at__isnull=False).exists():
        return "The merge that its evaluation let through was taken back."
    return ""


def _void(request: PromotionRequest, reason: str) -> None:
    PromotionRequest.objects.filter(pk=request.pk, state=RequestState.OPEN.value).update(
        state=RequestState.VOID.value, void_reason=reason, closed_at=timezone.now()
    )
    close_item(project_id=request.project_id, kind=PROMOTION, subject_id=request.pk, because=reason)
