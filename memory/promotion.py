"""Promotion: a person's answer about a record, asked (`memory.requests`) or not.

A key proposes, a person decides. An answer names both digests that its reader saw, and is refused
if either moved.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from memory.acts import Case, act_on, narrow
from memory.acts import Said as Said
from memory.domain.terms import Answer, RequestState, Standing, Trust
from memory.domain.trust import Regressed, move_trust
from memory.evidence import evidence_digest, list_evidence
from memory.models import PromotionDecision, PromotionRequest, Record, RefusedValue
from memory.refused import free_of
from memory.requests import (
    PROMOTION,
    CannotAnswer,
    PromotionVoid,
    changes_of,
    find_record,
    find_request,
    open_request,
    refresh_others,
    refresh_request,
)
from memory.states import compare, look
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.inbox.decisions import record_decision
from verel_site.kit.refusals import Forbidden, NotFound, Refusal, Unprocessable

MAX_BULK: Final = 500


class PromotionClosed(Refusal):
    code = "promotion_closed"
    title = "This was decided already"


class ReasonNeeded(Unprocessable):
    code = "reason_needed"
    title = "Say why"


@dataclass(frozen=True)
class Decided:
    """`record` as it stands now; `other` is what it was merged into, or what the edit made."""

    record: Record
    decision: PromotionDecision
    other: Record | None = None


def decide_promotion(
    *, request_id: UUID, actor: Actor, said: Said, claim: UUID | None = None
) -> Decided:
    """A person's answer to a request. What is void, by now or by this answer's digests, is told
    with what moved; a fresh request stands in its place."""
    request = find_request(actor=actor, request_id=request_id)
    demand_person(actor, request.project_id)
    moved = refresh_request(request_id)
    if moved is not None:
        raise moved
    with transaction.atomic():
        lock_project(project_id=request.project_id)
        request.refresh_from_db()
        _check_open(request)
        _check_pins(request, said)
        return _decide(request.record, request, actor, said, claim)


@transaction.atomic
def decide_record(*, record_id: UUID, actor: Actor, said: Said) -> Decided:
    """The same answer about a record that nobody asked about. If a request is open, it is that
    one's answer."""
    record = find_record(actor=actor, record_id=record_id)
    demand_person(actor, record.project_id)
    lock_project(project_id=record.project_id)
    record.refresh_from_db()
    if bytes(record.digest) != said.content_digest:
        raise PromotionVoid("It does not say what you looked at any more.")
    seen = said.evidence_digest
    if seen not in (None, evidence_digest(list_evidence(record))):
        raise PromotionVoid("Its evidence is not what you looked at any more.")
    asked = open_request(record.pk)
    moved = changes_of(asked, record) if asked else ""
    if moved:
        raise PromotionVoid(f"{moved} Open it to see what is there now.")
    return _decide(record, asked, actor, said)


@dataclass(frozen=True)
class Row:
    """What came of one record of a bulk decision: `refusal` is None where it was decided."""

    record_id: UUID
    decided: Decided | None
    refusal: Refusal | None


@transaction.atomic
def decide_many(*, actor: Actor, said: Iterable[tuple[UUID, Said]]) -> list[Row]:
    """One transaction, and a result for each record: what is refused is left as it was, and told;
    the rest is decided together or, on a fault, not at all."""
    told = list(said)
    if not 1 <= len(told) <= MAX_BULK:
        raise CannotAnswer(f"1 to {MAX_BULK} records at once.", pointer="/records")
    rows = []
    moved: dict[str, str] = {}
    for record_id, one in told:
        try:
            with transaction.atomic():
                decided = decide_record(record_id=record_id, actor=actor, said=one)
                _check_unmoved(decided, moved)
            moved |= dict.fromkeys(decided.decision.moved["changed"], decided.record.label)
            rows.append(Row(record_id, decided, None))
        except Refusal as refusal:
            rows.append(Row(record_id, None, refusal))
    return rows


def _check_unmoved(decided: Decided, moved: dict[str, str]) -> None:
    """Two of one batch that move each other are not decided by their order."""
    by = next((moved[pk] for pk in decided.decision.moved["changed"] if pk in moved), None)
    if by is not None:
        raise PromotionVoid(f"It collides with {by}, which was answered in the same batch.")


def demand_person(actor: Actor, project_id: UUID) -> None:
    """Only a person with the right to curate decides, whatever a key's scopes are."""
    actor.demand(project_id, Right.CURATE)
    if actor.kind != "person":
        raise Forbidden("A key proposes, a person decides.")


def _check_open(request: PromotionRequest) -> None:
    if request.state == RequestState.VOID.value:
        fresh = open_request(request.record_id)
        raise PromotionVoid(request.void_reason, fresh=str(fresh.pk) if fresh else None)
    if request.state != RequestState.OPEN.value:
        last = request.decisions.order_by("-created_at").first()
        told = f"{last.by_name} answered {last.answer}." if last else "It was answered."
        raise PromotionClosed(told)


def _check_pins(request: PromotionRequest, said: Said) -> None:
    if said.content_digest != bytes(request.content_digest):
        raise PromotionVoid("You looked at another content.", fresh=str(request.pk))
    if said.evidence_digest not in (None, bytes(request.evidence_digest)):
        raise PromotionVoid("You looked at other evidence.", fresh=str(request.pk))


def _decide(
    record: Record,
    request: PromotionRequest | None,
    actor: Actor,
    said: Said,
    claim: UUID | None = None,
) -> Decided:
    if said.answer in (Answer.REJECT, Answer.DEMOTE, Answer.MERGE) and not said.reason.strip():
        word = "refuse" if said.answer is Answer.REJECT else said.answer.value
        raise ReasonNeeded(f"To {word} it takes a reason.", pointer="/reason")
    before = {"trust": record.trust, "standing": record.standing, "scope": record.scope}
    stood = look(record, into=said.into)
    case = Case(record, request, actor, said)
    other = act_on(case)
    decision = PromotionDecision.objects.create(
        project_id=record.project_id,
        request=request,
        record=record,
        other=other,
        answer=said.answer.value,
        content_digest=bytes(record.digest),
        reason=said.reason,
        trust_before=before["trust"],
        trust_after=(other if said.answer is Answer.EDIT and other else record).trust,
        moved=compare(stood, look(record, into=said.into)) | case.traces,
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
    )
    if request is not None and said.answer is not Answer.DEFER:
        request.state = RequestState.DECIDED.value
        request.closed_at = timezone.now()
        request.save(update_fields=["state", "closed_at"])
    after = {"trust": record.trust, "standing": record.standing, "scope": record.scope}
    record_act(
        project_id=record.project_id,
        actor=actor,
        action=f"memory.{said.answer.value}",
        subject=f"record:{record.record_id}",
        digest=bytes(record.digest),
        before=before,
        after={**after, **({"other": str(other.record_id)} if other else {})},
        reason=said.reason,
    )
    refresh_others([record, *([other] if other else [])])
    if request is not None:
        record_decision(
            project_id=record.project_id,
            kind=PROMOTION,
            subject_id=request.pk,
            actor=actor,
            answer=said.answer.value,
            result={"record": str(record.record_id), "trust": record.trust},
            reason=said.reason,
            claim=claim,
            settles=True,
        )
    return Decided(record, decision, other)


@transaction.atomic
def clear_refusal(*, refused_id: int, actor: Actor, reason: str) -> RefusedValue:
    """A curator lets a refused value be said again; the record itself stays refused until it is
    proposed anew."""
    rows = RefusedValue.objects.filter(pk=refused_id)
    if actor.kind != "system":
        rows = rows.filter(project_id__in=actor.projects)
    refused = rows.select_related("record").first()
    if refused is None:
        raise NotFound("There is no such refusal that you may see.")
    demand_person(actor, refused.project_id)
    if not reason.strip():
        raise ReasonNeeded("Clearing a refusal takes a reason.", pointer="/reason")
    cleared = RefusedValue.objects.filter(pk=refused_id, cleared_at=None).update(
        cleared_at=timezone.now(), cleared_by=actor.name, clear_reason=reason
    )
    if cleared:
        free = free_of(refused)
        Record.objects.filter(pk__in=free).update(standing=Standing.BURIED.value)
        record_act(
            project_id=refused.project_id,
            actor=actor,
            action="memory.clear_refusal",
            subject=f"record:{refused.record.record_id}",
            digest=bytes(refused.record.digest),
            after={"value": refused.value},
            reason=reason,
        )
    refused.refresh_from_db()
    return refused


def fall_back_with_suite(project_id: UUID, grader: str, digest: str) -> None:
    """What was verified on a suite falls back when it retires. Called in that transaction."""
    rows = Record.objects.filter(
        project_id=project_id, suite_digest=digest, trust=Trust.VERIFIED.value
    )
    _regress(rows, f"The {grader} suite it was verified on was retired.")
    backed = PromotionRequest.objects.filter(
        project_id=project_id, state=RequestState.OPEN.value, gate__suite_digest=digest
    )
    for request_id in list(backed.values_list("pk", flat=True)):
        refresh_request(request_id)


@transaction.atomic
def regress_record(*, record_id: UUID, actor: Actor, reason: str) -> Record:
    """What verified it fails now: it falls back to what its support bears."""
    record = find_record(actor=actor, record_id=record_id)
    actor.demand(record.project_id, Right.CURATE)
    lock_project(project_id=record.project_id)
    record.refresh_from_db()
    _regress([record], reason, actor=actor)
    return record


def _regress(rows: Iterable[Record], reason: str, *, actor: Actor = SYSTEM) -> None:
    for record in rows:
        before = record.trust
        moved = move_trust(Trust(before), Regressed(reason), support=record.support_count)
        # A signature says that it is promoted.
        record.trust, record.suite_digest, record.seal = moved.value, "", {}
        narrow(record)
        record.save()
        refresh_others([record])
        record_act(
            project_id=record.project_id,
            actor=actor,
            action="memory.regress",
            subject=f"record:{record.record_id}",
            digest=bytes(record.digest),
            before={"trust": before},
            after={"trust": record.trust},
            reason=reason,
        )


def skill_versions(record: Record) -> Sequence[Record]:
    """All versions under a key, oldest first."""
    rows = Record.objects.filter(project_id=record.project_id, key=record.key)
    return list(rows.order_by("version", "position"))
