"""How a promotion stands in the inbox, and how it is answered there."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.urls import reverse

from memory.domain.terms import Answer as Told
from memory.domain.terms import RequestState
from memory.edits import make_edit
from memory.models import PromotionDecision, PromotionRequest, Record
from memory.promotion import Said, decide_promotion
from memory.record_page import RecordPage, read_record_page
from memory.records import Proposal
from memory.requests import (
    PROMOTION,
    CannotAnswer,
    find_request,
    open_request,
    post_request,
    refresh_request,
    wake_deferred,
)
from memory.undoing import take_back_promotion
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.inbox.decisions import CannotUndo
from verel_site.inbox.kinds import Answer, Given, Kind, Showing
from verel_site.inbox.models import Decision, Item

MAX_FIELD: Final = 4_000
_HINT: Final = "kept with the record for ever"


def _taking_a_reason(value: str, word: str, key: str, **more: Any) -> Answer:
    """Each reason has a name of its own: the form sends all of them."""
    return Answer(
        value, word, key, needs=f"{value}_reason", needs_word="Reason", hint=_HINT, **more
    )


PROMOTE: Final = Answer("promote", "Promote to verified", "p", icon="check", tone="primary")
EDIT: Final = Answer(
    "edit", "Edit", "e", submit_word="Promote as edited", form="memory/_inbox_edit.html"
)
MERGE: Final = _taking_a_reason(
    "merge", "Merge", "m", submit_word="Merge", form="memory/_inbox_merge.html"
)
DEMOTE: Final = _taking_a_reason("demote", "Demote", "d", submit_word="Demote")
BURY: Final = Answer("bury", "Bury", "b", icon="archive")
DEFER: Final = Answer("defer", "Defer", "l")
REJECT: Final = _taking_a_reason(
    "reject", "Refuse", "n", tone="danger", submit_word="Refuse for ever"
)
ANSWERS: Final = (PROMOTE, EDIT, MERGE, DEMOTE, BURY, DEFER, REJECT)
WORDS: Final = {
    "promote": "Promoted",
    "edit": "Edited and promoted",
    "merge": "Merged",
    "demote": "Demoted",
    "bury": "Buried",
    "defer": "Deferred for a week",
    "reject": "Refused",
}


def _show(item: Item, actor: Actor, draft: Mapping[str, Any]) -> Showing:
    request = find_request(actor=actor, request_id=item.subject)
    if request.state == RequestState.OPEN.value and refresh_request(request.pk) is not None:
        request.refresh_from_db()
    page = read_record_page(actor=actor, project=request.project, number=request.record.number)
    waits = request.state == RequestState.OPEN.value
    return Showing(
        context={"page": page, "draft": draft, "in_inbox": True},
        answers=_answers(page) if waits else (),
        heading=f"{page.line.kind} {page.line.label}",
        href=reverse("memory-record", args=[request.project.slug, request.record.number]),
        href_word="Open the record",
        blocked="" if waits else _tell_closed(request),
    )


def _answers(page: RecordPage) -> tuple[Answer, ...]:
    """A skill is edited by its next version, and a merge takes somewhere to merge into."""
    left_out = {EDIT} if page.skill else set()
    left_out |= set() if page.mergeable else {MERGE}
    return tuple(answer for answer in ANSWERS if answer not in left_out)


def _tell_closed(request: PromotionRequest) -> str:
    if request.state != RequestState.VOID.value:
        return "It was decided."
    anew = open_request(request.record_id)
    more = " It is asked anew, as it is now." if anew else ""
    return f"What you looked at has moved. {request.void_reason}{more}"


def _decide(given: Given) -> Mapping[str, Any]:
    """On what the item pins: content and evidence of its request, and no later ones."""
    request = find_request(actor=given.actor, request_id=given.item.subject)
    said = Said(
        answer=Told(given.answer),
        content_digest=bytes(request.content_digest),
        evidence_digest=bytes(request.evidence_digest),
        reason=_field(given, f"{given.answer}_reason") or _field(given, "text"),
        into=_read_into(given),
        edit=_read_edit(given, request.record) if given.answer == EDIT.value else None,
        scope=_field(given, "scope") if given.answer in (PROMOTE.value, EDIT.value) else "",
    )
    decided = decide_promotion(
        request_id=request.pk, actor=given.actor, said=said, claim=given.claim
    )
    return {"record": str(decided.record.record_id), "trust": decided.record.trust}


def _field(given: Given, name: str) -> str:
    told = given.fields.get(name)
    return told.strip()[:MAX_FIELD] if isinstance(told, str) else ""


def _read_into(given: Given) -> UUID | None:
    named = _field(given, "into") if given.answer == MERGE.value else ""
    try:
        return UUID(named) if named else None
    except ValueError as error:
        raise CannotAnswer("It is merged into a record by its id.", pointer="/into") from error


def _read_edit(given: Given, record: Record) -> Proposal:
    return make_edit(
        record,
        text=_field(given, "edit_text"),
        object=_field(given, "edit_object"),
        expression=_field(given, "edit_expression"),
    )


def _undo(decision: Decision, actor: Actor, reason: str) -> None:
    """Of the request's answers the one that the decision recorded, which was its last."""
    rows = PromotionDecision.objects.filter(request_id=decision.item.subject, undone_at=None)
    answered = rows.select_related("record", "request").order_by("-pk").first()
    if answered is None:
        raise CannotUndo("It was taken back already.")
    take_back_promotion(answered, actor, reason)


def _settled(items: Sequence[Item]) -> Mapping[UUID, str]:
    rows = PromotionRequest.objects.in_bulk([item.subject for item in items])
    over: dict[UUID, str] = {}
    for item in items:
        request = rows.get(item.subject)
        if request is None:
            over[item.pk] = "The request is not there any more."
        elif request.state != RequestState.OPEN.value:
            over[item.pk] = request.void_reason or "It was decided."
    return over


def _find_waits(limit: int) -> int:
    wake_deferred(limit)
    posted = Item.objects.filter(kind=PROMOTION, subject=OuterRef("pk"))
    rows = PromotionRequest.objects.filter(~Exists(posted), state=RequestState.OPEN.value)
    found = list(rows.select_related("record").order_by("created_at")[:limit])
    for request in found:
        post_request(request)
    return len(found)


KIND: Final = Kind(
    name=PROMOTION,
    word="Promotions",
    one="Promotion",
    group="Memory asks to be trusted",
    icon="bookmark",
    right=Right.CURATE,
    template="memory/_inbox_promotion.html",
    show=_show,
    decide=_decide,
    answers=ANSWERS,
    answer_words={answer.value: WORDS[answer.value] for answer in ANSWERS},
    marks={"reject": "fail", "demote": "warn", "defer": "pending"},
    rank=60,
    wide=True,
    note="bound to content and evidence",
    bulk=frozenset(["bury", "defer"]),
    undo=_undo,
    settled=_settled,
    find_waits=_find_waits,
)
