"""The fork drawer: looking at what a fork would be, and making it."""

import hashlib
from collections.abc import Mapping
from uuid import UUID, uuid4

from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from branches.forks import fork_branch
from branches.models import Event
from branches.selectors.events import read_event
from branches.selectors.fork_page import ForkDraft, ForkPage, read_fork_page
from branches.selectors.judged import ReadVerdicts, no_verdicts
from verel_site.access.actors import Actor
from verel_site.access.models import RememberedAnswer
from verel_site.access.projects import request_actor, show_project
from verel_site.access.rights import Right
from verel_site.kit.htmx import asked_partial, render_page
from verel_site.kit.refusals import Forbidden, NotFound, Refusal

FORK_PARTIALS = ("fork-drawer",)
TOKEN_CHARACTERS = 64


@require_http_methods(["GET", "POST"])
@login_required
def fork(
    request: HttpRequest, event: UUID, read_verdicts: ReadVerdicts = no_verdicts
) -> HttpResponse:
    """GET: the drawer, or a page of its own without htmx. POST: the fork, and on to its branch.

    A refusal comes back in the drawer as 409 or 422, and what was typed is kept.
    """
    actor = request_actor(request)
    row = read_event(actor=actor, event_id=event)
    if request.method == "GET":
        page = read_fork_page(
            actor=actor, event=row, draft=_new_draft(), read_verdicts=read_verdicts
        )
        return _render(request, page)
    draft = _read_draft(request.POST)
    try:
        branch = fork_once(event=row, actor=actor, draft=draft)
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        told = (refusal.title, refusal.detail, refusal.pointer or "")
        page = read_fork_page(
            actor=actor, event=row, draft=draft, error=told, read_verdicts=read_verdicts
        )
        return _render(request, page, status=refusal.status if refusal.status == 409 else 422)
    href = f"{reverse('run', args=[row.run_id])}?branch={branch}"
    if request.headers.get("HX-Request") == "true":
        return HttpResponseClientRedirect(href)
    return redirect(href)


@require_POST
@login_required
def fork_preview(
    request: HttpRequest, event: UUID, read_verdicts: ReadVerdicts = no_verdicts
) -> HttpResponse:
    """What the override would do, and nothing done. Without htmx the whole page, text kept."""
    actor = request_actor(request)
    row = read_event(actor=actor, event_id=event)
    page = read_fork_page(
        actor=actor,
        event=row,
        draft=_read_draft(request.POST),
        read_verdicts=read_verdicts,
    )
    if request.headers.get("HX-Request") == "true":
        return render(request, "branches/_fork_preview.html", {"page": page, "swaps": True})
    return _render(request, page)


def fork_once(*, event: Event, actor: Actor, draft: ForkDraft) -> UUID:
    """The branch of this submission: forked now, or by the same submission before.

    A second press of the button gives the first one's branch. Another text under the same token
    (the form was gone back to, and changed) is another fork.
    """
    actor.demand(event.project_id, Right.FORK)
    text = "\n".join((str(event.event_id), draft.override, draft.name, draft.reason))
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    mine = {
        "project_id": event.project_id,
        "actor": f"{actor.kind}:{actor.id}",
        "key": f"fork:{draft.token}:{digest[:32]}",
    }
    try:
        with transaction.atomic():
            # The row comes first: a second press waits here for the first one's end.
            row = RememberedAnswer.objects.create(
                **mine, request_sha256=digest, status=302, body={}
            )
            made = fork_branch(
                parent_id=event.branch_id,
                fork_seq=event.seq,
                actor=actor,
                override=draft.override,
                note=draft.reason,
                name=draft.name,
            )
            row.body = {"branch": str(made.branch.pk)}
            row.save(update_fields=["body"])
            return made.branch.pk
    except IntegrityError:
        kept = RememberedAnswer.objects.filter(**mine).first()
        if kept is None:
            raise
        return UUID(kept.body["branch"])


def _new_draft() -> ForkDraft:
    return ForkDraft(token=uuid4().hex)


def _read_draft(form: Mapping[str, str]) -> ForkDraft:
    return ForkDraft(
        # A browser sends line ends as CR LF; the override is kept as it was typed.
        override=form.get("override", "").replace("\r\n", "\n"),
        reason=form.get("reason", "").strip(),
        name=form.get("name", "").strip(),
        token=form.get("token", "").replace("\0", "")[:TOKEN_CHARACTERS] or uuid4().hex,
        json=form.get("view") == "json",
    )


def _render(request: HttpRequest, page: ForkPage, status: int = 200) -> HttpResponse:
    show_project(request, page.project)
    template = "branches/fork.html"
    if asked_partial(request, FORK_PARTIALS):
        template = "branches/_fork_drawer.html"
    return render_page(request, template, page, status=status)
