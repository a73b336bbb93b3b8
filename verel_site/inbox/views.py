"""The inbox page, and what is done from it. Every form works without scripts; with them it answers
with the part that changed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from verel_site.access.actors import Actor
from verel_site.access.projects import request_actor, request_projects, show_project
from verel_site.inbox.claims import (
    claim_item,
    claim_next,
    heartbeat_claim,
    keep_draft,
    release_claim,
    requeue_item,
    skip_item,
)
from verel_site.inbox.decisions import (
    UNDO_SECONDS,
    decide_item,
    decide_many,
    undo_decision,
)
from verel_site.inbox.items import assign_item, comment_item
from verel_site.inbox.kinds import find_kind
from verel_site.inbox.models import Decision
from verel_site.inbox.pages import InboxQuery, Pane, read_inbox_page, read_pane
from verel_site.inbox.queues import tell_decision
from verel_site.inbox.saved_views import forget_view, save_view
from verel_site.kit.refusals import BadInput, Forbidden, NotFound, Refusal

# Fields of a form that are the page's own; all others are for the kind.
OWN_FIELDS: Final = frozenset(
    ["csrfmiddlewaretoken", "answer", "digest", "claim", "query", "passing"]
)
MAX_PASSING: Final = 50


def _scripted(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def _form_query(request: HttpRequest) -> InboxQuery:
    """The filters that the page was under, as its forms carry them."""
    query = QueryDict(mutable=True)
    for name, value in parse_qsl(request.POST.get("query", "")[:600]):
        query.appendlist(name, value)
    return InboxQuery.read(query)


@require_safe
@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for the reader. The newest of their answers can be undone from here."""
    query = InboxQuery.read(request.GET)
    page = read_inbox_page(
        actor=request_actor(request),
        projects=request_projects(request),
        query=query,
        undo=_undo_of(request),
    )
    return render(request, "inbox/inbox.html", {"page": page})


@require_safe
@login_required
def item(request: HttpRequest, item: UUID) -> HttpResponse:
    """The list, and beside it one item at its own address."""
    pane = read_pane(actor=request_actor(request), item_id=item, query=InboxQuery.read(request.GET))
    return _whole(request, pane, InboxQuery.read(request.GET))


def _whole(
    request: HttpRequest, pane: Pane, query: InboxQuery, *, status: int = 200
) -> HttpResponse:
    show_project(request, pane.item.project)
    page = read_inbox_page(
        actor=request_actor(request),
        projects=request_projects(request),
        query=query,
        pane=pane,
        undo=_undo_of(request),
    )
    return render(request, "inbox/inbox.html", {"page": page}, status=status)


def _undo_of(request: HttpRequest) -> Mapping[str, Any] | None:
    """The answer that the redirect before this page brought, while it can be taken back."""
    named = request.GET.get("undo", "")
    try:
        decision_id = UUID(named)
    except ValueError:
        return None
    actor = request_actor(request)
    mine = Decision.objects.filter(pk=decision_id, reviewer_id=actor.user_id, undone_at=None)
    decision = mine.select_related("item").first()
    return _undo(decision) if decision else None


def _undo(decision: Decision) -> Mapping[str, Any]:
    left = UNDO_SECONDS - (timezone.now() - decision.created_at).total_seconds()
    kind = find_kind(decision.item.kind)
    return {
        "decision": decision,
        "words": tell_decision(decision).words,
        "seconds": max(0, round(left)),
        "final": kind.undo is None,
    }


@require_safe
@login_required
def pane(request: HttpRequest, item: UUID) -> HttpResponse:
    """The item alone, to be put beside the list."""
    return _pane(request, item, InboxQuery.read(request.GET))


def _pane(
    request: HttpRequest, item_id: UUID, query: InboxQuery, *, status: int = 200, **more: Any
) -> HttpResponse:
    found = read_pane(actor=request_actor(request), item_id=item_id, query=query, **more)
    return render(request, "inbox/_pane.html", {"pane": found}, status=status)


@require_POST
@login_required
def next_item(request: HttpRequest) -> HttpResponse:
    """Claims the next one and shows it; `passing` names what is held already."""
    actor, query = request_actor(request), _form_query(request)
    claim = claim_next(
        actor=actor,
        wanted=query.wanted(request_projects(request)),
        passing=_read_ids(request.POST.getlist("passing")),
    )
    if claim is None:
        return HttpResponse(status=204) if _scripted(request) else redirect(query.href())
    if _scripted(request):
        return _pane(request, claim.item_id, query)
    return redirect(query.href(claim.item_id))


def _read_ids(texts: list[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in texts[:MAX_PASSING]]
    except ValueError as error:
        raise BadInput("An item is named by its UUID.") from error


def _read_token(request: HttpRequest) -> UUID | None:
    text = request.POST.get("claim", "")
    return _read_ids([text])[0] if text else None


@require_POST
@login_required
def claim(request: HttpRequest, item: UUID) -> HttpResponse:
    return _and_show(request, item, lambda actor: claim_item(item_id=item, actor=actor))


@require_POST
@login_required
def release(request: HttpRequest, item: UUID) -> HttpResponse:
    token = _read_token(request)
    if token is None:
        raise BadInput("claim names the claim.")
    return _and_show(
        request, item, lambda actor: release_claim(item_id=item, actor=actor, token=token)
    )


@require_POST
@login_required
def requeue(request: HttpRequest, item: UUID) -> HttpResponse:
    return _and_show(request, item, lambda actor: requeue_item(item_id=item, actor=actor))


@require_POST
@login_required
def comment(request: HttpRequest, item: UUID) -> HttpResponse:
    text = request.POST.get("text", "")
    return _and_show(
        request, item, lambda actor: comment_item(item_id=item, actor=actor, text=text)
    )


@require_POST
@login_required
def assign(request: HttpRequest, item: UUID) -> HttpResponse:
    named = request.POST.get("assignee", "")
    assignee = int(named) if named.isdecimal() and len(named) < 16 else None
    return _and_show(
        request, item, lambda actor: assign_item(item_id=item, actor=actor, assignee=assignee)
    )


def _and_show(request: HttpRequest, item: UUID, act: Callable[[Actor], object]) -> HttpResponse:
    """Acts, then shows the item again. A refusal is told at it."""
    query = _form_query(request)
    try:
        act(request_actor(request))
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        return _refused(request, item, query, refusal)
    return _pane(request, item, query) if _scripted(request) else redirect(query.href(item))


def _refused(
    request: HttpRequest,
    item: UUID,
    query: InboxQuery,
    refusal: Refusal,
    draft: Mapping[str, Any] | None = None,
) -> HttpResponse:
    if _scripted(request):
        raise refusal
    error = f"{refusal.title}. {refusal.detail}"
    actor = request_actor(request)
    pane = read_pane(actor=actor, item_id=item, query=query, draft=draft, error=error)
    return _whole(request, pane, query, status=refusal.status)


@require_POST
@login_required
def decide(request: HttpRequest, item: UUID) -> HttpResponse:
    """One answer. What is refused is told, and what was filled in is kept."""
    query, fields = _form_query(request), _fields(request)
    actor = request_actor(request)
    try:
        decision = decide_item(
            item_id=item,
            actor=actor,
            answer=request.POST.get("answer", ""),
            digest=request.POST.get("digest", ""),
            fields=fields,
            claim=_read_token(request),
        )
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        if any(fields.values()):
            keep_draft(item_id=item, actor=actor, body=fields)
        return _refused(request, item, query, refusal, fields)
    if _scripted(request):
        return render(request, "inbox/_undo.html", {"undo": _undo(decision)})
    return _go_on(request, query, decision)


def _fields(request: HttpRequest) -> dict[str, str]:
    return {
        name: str(value) for name, value in request.POST.items() if name not in OWN_FIELDS and value
    }


def _go_on(request: HttpRequest, query: InboxQuery, decision: Decision) -> HttpResponse:
    """Without scripts: on to the next item, with the undo of this answer."""
    wanted = query.wanted(request_projects(request))
    claim = claim_next(actor=request_actor(request), wanted=wanted)
    href = query.href(claim.item_id if claim else None)
    return redirect(f"{href}{'&' if '?' in href else '?'}undo={decision.pk}")


@require_POST
@login_required
def skip(request: HttpRequest, item: UUID) -> HttpResponse:
    actor, query = request_actor(request), _form_query(request)
    skip_item(item_id=item, actor=actor)
    if _scripted(request):
        return HttpResponse(status=204)
    claim = claim_next(actor=actor, wanted=query.wanted(request_projects(request)))
    return redirect(query.href(claim.item_id if claim else None))


@require_POST
@login_required
def heartbeat(request: HttpRequest, item: UUID) -> HttpResponse:
    token = _read_token(request)
    if token is None:
        raise BadInput("claim names the claim.")
    heartbeat_claim(item_id=item, actor=request_actor(request), token=token)
    return HttpResponse(status=204)


@require_POST
@login_required
def draft(request: HttpRequest, item: UUID) -> HttpResponse:
    keep_draft(item_id=item, actor=request_actor(request), body=_fields(request))
    return HttpResponse(status=204)


@require_POST
@login_required
def undo(request: HttpRequest, decision: UUID) -> HttpResponse:
    """Takes an answer back, and shows its item again."""
    undone = undo_decision(
        decision_id=decision,
        actor=request_actor(request),
        reason=request.POST.get("reason", "")[:4000],
    )
    query = _form_query(request)
    if _scripted(request):
        return _pane(request, undone.item_id, query)
    return redirect(query.href(undone.item_id))


@require_POST
@login_required
def bulk(request: HttpRequest) -> HttpResponse:
    """One answer to the marked items; `mark` is "id:digest"."""
    query = _form_query(request)
    pairs = [text.partition(":") for text in request.POST.getlist("mark")]
    ids = [_read_ids([item])[0] for item, _, _ in pairs]
    done, refused = decide_many(
        items=[(item, digest) for item, (_, _, digest) in zip(ids, pairs, strict=True)],
        actor=request_actor(request),
        answer=request.POST.get("answer", ""),
    )
    if refused:
        page = read_inbox_page(
            actor=request_actor(request), projects=request_projects(request), query=query
        )
        # What was answered stays so: this is no refusal of the whole.
        told = f"{len(done):,} answered, {len(refused):,} not. The first of these: {refused[0].why}"
        context = {"page": replace(page, notice=told)}
        return render(request, "inbox/inbox.html", context, status=409)
    return redirect(query.href())


@require_POST
@login_required
def views(request: HttpRequest) -> HttpResponse:
    """Saves the present filters under a name, or forgets a saved view."""
    query, actor = _form_query(request), request_actor(request)
    if forgotten := request.POST.get("forget", ""):
        forget_view(actor=actor, name=forgotten)
    else:
        save_view(actor=actor, name=request.POST.get("name", ""), query=query.encode())
    return redirect(query.href())
