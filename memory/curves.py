"""Which curve of forgetting is in use for each type of item, and taking one from a fit or dropping it."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from memory.domain.strength import TABLE, Curve, Curves
from memory.domain.terms import ItemType
from memory.models import CurveAdoption, CurveFit
from memory.promotion import ReasonNeeded, demand_person
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal


class CurveMoved(Refusal):
    code = "curve_moved"
    title = "It is not what you looked at"


def read_curves(project_id: UUID) -> Curves:
    """One query: the table, with what people adopted in the place of its defaults."""
    rows = CurveAdoption.objects.filter(project_id=project_id, ended_at=None)
    return {**TABLE, **{ItemType(row.item_type): row.curve for row in rows}}


@transaction.atomic
def adopt_curve(
    *, project_id: UUID, actor: Actor, item_type: ItemType, digest: bytes, reason: str
) -> CurveAdoption:
    """From now on items of the type fade by the fit of that digest; what was in use ends with it.
    Raises Forbidden, NotFound, ReasonNeeded, or CurveMoved where it was fitted anew, or is in use."""
    demand_person(actor, project_id)
    why = _need(reason)
    lock_project(project_id=project_id)
    fit = CurveFit.objects.filter(project_id=project_id, item_type=item_type.value).first()
    if fit is None:
        raise NotFound(f"Nothing was fitted for {item_type.value}.")
    if fit.digest != digest:
        raise CurveMoved("It was fitted anew to newer contexts. Look at the curve again.")
    before = _find_in_use(project_id, item_type)
    if before is not None:
        if bytes(before.digest) == digest:
            raise CurveMoved(f"{before.by_name} has adopted this curve already.")
        _end(before, actor, "Another curve took its place.")
    adopted = CurveAdoption.objects.create(
        project_id=project_id,
        item_type=item_type.value,
        base_days=fit.base_days,
        beta=fit.beta,
        trials=fit.trials,
        digest=digest,
        reason=why,
        by_id=actor.id,
        by_name=actor.name,
    )
    _note(
        adopted, actor, "memory.adopt_curve", before.curve if before else None, adopted.curve, why
    )
    return adopted


@transaction.atomic
def drop_curve(*, actor: Actor, project_id: UUID, adoption: UUID, reason: str) -> CurveAdoption:
    """Back to the default. Raises Forbidden, NotFound, ReasonNeeded, or CurveMoved where it is not
    in use any more."""
    demand_person(actor, project_id)
    why = _need(reason)
    lock_project(project_id=project_id)
    row = CurveAdoption.objects.filter(pk=adoption, project_id=project_id).first()
    if row is None:
        raise NotFound("Nobody adopted this curve here.")
    if row.ended_at is not None:
        raise CurveMoved(f"{row.ended_by} has ended it already.")
    _end(row, actor, why)
    _note(row, actor, "memory.drop_curve", row.curve, None, why)
    return row


def _need(reason: str) -> str:
    if not reason.strip():
        raise ReasonNeeded("By which curve memory fades takes a reason.", pointer="/reason")
    return reason.strip()


def _find_in_use(project_id: UUID, item_type: ItemType) -> CurveAdoption | None:
    rows = CurveAdoption.objects.filter(project_id=project_id, item_type=item_type.value)
    return rows.filter(ended_at=None).first()


def _end(row: CurveAdoption, actor: Actor, reason: str) -> None:
    row.ended_at, row.ended_by, row.ended_reason = timezone.now(), actor.name, reason
    row.save(update_fields=["ended_at", "ended_by", "ended_reason"])


def _note(
    row: CurveAdoption,
    actor: Actor,
    action: str,
    before: Curve | None,
    after: Curve | None,
    reason: str,
) -> None:
    default = TABLE[ItemType(row.item_type)]
    record_act(
        project_id=row.project_id,
        actor=actor,
        action=action,
        subject=f"curve:{row.item_type}",
        digest=bytes(row.digest),
        before=_tell(before or default),
        after=_tell(after or default),
        reason=reason,
    )


def _tell(curve: Curve) -> dict[str, float | bool]:
    return {
        "base_days": curve.base_days,
        "beta": curve.beta,
        "floor": curve.floor,
        "fitted": curve.fitted,
    }
