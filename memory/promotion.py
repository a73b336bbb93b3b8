"""Promotion: a person's answer about a record, asked (`memory.requests`) or not.

A key proposes, a person decides. An answer names both digests that its reader saw, and is refused
if either moved.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from memory.domain.content import fold, is_scope, tier_of
from memory.domain.terms import Answer, Grounding, Kind, RequestState, Standing, Tier, Trust
from memory.domain.trust import Demoted, Regressed, SignedOff, move_trust
from memory.models import (
    Evidence,
    PromotionDecision,
    PromotionRequest,
    Record,
    RefusedValue,
)
from memory.records import Making, Proposal, live_of_key, suppress
from memory.requests import (
    PROMOTION,
    CannotAnswer,
    PromotionVoid,
    find_record,
    find_request,
    open_request,
    refresh_request,
)
from memory.seals import make_seal
from memory.states import compare, look
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.inbox.decisions import record_decision
from verel_site.kit.refusals import Forbidden, NotFound, Refusal, Unprocessable

DEFER_DAYS: Final = 7
MAX_BULK: Final = 500


class PromotionClosed(Refusal):
    code = "promotion_closed"
    title = "This was decided already"


class ReasonNeeded(Unprocessable):
    code = "reason_needed"
    title = "Say why"


@dataclass(frozen=True)
class Said:
    """An answer, and what goes with it. `content_digest` and `evidence_digest` are those that the
    person looked at; `into` is for merge, `edit` makes the edited record for edit, and `scope`
    widens or narrows what is promoted."""

    answer: Answer
    content_digest: bytes
    evidence_digest: bytes | None = None
    reason: str = ""
    into: UUID | None = None
    edit: Proposal | None = None
    scope: str = ""


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
    asked = open_request(record.pk)
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
    for record_id, one in told:
        try:
            with transaction.atomic():
                decided = decide_record(record_id=record_id, actor=actor, said=one)
            rows.append(Row(record_id, decided, None))
        except Refusal as refusal:
            rows.append(Row(record_id, None, refusal))
    return rows


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
    case = _Case(record, request, actor, said)
    other = _ACTS[said.answer](case)
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
    if request is not None and said.answer is not Answer.DEFER:
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


@dataclass(frozen=True)
class _Case:
    record: Record
    request: PromotionRequest | None
    actor: Actor
    said: Said
    traces: dict[str, list[int]] = field(default_factory=dict)
    """Rows that the act made beside records, by what they are."""


def _promote(case: _Case) -> Record | None:
    record = case.record
    if record.standing == Standing.REFUSED.value:
        raise CannotAnswer("It was refused for ever; clear the refusal first.")
    _check_duties(case)
    record.trust = move_trust(
        Trust(record.trust), SignedOff(case.actor.name), support=record.support_count
    ).value
    record.suite_digest = case.request.gate.get("suite_digest", "") if case.request else ""
    _rescope(record, case.said.scope or record.scope)
    _take_the_floor(record)
    if record.kind == Kind.SKILL.value:
        record.seal = make_seal(record, by=case.actor.name, at=timezone.now())
    record.save()
    return None


def _edit(case: _Case) -> Record:
    """The person's own version, verified by the hand that wrote it."""
    record, edit = case.record, case.said.edit
    if edit is None or edit.kind.value != record.kind:
        raise CannotAnswer("An edit says what the record is to say.", pointer="/edit")
    if record.kind == Kind.SKILL.value:
        raise CannotAnswer("A skill is edited by uploading its next version.", pointer="/edit")
    suppress(record)
    making = Making(record.project_id, case.actor, edit, (), Grounding.INFERRED)
    made = making.make(
        Standing.SUPPRESSED,
        version=record.version + 1,
        supersedes=record,
        trust=Trust.VERIFIED.value,
    )
    made.confidence = max(made.confidence, record.confidence)
    _rescope(made, case.said.scope or record.scope)
    _take_the_floor(made)
    made.save()
    suppress(record, by=made)
    return made


def _merge(case: _Case) -> Record:
    """Its sources speak for the other one from now on."""
    record = case.record
    into, rows = case.said.into, Record.objects.filter(project_id=record.project_id)
    other = rows.filter(record_id=into).exclude(pk=record.pk).first() if into else None
    if other is None or other.kind != record.kind:
        raise CannotAnswer("It is merged into another record of its kind.", pointer="/into")
    if other.standing in (Standing.REFUSED.value, Standing.BURIED.value):
        raise CannotAnswer(f"{other.label} is {other.standing}.", pointer="/into")
    known = set(other.evidence.values_list("event_id", flat=True))
    added = case.traces.setdefault("evidence", [])
    for row in record.evidence.exclude(event_id__in=known):
        row.pk, row.record = None, other
        row.save(force_insert=True)
        added.append(row.pk)
    _recount(other)
    suppress(record, by=other)
    return other


def _recount(record: Record) -> None:
    runs = Evidence.objects.filter(record=record, agrees=True).values("run_id").distinct()
    record.support_count = runs.count()
    record.save(update_fields=["support_count"])


def _demote(case: _Case) -> Record | None:
    record = case.record
    record.trust = move_trust(
        Trust(record.trust), Demoted(case.actor.name), support=record.support_count
    ).value
    _narrow(record)
    record.save()
    return None


def _reject(case: _Case) -> Record | None:
    record = case.record
    refused = RefusedValue.objects.create(
        project_id=record.project_id,
        record=record,
        key=record.key,
        value=fold(record.object or record.text),
        reason=case.said.reason,
        by_name=case.actor.name,
    )
    case.traces["refused"] = [refused.pk]
    record.standing = Standing.REFUSED.value
    record.trust = Trust.UNVERIFIED.value
    _narrow(record)
    record.save()
    return None


def _bury(case: _Case) -> Record | None:
    case.record.standing = Standing.BURIED.value
    case.record.save(update_fields=["standing"])
    return None


def _defer(case: _Case) -> Record | None:
    if case.request is None:
        raise CannotAnswer("Nobody asked about it, so there is nothing to defer.")
    case.request.deferred_until = timezone.now() + timedelta(days=DEFER_DAYS)
    case.request.save(update_fields=["deferred_until"])
    return None


_ACTS: Final[dict[Answer, Callable[[_Case], Record | None]]] = {
    Answer.PROMOTE: _promote,
    Answer.EDIT: _edit,
    Answer.MERGE: _merge,
    Answer.DEMOTE: _demote,
    Answer.REJECT: _reject,
    Answer.BURY: _bury,
    Answer.DEFER: _defer,
}


def _check_duties(case: _Case) -> None:
    """Who proposed it as a person may not alone promote it, where the project parts duties."""
    mine = (case.record.by_kind, case.record.by_id) == ("person", case.actor.id)
    if mine and Project.objects.get(pk=case.record.project_id).separate_duties:
        raise Forbidden("You proposed it; in this project somebody else promotes it.")


def _rescope(record: Record, scope: str) -> None:
    if not is_scope(scope):
        raise CannotAnswer("A scope is team, global, repo:NAME or agent:NAME.", pointer="/scope")
    record.scope, record.tier = scope, tier_of(scope).value


def _narrow(record: Record) -> None:
    """What is no longer verified is no longer global."""
    if record.tier == Tier.GLOBAL.value and record.trust != Trust.VERIFIED.value:
        _rescope(record, "team")
        if record.standing == Standing.LIVE.value:
            _yield_the_floor(record)


def _take_the_floor(record: Record) -> None:
    """The record speaks; whoever spoke under its key and scope before is suppressed by it."""
    before = live_of_key(record.project_id, record.scope, record.key)
    if before is not None and before.pk != record.pk:
        suppress(before, by=record)
    record.standing, record.suppressed_by, record.held_for = Standing.LIVE.value, None, []


def _yield_the_floor(record: Record) -> None:
    there = live_of_key(record.project_id, record.scope, record.key)
    if there is not None and there.pk != record.pk:
        record.standing, record.suppressed_by = Standing.SUPPRESSED.value, there


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
        Record.objects.filter(pk=refused.record_id, standing=Standing.REFUSED.value).update(
            standing=Standing.BURIED.value
        )
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
        record.trust, record.suite_digest = moved.value, ""
        _narrow(record)
        record.save()
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
