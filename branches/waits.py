"""How a branch in stasis stands in the inbox: what it asks, and the answers that it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone

from branches.approvals import AnswerRefused, answer_approval
from branches.domain.telling import tell_event
from branches.domain.terms import ENDED, Status
from branches.models import Approval, Event
from branches.querysets import waits_at
from branches.selectors.event_page import make_stasis
from branches.selectors.events import stored_event
from branches.stasis import APPROVAL, post_approval
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.inbox.kinds import Answer, Given, Kind, Showing
from verel_site.inbox.models import Item
from verel_site.kit.refusals import NotFound, Refusal
from verel_site.kit.strict_json import decode

LINES_BEFORE: Final = 4
MAX_SHOWN: Final = 20_000
WORDS: Final = {"accept": "Approved", "edit": "Edited", "respond": "Replied", "ignore": "Denied"}
SETTLED_STATES: Final = ENDED | {Status.COMPLETED}


def _show(item: Item, actor: Actor, draft: Mapping[str, Any]) -> Showing:
    approval = Approval.objects.select_related("branch__run").filter(pk=item.subject).first()
    if approval is None:
        raise NotFound("The request is not there any more.")
    stasis = make_stasis(approval)
    last = _last_events(approval)
    event_id = last[-1].event_id if last else ""
    run = approval.branch.run
    return Showing(
        context={
            "stasis": stasis,
            "run": run,
            "branch": approval.branch,
            "approval": approval,
            "lines": _shown_args(approval.args) or stasis.args.lines,
            "count": len(approval.args) if isinstance(approval.args, dict) else 1,
            "before": [Line.of(event) for event in last],
        },
        answers=() if stasis.expired else tuple(_answers(stasis.allow, stasis.args_text)),
        heading=f"{approval.branch.label}, run {run.number}",
        href=f"{reverse('run', args=[run.pk])}?event={event_id}",
        href_word="Open run",
        blocked="It has expired and can not be answered any more." if stasis.expired else "",
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One of the events that led to the request."""

    seq: int
    icon: str
    who: str
    text: str

    @classmethod
    def of(cls, event: Event) -> "Line":
        told = tell_event(stored_event(event))
        return cls(event.seq, told.icon, told.who, told.text[:200])


def _shown_args(args: object) -> list[str]:
    """One text alone is shown as it is; everything else as JSON."""
    if not isinstance(args, dict) or len(args) != 1:
        return []
    (only,) = args.values()
    return only[:MAX_SHOWN].splitlines() if isinstance(only, str) else []


def _last_events(approval: Approval) -> list[Event]:
    """The request and what came before it on the branch, in order."""
    rows = Event.objects.of_branch(approval.branch).filter(seq__lte=approval.request_seq)
    return list(rows.order_by("-seq")[:LINES_BEFORE])[::-1]


def _answers(allow: frozenset[str], args_text: str) -> list[Answer]:
    known = [
        Answer("accept", "Approve", "a", icon="check", tone="primary"),
        Answer(
            "edit",
            "Edit",
            "e",
            needs="args",
            needs_word="Arguments",
            hint="a JSON object; the agent runs with these",
            submit_word="Approve as edited",
            prefill=args_text,
            code=True,
        ),
        Answer(
            "respond",
            "Reply",
            "r",
            needs="text",
            needs_word="Reply",
            hint="the agent reads it as a message",
            submit_word="Send reply",
        ),
        Answer("ignore", "Deny", "d", icon="ban", tone="danger"),
    ]
    return [answer for answer in known if answer.value in allow]


def _decide(given: Given) -> Mapping[str, Any]:
    args = given.fields.get("args") if given.answer == "edit" else None
    text = given.fields.get("text", "") if given.answer == "respond" else ""
    answer_approval(
        approval_id=given.item.subject,
        actor=given.actor,
        answer=given.answer,
        request_digest=bytes.fromhex(given.item.digest),
        args=_read_args(args),
        text=str(text).strip(),
        claim=given.claim,
    )
    return {}


def _read_args(value: object) -> dict[str, Any] | None:
    """The new arguments: an object, or the JSON text of one as a form sends it."""
    if value is None or isinstance(value, dict):
        return value
    try:
        read = decode(str(value).encode("utf-8", "surrogatepass"))
    except Refusal as refusal:
        raise AnswerRefused(
            f"The arguments are not JSON: {refusal.detail}", pointer="/fields/args"
        ) from refusal
    if not isinstance(read, dict):
        raise AnswerRefused("The arguments are a JSON object.", pointer="/fields/args")
    return read


def _settled(items: Sequence[Item]) -> Mapping[UUID, str]:
    rows = Approval.objects.select_related("branch").in_bulk([item.subject for item in items])
    now = timezone.now()
    over: dict[UUID, str] = {}
    for item in items:
        approval = rows.get(item.subject)
        if approval is None:
            over[item.pk] = "The request is not there any more."
        elif approval.answered_at is not None:
            over[item.pk] = f"{approval.answered_by} answered: {approval.answer}."
        elif approval.has_expired(now):
            over[item.pk] = "Nobody answered before it expired."
        elif approval.branch.status in SETTLED_STATES:
            over[item.pk] = f"The branch is {approval.branch.status}."
    return over


def _find_waits(limit: int) -> int:
    posted = Item.objects.filter(kind=APPROVAL, subject=OuterRef("pk"))
    rows = Approval.objects.filter(waits_at(timezone.now()), ~Exists(posted))
    rows = rows.exclude(branch__status__in=SETTLED_STATES).select_related("branch__run")
    found = list(rows.order_by("created_at")[:limit])
    for approval in found:
        post_approval(approval)
    return len(found)


KIND: Final = Kind(
    name=APPROVAL,
    word="Approvals",
    one="Approval",
    group="Agents are stopped",
    icon="hand",
    right=Right.ANSWER,
    template="branches/_inbox_approval.html",
    show=_show,
    decide=_decide,
    answers=tuple(_answers(frozenset(WORDS), "")),
    answer_words=WORDS,
    marks={"ignore": "fail", "respond": "warn"},
    rank=10,
    note="approvals in stasis",
    bulk=frozenset(["ignore"]),
    settled=_settled,
    find_waits=_find_waits,
)
