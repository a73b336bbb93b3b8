"""The pages of consolidations and of contradictions."""

from typing import Final
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from memory.consolidation.jobs import cancel_consolidation, order_consolidation
from memory.consolidation_page import find_number, read_consolidation_page
from memory.contradiction_page import read_contradiction_page
from memory.contradictions import Side, settle_contradiction
from memory.given_answers import read_given, read_ids
from memory.promotion import demand_person
from verel_site.access.projects import get_project, request_actor
from verel_site.kit.htmx import render_page
from verel_site.kit.refusals import BadInput, Forbidden, NotFound, Refusal

CONSOLIDATION_PARTIALS: Final = frozenset({"consolidation-shown"})
MAX_REASON: Final = 4_000
TEMPLATE: Final = "memory/consolidations.html"


@require_GET
@login_required
def consolidations(request: HttpRequest, slug: str, number: int | None = None) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    page = read_consolidation_page(
        actor=actor, project=project, number=number, query=request.GET.dict()
    )
    return render_page(request, TEMPLATE, page, partials=CONSOLIDATION_PARTIALS)


@require_POST
@login_required
def order(request: HttpRequest, slug: str) -> HttpResponse:
    """Orders one; where one is under way already the page says so."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    try:
        job = order_consolidation(project_id=project.pk, actor=actor)
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        fault = f"{refusal.title}. {refusal.detail}"
        page = read_consolidation_page(actor=actor, project=project, fault=fault)
        return render_page(request, TEMPLATE, page, status=refusal.status)
    return redirect("memory-consolidation", project.slug, job.number)


@require_POST
@login_required
def cancel(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    job_id = find_number(actor=actor, project=project, number=number)
    try:
        cancel_consolidation(job_id=job_id, actor=actor)
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        fault = f"{refusal.title}. {refusal.detail}"
        page = read_consolidation_page(actor=actor, project=project, number=number, fault=fault)
        return render_page(request, TEMPLATE, page, status=refusal.status)
    return redirect("memory-consolidation", project.slug, number)


@require_GET
@login_required
def contradictions(request: HttpRequest, slug: str) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    ids = read_ids(request.GET.get("done", ""))
    given = read_given(actor=actor, project=project, ids=ids)
    page = read_contradiction_page(actor=actor, project=project, query=request.GET, given=given)
    return render_page(request, "memory/contradictions.html", page)


@require_POST
@login_required
def settle(request: HttpRequest, slug: str) -> HttpResponse:
    """Which of two stays. A refused answer comes back with the reason as it was typed."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    demand_person(actor, project.pk)
    reason = request.POST.get("reason", "").strip()[:MAX_REASON]
    query = QueryDict(request.POST.get("query", ""), mutable=True)
    told = request.POST.get("pair", "")
    keep, against = _read_pair(told)
    try:
        done = settle_contradiction(actor=actor, keep=keep, against=against, reason=reason)
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        fault = f"{refusal.title}. {refusal.detail}"
        page = read_contradiction_page(
            actor=actor,
            project=project,
            query=query,
            fault=fault,
            reason=reason,
            at=request.POST.get("dispute", ""),
        )
        return render_page(request, "memory/contradictions.html", page, status=refusal.status)
    query["done"] = str(done.decision.pk)
    return redirect(f"{reverse('memory-contradictions', args=[slug])}?{query.urlencode()}")


def _read_pair(told: str) -> tuple[Side, Side]:
    """The side that stays, then the other: each its record and the digest that was looked at."""
    try:
        keep, against = (_read_side(part) for part in told.split(" "))
    except ValueError as error:
        raise BadInput("The form names no two records of this page.") from error
    return keep, against


def _read_side(told: str) -> Side:
    record, _, digest = told.partition(":")
    return Side(UUID(record), bytes.fromhex(digest))
