"""What a reviewer is told of a promotion beside the record itself: the evaluation that backs it,
who else is at it, and what became of the request that they were looking at."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models.functions import Length
from django.urls import reverse
from django.utils import timezone

from branches.domain.telling import tell_event
from branches.models import Event
from branches.selectors.events import stored_event
from memory.domain.terms import RequestState
from memory.models import Evidence, PromotionDecision, PromotionRequest, Record
from memory.requests import PROMOTION, gate_fault
from verdicts.models import GateDecision, Report, Suite
from verel_site.access.actors import Actor
from verel_site.inbox.models import Claim, Item
from verel_site.inbox.queues import person_name

ANSWERED: Final = {
    "promote": "promoted it",
    "edit": "edited and promoted it",
    "merge": "merged it",
    "demote": "demoted it",
    "reject": "refused it for ever",
    "bury": "buried it",
    "defer": "deferred it",
}


# Of so many events, and of none that is longer, a line is read for the reviewer.
MAX_WORDS: Final = 12
MAX_PAYLOAD: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A gate's decision, and the attested report behind it. `related` where a source of the record
    is from the evaluated run; `fault` says why it counts no more."""

    verdict: str
    policy: int
    at: datetime
    place: str
    href: str
    suite: str
    suite_href: str
    grader: str
    receipt: str
    runner: str
    related: bool
    fault: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The last answer about the record that stands."""

    id: int
    words: str


@dataclass(frozen=True, slots=True)
class Review:
    """`moved` tells what became of the request that was looked at; `held_by` names who has claimed
    its item in the inbox."""

    evaluation: Evaluation | None
    moved: str
    item: UUID | None
    held_by: str
    held_until: datetime | None
    deferred_until: datetime | None
    given: Answered | None
    pins: str
    seen: str

    @property
    def follows(self) -> bool:
        return bool(self.seen)


def read_words(evidence: Sequence[Evidence]) -> dict[UUID, str]:
    """What the events say that were cited without a quote, in one line each."""
    silent = [row.event_id for row in evidence if not row.quote][:MAX_WORDS]
    if not silent:
        return {}
    rows = Event.objects.filter(project_id=evidence[0].project_id, event_id__in=silent)
    short = rows.annotate(size=Length("payload")).filter(size__lte=MAX_PAYLOAD)
    return {row.event_id: tell_event(stored_event(row)).text for row in short}


def read_review(
    *,
    actor: Actor,
    record: Record,
    requests: Sequence[PromotionRequest],
    runs: Collection[UUID],
    seen: str,
    pins: str,
) -> Review:
    """`requests` about the record, the newest first, and the runs that speak for it; `seen` is the
    id of the request that was looked at."""
    asked = next((one for one in requests if one.state == RequestState.OPEN.value), None)
    now = timezone.now()
    item, claim = _read_claim(actor, asked, now) if asked else (None, None)
    until = asked.deferred_until if asked else None
    backed = asked or next((one for one in requests if one.state == "decided"), None)
    return Review(
        evaluation=read_evaluation(backed.gate, runs) if backed and backed.gate else None,
        moved=_tell_moved(requests, seen),
        item=item,
        held_by=person_name(claim.reviewer) if claim else "",
        held_until=claim.expires_at if claim else None,
        deferred_until=until if until and until > now else None,
        given=_read_given(record),
        pins=pins,
        seen=str(asked.pk) if asked else "",
    )


def _tell_moved(requests: Sequence[PromotionRequest], seen: str) -> str:
    known = next((one for one in requests if str(one.pk) == seen), None)
    if known is None or known.state == RequestState.OPEN.value:
        return ""
    if known.state == RequestState.VOID.value:
        return f"What you looked at has moved. {known.void_reason}"
    last = known.decisions.filter(undone_at=None).order_by("-created_at").first()
    return f"{last.by_name} {ANSWERED[last.answer]}." if last else "It was decided."


def _read_given(record: Record) -> Answered | None:
    rows = PromotionDecision.objects.filter(record=record, undone_at=None)
    last = rows.order_by("-pk").first()
    return Answered(last.pk, f"{last.by_name} {ANSWERED[last.answer]}") if last else None


def _read_claim(
    actor: Actor, asked: PromotionRequest, now: datetime
) -> tuple[UUID | None, Claim | None]:
    items = Item.objects.filter(
        project_id=asked.project_id, kind=PROMOTION, subject=asked.pk, state=Item.State.OPEN
    )
    item = items.first()
    if item is None:
        return None, None
    claims = Claim.objects.filter(item=item, expires_at__gt=now).exclude(reviewer_id=actor.user_id)
    return item.pk, claims.select_related("reviewer").order_by("expires_at").first()


def read_evaluation(gate: dict[str, Any], runs: Collection[UUID]) -> Evaluation:
    """Of the gate that a promotion request pins; `runs` are those that the record is cited from."""
    decision = GateDecision.objects.select_related("branch__run").get(pk=gate["decision"])
    suite = Suite.objects.get(pk=gate["suite"])
    report = Report.objects.select_related("runner").get(pk=gate["report"])
    branch = decision.branch
    return Evaluation(
        verdict=decision.verdict,
        policy=decision.policy_version,
        at=decision.created_at,
        place=f"r-{branch.run.number}, head {bytes(decision.head_digest).hex()[:8]}",
        href=f"{reverse('run-verdicts', args=[branch.run_id])}?branch={branch.pk}",
        suite=suite.name,
        suite_href=reverse("suite", args=[suite.pk]),
        grader=report.grader,
        receipt=report.receipt_standing,
        runner=report.runner.name if report.runner else "",
        related=branch.run_id in runs,
        fault=gate_fault(gate),
    )
