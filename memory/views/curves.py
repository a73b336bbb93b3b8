"""The page of the curves of forgetting, and its two answers."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from memory.curve_page import Draft, read_curve_page
from memory.curves import adopt_curve, drop_curve
from memory.domain.terms import ItemType
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project, request_actor
from verel_site.kit.htmx import render_page
from verel_site.kit.refusals import BadInput, Forbidden, NotFound, Refusal

TEMPLATE: Final = "memory/curves.html"
MAX_REASON: Final = 4_000


@require_GET
@login_required
def curves(request: HttpRequest, slug: str) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    return render_page(request, TEMPLATE, read_curve_page(actor=actor, project=project))


@require_POST
@login_required
def adopt(request: HttpRequest, slug: str) -> HttpResponse:
    """Takes the fit that the page showed. A refused answer comes back with the reason as typed."""
    item_type = _read_type(request)
    digest = _read_digest(request.POST.get("digest", ""))

    def act(actor: Actor, project: Project, reason: str) -> None:
        adopt_curve(
            project_id=project.pk, actor=actor, item_type=item_type, digest=digest, reason=reason
        )

    return _answer(request, slug, item_type, act)


@require_POST
@login_required
def drop(request: HttpRequest, slug: str) -> HttpResponse:
    """Back to the default. A refused answer comes back with the reason as typed."""
    item_type = _read_type(request)
    try:
        adoption = UUID(request.POST.get("adoption", ""))
    except ValueError as error:
        raise BadInput("The form names no curve that was adopted.") from error

    def act(actor: Actor, project: Project, reason: str) -> None:
        drop_curve(project_id=project.pk, actor=actor, adoption=adoption, reason=reason)

    return _answer(request, slug, item_type, act)


def _answer(
    request: HttpRequest,
    slug: str,
    item_type: ItemType,
    act: Callable[[Actor, Project, str], None],
) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    reason = request.POST.get("reason", "").strip()[:MAX_REASON]
    try:
        act(actor, project, reason)
    except (Forbidden, NotFound):
        raise
    except Refusal as refusal:
        fault = f"{refusal.title}. {refusal.detail}"
        draft = Draft(item_type.value, reason)
        page = read_curve_page(actor=actor, project=project, draft=draft, fault=fault)
        return render_page(request, TEMPLATE, page, status=refusal.status)
    return redirect("memory-curves", project.slug)


def _read_type(request: HttpRequest) -> ItemType:
    told = request.POST.get("item_type", "")
    if told not in list(ItemType):
        raise BadInput(f"item_type is one of {', '.join(ItemType)}.", parameter="item_type")
    return ItemType(told)


def _read_digest(told: str) -> bytes:
    try:
        return bytes.fromhex(told)
    except ValueError as error:
        raise BadInput("The form names no fit of this page.") from error
