"""How a promotion stands in the inbox, and how it is answered there."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.urls import reverse

from memory.domain.terms import Answer as Told
from memory.domain.terms import RequestState
from memory.models import PromotionDecision, PromotionRequest
from memory.promotion import Said, decide_promotion
from memory.record_page import read_record_page
from memory.requests import PROMOTION, find_request, post_request, wake_deferred
from memory.undoing import take_back_promotion
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.inbox.decisions import CannotUndo
from verel_site.inbox.kinds import Answer, Given, Kind, Showing
from verel_site.inbox.models import Decision, Item

_HINT: Final = "kept with the record for ever"
ANSWERS: Final = (
    Answer("promote", "Promote to verified", "p", icon="check", tone="primary"),
    Answer(
        "demote", "Demote", "d", needs="text", needs_word="Reason", hint=_HINT, submit_word="Demote"
    ),
    Answer("bury", "Bury", "b", icon="archive"),
    Answer(
        "reject",
        "Refuse",
        "n",
        tone="danger",
        needs="text",
        needs_word="Reason",
        hint=_HINT,
        submit_word="Refuse for ever",
    ),
)
WORDS: Final = {
    "promote": "Promoted",
    "demote": "Demoted",
    "bury": "Buried",
    "reject": "Refused",
    "edit": "Edited and promoted",
    "merge": "Merged",
}


def _show(item: Item, actor: Actor, draft: Mapping[str, Any]) -> Showing:
    request = find_request(actor=actor, request_id=item.subject)
    page = read_record_page(actor=actor, project=request.project, number=request.record.number)
    waits = request.state == RequestState.OPEN.value
    return Showing(
        context={"page": page, "draft": draft},
        answers=ANSWERS if waits else (),
        heading=f"{page.line.kind} {page.line.label}",
        href=reverse("memory-record", args=[request.project.slug, request.record.number]),
        href_word="Open the record, to edit or to merge",
        blocked="" if waits else request.void_reason or "It was decided.",
    )


def _decide(given: Given) -> Mapping[str, Any]:
    """On what the item pins: content and evidence of its request, and no later ones."""
    request = find_request(actor=given.actor, request_id=given.item.subject)
    said = Said(
        answer=Told(given.answer),
        content_digest=bytes(request.content_digest),
        evidence_digest=bytes(request.evidence_digest),
        reason=str(given.fields.get("text") or "").strip(),
    )
    decided = decide_promotion(
        request_id=request.pk, actor=given.actor, said=said, claim=given.claim
    )
    return {"record": str(decided.record.record_id), "trust": decided.record.trust}


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
    marks={"reject": "fail", "demote": "warn"},
    rank=60,
    note="bound to content and evidence",
    bulk=frozenset(["bury"]),
    undo=_undo,
    settled=_settled,
    find_waits=_find_waits,
)
