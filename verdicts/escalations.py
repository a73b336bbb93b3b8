"""Escalations: what graders and rules cannot settle, put before a person."""

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.urls import reverse

from branches.domain.terms import ENDED
from branches.models import Branch
from verdicts.domain.progress import Advice, Step
from verdicts.models import Weighing
from verdicts.progress import read_progress
from verdicts.proposals import propose_disputed
from verel_site.access.actors import SYSTEM, Actor
from verel_site.audit.ledger import record_act
from verel_site.inbox.items import close_item, post_item
from verel_site.inbox.models import Item
from verel_site.kit import strict_json
from verel_site.kit.refusals import Unprocessable

ESCALATION: Final = "escalation"
ESCALATION_PRIORITY: Final = 5
MAX_TEXT: Final = 20_000
WEIGHED_AT_ONCE: Final = 100


class Cause(StrEnum):
    """Why a person is asked."""

    DISAGREEMENT = "disagreement"
    STUCK = "stuck"
    CONFIRMED = "confirmed"
    CANARY = "canary"
    EXPIRED = "expired"


FLAGS: Final = {
    Cause.DISAGREEMENT: "graders disagree",
    Cause.STUCK: "stuck",
    Cause.CONFIRMED: "judges agree",
    Cause.CANARY: "leakage",
    Cause.EXPIRED: "never fired",
}


class BadResolution(Unprocessable):
    code = "bad_resolution"
    title = "The answer is not well-formed"


def escalate(
    *,
    project_id: UUID,
    subject_id: UUID,
    cause: Cause,
    digest: bytes,
    title: str,
    reasons: Sequence[str],
    branch: Branch | None = None,
    href: str = "",
    actor: Actor = SYSTEM,
) -> Item:
    """Asks a person about `subject_id` as it was at `digest`; again for the same cause is no harm.

    `reasons` are sentences that the person reads; `branch` is where to look, if it is about one,
    and `href` the page, where it is another than the run's.
    """
    where: dict[str, Any] = {"href": href} if href else {}
    about = ""
    if branch is not None:
        where |= {"branch": str(branch.pk), "run": str(branch.run_id)}
        about = f"{branch.label}, run {branch.run.number}"
    return post_item(
        project_id=project_id,
        kind=ESCALATION,
        subject_id=subject_id,
        # One subject may be asked about for several causes at one digest.
        subject_digest=hashlib.sha256(cause.encode() + b"\n" + digest).digest(),
        title=title,
        about=about,
        flag=FLAGS[cause],
        body={"cause": cause.value, "reasons": list(reasons), **where},
        priority=ESCALATION_PRIORITY,
        actor=actor,
    )


def weigh_waiting(limit: int) -> int:
    """Looks at branches that were reported on since, and asks a person where the rules do; says
    how many. Safe to run twice, and in several processes."""
    rows = Weighing.objects.select_related("branch__project", "branch__run").order_by("pk")
    waiting = list(rows[: min(limit, WEIGHED_AT_ONCE)])
    for row in waiting:
        _weigh(row)
    return len(waiting)


@transaction.atomic
def _weigh(row: Weighing) -> None:
    branch = row.branch
    progress = read_progress(actor=SYSTEM, branch=branch)
    advice = progress.advice
    # First of all: what it locks comes before any item.
    propose_disputed(branch=branch, disputed=bool(advice.disagreement))
    if advice.step != Step.ESCALATE or branch.status in ENDED:
        close_item(
            project_id=branch.project_id,
            kind=ESCALATION,
            subject_id=branch.pk,
            because="The graders and the rules settle it by now.",
        )
    else:
        cause, title = _tell(advice, branch)
        escalate(
            project_id=branch.project_id,
            subject_id=branch.pk,
            cause=cause,
            digest=progress.heads[-1],
            title=title,
            reasons=[advice.why],
            branch=branch,
            href=f"{reverse('run-verdicts', args=[branch.run_id])}?branch={branch.pk}",
        )
    # Unless a report came meanwhile: then it is looked at again.
    Weighing.objects.filter(pk=row.pk, order=row.order).delete()


def _tell(advice: Advice, branch: Branch) -> tuple[Cause, str]:
    if advice.disagreement:
        return Cause.DISAGREEMENT, f"{advice.disagreement}: who is right?"
    if advice.confirmed:
        return Cause.CONFIRMED, f"Two model families find fault: {branch.run.goal}"
    return Cause.STUCK, f"Stuck: {branch.run.goal}"


def settled_escalations(items: Sequence[Item]) -> Mapping[UUID, str]:
    """Those about branches that have ended since."""
    about = {item.subject: item.pk for item in items if item.body.get("branch")}
    ended = Branch.objects.filter(pk__in=about, status__in=[status.value for status in ENDED])
    return {about[key]: "The branch has ended." for key in ended.values_list("pk", flat=True)}


def resolve(*, item: Item, actor: Actor, answer: str, text: object = "") -> Mapping[str, Any]:
    """A person's answer. Nothing follows from it by itself: it stands in the audit log."""
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise BadResolution(f"text has at most {MAX_TEXT:,} characters.", pointer="/fields/text")
    strict_json.check(text, at="/fields/text")
    if answer == "respond" and not text.strip():
        raise BadResolution("Say what you found.", pointer="/fields/text")
    record_act(
        project_id=item.project_id,
        actor=actor,
        action="escalation.resolve",
        subject=f"item:{item.pk}",
        digest=bytes.fromhex(item.digest),
        after={"answer": answer, "cause": item.body.get("cause")},
        reason=text.strip(),
    )
    return {}
