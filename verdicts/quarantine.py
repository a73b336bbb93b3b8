"""Quarantine: a flaky failure warns and does not shut the gate, until a person lifts that.

The ticket is an entry of the ledger. The server writes one where a precise tool disagrees with
itself on one head; a person may, with a reason. Both stand in the audit log.
"""

from collections.abc import Mapping
from itertools import batched
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Case, OuterRef, Q, Subquery, When

from verdicts.admission import report_facts
from verdicts.counting import read_counting
from verdicts.domain.facts import ReceiptStanding
from verdicts.domain.flakiness import MAX_RERUNS, Flaky, prove_flaky
from verdicts.domain.ledger import Turn
from verdicts.domain.terms import PRECISE
from verdicts.failure_models import Failure, FailureEntry
from verdicts.models import Report
from verdicts.policies import current_policy, limits_of
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Forbidden, NotFound, Refusal, Unprocessable

MAX_REASON: Final = 4_000
# What an act of the audit log names of many.
MAX_NAMED: Final = 100
AT_ONCE: Final = 400


class QuarantineReasonMissing(Unprocessable):
    code = "reason_missing"
    title = "Quarantine needs a reason"


class AlreadyQuarantined(Refusal):
    code = "already_quarantined"
    title = "This failure is in quarantine already"


class NotQuarantined(Refusal):
    code = "not_quarantined"
    title = "This failure is not in quarantine"


def quarantine_failure(*, failure_id: UUID, actor: Actor, reason: str) -> Failure:
    """From now on the gate takes its errors as warnings. People alone."""
    with transaction.atomic():
        failure = _lock_failure(failure_id, actor, reason)
        if failure.ticket_id is not None:
            raise AlreadyQuarantined("Lift that first, if its reason no longer holds.")
        _write_tickets({failure.fingerprint: failure}, {failure.fingerprint: reason.strip()}, actor)
    failure.refresh_from_db()
    return failure


def lift_quarantine(*, failure_id: UUID, actor: Actor, reason: str) -> Failure:
    """From now on it shuts the gate again. Only runs after this can find it flaky anew."""
    with transaction.atomic():
        failure = _lock_failure(failure_id, actor, reason)
        ticket = failure.ticket
        if ticket is None:
            raise NotQuarantined("There is nothing to lift.")
        entry = FailureEntry.objects.create(
            failure=failure,
            turn=Turn.LIFTED.value,
            answers=ticket,
            reason=reason.strip(),
            by_kind=actor.kind,
            by_id=actor.id,
            by_name=actor.name,
        )
        Failure.objects.filter(pk=failure.pk).update(ticket=None)
        failure.ticket = None
        record_act(
            project_id=failure.project_id,
            actor=actor,
            action="failure.lift",
            subject=f"failure:{failure.pk}",
            before={"ticket": ticket.pk, "reason": ticket.reason},
            after={"fingerprint": failure.fingerprint, "entry": entry.pk},
            reason=reason.strip(),
        )
    return failure


def _lock_failure(failure_id: UUID, actor: Actor, reason: str) -> Failure:
    rows = Failure.objects.visible_to(actor).filter(pk=failure_id)
    failure = rows.select_for_update(of=("self",)).select_related("project").first()
    if failure is None:
        raise NotFound(f"There is no failure {failure_id} that you may see.")
    actor.demand(failure.project_id, Right.CURATE)
    if actor.kind == "key":
        raise Forbidden("What shuts a gate is for people to say: no key may change it.")
    if not 1 <= len(reason.strip()) <= MAX_REASON:
        raise QuarantineReasonMissing(
            f"Say why, in at most {MAX_REASON} characters.", pointer="/reason"
        )
    return failure


def _write_tickets(
    failures: Mapping[str, Failure],
    reasons: Mapping[str, str],
    actor: Actor,
    report: Report | None = None,
) -> None:
    """A ticket for each fingerprint that `reasons` names, and one act for all of them."""
    of_report = {} if report is None else {
        "report": report,
        "branch_id": report.branch_id,
        "grader": report.grader,
        "tool": report.tool,
        "head_seq": report.head_seq,
    }  # fmt: skip
    held = [failures[key] for key in sorted(reasons)]
    FailureEntry.objects.bulk_create(
        [
            FailureEntry(
                failure=failure,
                turn=Turn.QUARANTINED.value,
                reason=reasons[failure.fingerprint],
                by_kind=actor.kind,
                by_id=actor.id,
                by_name=actor.name,
                **of_report,
            )
            for failure in held
        ],
        batch_size=AT_ONCE,
    )
    tickets = FailureEntry.objects.filter(failure=OuterRef("pk"), turn=Turn.QUARANTINED.value)
    newest = Subquery(tickets.order_by("-pk").values("pk")[:1])
    for some in batched((failure.pk for failure in held), AT_ONCE):
        Failure.objects.filter(pk__in=some).update(ticket=newest)
    record_act(
        project_id=held[0].project_id,
        actor=actor,
        action="failure.quarantine",
        subject=f"report:{report.pk}" if report else f"failure:{held[0].pk}",
        digest=bytes(report.head_digest) if report else None,
        after={
            "fingerprints": [one.fingerprint for one in held[:MAX_NAMED]],
            "count": len(held),
        },
        reason=reasons[held[0].fingerprint],
    )


def quarantine_flaky(*, report: Report, failures: Mapping[str, Failure]) -> None:
    """Writes a ticket for each of these failures that the runs on the report's head prove flaky;
    `domain.flakiness` says when they do, and whose runs count. Call with the failures locked.
    """
    if report.grader not in PRECISE or report.errored:
        return
    runs = _read_runs(report)
    if len(runs) < 2:
        return
    policy = current_policy(project_id=report.project_id)
    reruns = limits_of(policy).reruns
    if len(runs) < reruns:
        return
    told = [report_facts(run) for run in runs]
    free = {key for key, failure in failures.items() if failure.ticket_id is None}
    maybe = {proof.fingerprint for proof in prove_flaky(told, reruns=reruns)} & free
    if not maybe:
        return
    counting = read_counting(policy=policy, fingerprints=maybe, reports=runs)
    proofs = prove_flaky(told, reruns=reruns, counting=counting)
    reasons = {one.fingerprint: _tell_flaky(one) for one in proofs if one.fingerprint in maybe}
    if reasons:
        _write_tickets(failures, reasons, SYSTEM, report)


def _read_runs(report: Report) -> list[Report]:
    """This run and those before it on one head, oldest first; the proven ones where there are any."""
    rows = Report.objects.filter(
        branch=report.branch_id,
        head_digest=report.head_digest,
        grader=report.grader,
        tool=report.tool,
        errored=False,
        order__lte=report.order,
    )
    proven = Q(receipt_standing=ReceiptStanding.VALID.value, runner__revoked_at__isnull=True)
    ranked = rows.annotate(proven=Case(When(proven, then=1), default=0)).order_by(
        "-proven", "-order"
    )
    told = list(ranked.values_list("pk", "proven")[:MAX_RERUNS])
    best = told[0][1] if told else 0
    newest = [pk for pk, mark in told if mark == best]
    runs = Report.objects.filter(pk__in=newest).select_related("runner")
    return list(runs.prefetch_related("issues").order_by("order"))


def _tell_flaky(proof: Flaky) -> str:
    named = f"{proof.grader} ({proof.tool})" if proof.tool else proof.grader
    return f"{named} found it in {proof.found} of {proof.runs} runs on one head"
