"""Taking an answer about a record back: at once without a reason, later with one."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from memory.domain.terms import Answer, RequestState
from memory.models import PromotionDecision, PromotionRequest, Record
from memory.promotion import MAX_BULK, ReasonNeeded, demand_person
from memory.requests import (
    PROMOTION,
    CannotAnswer,
    list_conflicts,
    open_request,
    refresh_others,
)
from memory.states import has_moved, put_back
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.inbox.decisions import UNDO_SECONDS, CannotUndo, withdraw_decision
from verel_site.kit.refusals import NotFound, Refusal


@transaction.atomic
def undo_promotion(*, decision_id: int, actor: Actor, reason: str = "") -> PromotionDecision:
    """Puts every record back as it stood before, and the question before people again.

    One's own within UNDO_SECONDS needs no reason; later it does, and another person's needs an
    admin. Raises CannotUndo where something moved since.
    """
    rows = PromotionDecision.objects.filter(pk=decision_id, project_id__in=actor.projects)
    decision = rows.select_related("record", "request").first()
    if decision is None:
        raise NotFound("There is no such decision that you may see.")
    demand_person(actor, decision.project_id)
    own = (decision.by_kind, decision.by_id) == (actor.kind, actor.id)
    if not own:
        actor.demand(decision.project_id, Right.ADMINISTER)
    late = timezone.now() > decision.created_at + timedelta(seconds=UNDO_SECONDS)
    if (late or not own) and not reason.strip():
        raise ReasonNeeded("It is past its undo: say why you take it back.", pointer="/reason")
    take_back_promotion(decision, actor, reason)
    if decision.request is not None and decision.by_kind == "person":
        withdraw_decision(
            project_id=decision.project_id,
            kind=PROMOTION,
            subject_id=decision.request.pk,
            reviewer_id=int(decision.by_id),
            actor=actor,
            reason=reason,
        )
    return decision


@dataclass(frozen=True)
class Undone:
    """What came of one decision of several: `refusal` is None where it was taken back."""

    decision_id: int
    refusal: Refusal | None


@transaction.atomic
def undo_many(*, decision_ids: Iterable[int], actor: Actor, reason: str = "") -> list[Undone]:
    """One transaction, and a result for each: the last answer first, since it stands on those
    before it. What cannot be taken back is left as it is, and told."""
    told = sorted(set(decision_ids), reverse=True)
    if not 1 <= len(told) <= MAX_BULK:
        raise CannotAnswer(f"1 to {MAX_BULK} decisions at once.", pointer="/decisions")
    rows = []
    for decision_id in told:
        try:
            with transaction.atomic():
                undo_promotion(decision_id=decision_id, actor=actor, reason=reason)
            rows.append(Undone(decision_id, None))
        except Refusal as refusal:
            rows.append(Undone(decision_id, refusal))
    return rows


def take_back_promotion(decision: PromotionDecision, actor: Actor, reason: str) -> None:
    """The undoing itself, in the caller's transaction; who may is the caller's matter."""
    record, request = decision.record, decision.request
    lock_project(project_id=decision.project_id)
    decision.refresh_from_db(fields=["undone_at"])
    if decision.undone_at is not None:
        raise CannotUndo("It was taken back already.")
    later = PromotionDecision.objects.filter(record=record, undone_at=None, pk__gt=decision.pk)
    if later.exists() or "changed" not in decision.moved or has_moved(decision.moved):
        raise CannotUndo(f"{record.label} has moved since.")
    at = timezone.now()
    rows = PromotionDecision.objects.filter(pk=decision.pk, undone_at=None)
    if rows.update(undone_at=at, undone_by=actor.name, undone_reason=reason) != 1:
        raise CannotUndo("It was taken back already.")
    put_back(decision.moved, by=actor.name, at=at, reason=reason or "The refusal was taken back.")
    if request is not None:
        _ask_again(request, decision)
    told = [*decision.moved["changed"], *decision.moved["made"]]
    refresh_others([record, *Record.objects.filter(pk__in=told)])
    record_act(
        project_id=decision.project_id,
        actor=actor,
        action="memory.undo",
        subject=f"record:{record.record_id}",
        digest=bytes(decision.content_digest),
        before={"answer": decision.answer, "by": decision.by_name},
        reason=reason,
    )
    decision.refresh_from_db()


def _ask_again(request: PromotionRequest, decision: PromotionDecision) -> None:
    if decision.answer == Answer.DEFER.value:
        PromotionRequest.objects.filter(pk=request.pk).update(deferred_until=None)
        return
    other = open_request(request.record_id)
    if other is not None and other.pk != request.pk:
        raise CannotUndo("It was asked about anew since.")
    # What an edit made stands buried under the key, and belongs to what is looked at now.
    decision.record.refresh_from_db()
    PromotionRequest.objects.filter(pk=request.pk).update(
        state=RequestState.OPEN.value, closed_at=None, conflicts=list_conflicts(decision.record)
    )
