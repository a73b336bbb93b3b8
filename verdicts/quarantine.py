"""Quarantine: a flaky failure warns and does not shut the gate, until a person lifts that.

The ticket is an entry of the ledger. The server writes one where a precise tool disagrees with
itself on one head; a person may, with a reason. Both stand in the audit log.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import batched
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Max, OuterRef, Subquery

from verdicts.admission import report_facts
from verdicts.domain.facts import ReceiptStanding
from verdicts.domain.ledger import Turn
from verdicts.domain.progress import find_flaky
from verdicts.domain.terms import PRECISE
from verdicts.failure_models import Failure, FailureEntry
from verdicts.models import Report
from verdicts.policies import current_policy, limits_of
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Forbidden, NotFound, Refusal, Unprocessable

# Reruns of one head that are compared; a probe asks for three.
MAX_RERUNS: Final = 20
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
    """Writes a ticket for each of these failures that came and went between the report and earlier
    runs of its tool on the same head, once there are as many as the project's probe takes. Call
    with the failures locked.

    Runs are compared like with like: where one is proven by a receipt, only proven ones count, so
    that whoever may push a report, but can not sign one, talks no failure out of the gate.
    """
    if report.grader not in PRECISE or report.errored:
        return
    runs = _read_runs(report)
    if len(runs) < 2:
        return
    reruns = limits_of(current_policy(project_id=report.project_id)).reruns
    flaky = find_flaky([report_facts(run) for run in runs])
    held = sorted(key for key in flaky if key in failures and failures[key].ticket_id is None)
    lifted = _read_lifts([failures[key].pk for key in held])
    reasons = {}
    for since in {lifted.get(failures[key].pk) for key in held}:
        counted = [run for run in runs if since is None or run.received_at > since]
        if len(counted) < reruns:
            continue
        still = find_flaky([report_facts(run) for run in counted])
        for key in held:
            if lifted.get(failures[key].pk) == since and key in still:
                reasons[key] = _tell_flaky(report, key, counted)
    if reasons:
        _write_tickets(failures, reasons, SYSTEM, report)


def _read_runs(report: Report) -> list[Report]:
    """This run and the ones before it that may be compared with it, oldest first."""
    rows = Report.objects.filter(
        branch=report.branch_id,
        head_digest=report.head_digest,
        grader=report.grader,
        tool=report.tool,
        errored=False,
        order__lte=report.order,
    )
    runs = list(rows.order_by("-order")[:MAX_RERUNS])
    proven = [run for run in runs if run.receipt_standing == ReceiptStanding.VALID]
    told = [run.pk for run in (proven or runs)]
    if len(told) < 2:
        return []
    found = rows.filter(pk__in=told).select_related("runner").prefetch_related("issues")
    return list(found.order_by("order"))


def _read_lifts(failures: Collection[UUID]) -> dict[UUID, datetime]:
    """When a person lifted the last quarantine of each."""
    rows = FailureEntry.objects.filter(failure__in=failures, turn=Turn.LIFTED.value)
    return dict(rows.values_list("failure").annotate(last=Max("at")))


def _tell_flaky(report: Report, key: str, runs: Sequence[Report]) -> str:
    found = sum(any(issue.fingerprint == key for issue in run.issues.all()) for run in runs)
    named = f"{report.grader} ({report.tool})" if report.tool else report.grader
    return f"{named} found it in {found} of {len(runs)} runs on one head"
