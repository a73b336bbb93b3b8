"""The pages of contexts: those that were given, one of them, and a person's try."""

from typing import Final
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from memory.context_page import Asking, read_context_page, read_contexts_page
from memory.domain.assembly import Policy
from memory.recall import (
    DEFAULT_BUDGET,
    MAX_BUDGET,
    assemble_context,
    budget_of,
    read_scopes,
)
from verel_site.access.projects import get_project, request_actor
from verel_site.kit.cursors import read_int
from verel_site.kit.htmx import render_page
from verel_site.kit.queries import read_uuid
from verel_site.kit.refusals import Forbidden, Refusal

MAX_ROLE: Final = 120
MAX_GOAL: Final = 4_000
MAX_SCOPES: Final = 2_000


@require_GET
@login_required
def contexts(request: HttpRequest, slug: str) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    page = read_contexts_page(
        actor=actor,
        project=project,
        default_budget=DEFAULT_BUDGET,
        older=request.GET.get("older", ""),
    )
    return render_page(request, "memory/contexts.html", page)


@require_POST
@login_required
def ask(request: HttpRequest, slug: str) -> HttpResponse:
    """A context as an agent would get it now; stored, and counted as no retrieval."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    form = request.POST
    asking = Asking(
        role=form.get("role", "").strip()[:MAX_ROLE],
        goal=form.get("goal", "").strip()[:MAX_GOAL],
        scope=form.get("scope", "").strip()[:MAX_SCOPES],
        budget=form.get("budget", "").strip()[:20],
        branch=form.get("branch", "").strip()[:40],
    )
    try:
        asked = read_int({"budget": asking.budget}, "budget", 0, low=0, high=MAX_BUDGET)
        stored = assemble_context(
            project_id=project.pk,
            actor=actor,
            role=asking.role,
            goal=asking.goal,
            scopes=read_scopes(asking.scope),
            policy=Policy(budget_of(asking.role, asked if asking.budget else None)),
            branch_id=read_uuid({"branch": asking.branch}, "branch"),
            trial=True,
        )
    except Forbidden:
        raise
    except Refusal as refusal:
        fault = refusal.detail
        page = read_contexts_page(
            actor=actor,
            project=project,
            default_budget=DEFAULT_BUDGET,
            asking=asking,
            fault=fault,
        )
        return render_page(request, "memory/contexts.html", page, status=refusal.status)
    return redirect("memory-context", project.slug, stored.pk)


@require_GET
@login_required
def context(request: HttpRequest, slug: str, context: UUID) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    page = read_context_page(actor=actor, project=project, context_id=context)
    return render_page(request, "memory/context.html", page)
