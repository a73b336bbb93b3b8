"""Runners: registered and revoked by curators."""

from datetime import UTC, datetime, time
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_http_methods, require_POST

from verdicts.runner_page import read_runner_page
from verdicts.runners import BadValidity, register_runner, revoke_runner
from verel_site.access.projects import get_project, request_actor
from verel_site.kit.htmx import render_page
from verel_site.kit.refusals import Forbidden, NotFound, Refusal


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def runners(request: HttpRequest, slug: str) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    if request.method != "POST":
        page = read_runner_page(project=project, actor=actor)
        return render_page(request, "verdicts/runners.html", page)
    typed = {name: request.POST.get(name, "") for name in ("name", "public_key", "valid_until")}
    try:
        register_runner(
            project_id=project.pk,
            actor=actor,
            name=typed["name"].strip(),
            public_key=typed["public_key"].strip().encode(),
            valid_until=_read_end(typed["valid_until"]),
        )
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        fault = f"{refusal.title}. {refusal.detail}"
        page = read_runner_page(project=project, actor=actor, fault=fault, **typed)
        return render_page(request, "verdicts/runners.html", page, status=refusal.status)
    return redirect("gate-runners", project.slug)


@require_POST
@login_required
def revoke(request: HttpRequest, runner: UUID) -> HttpResponse:
    """From now on nothing counts that it signed."""
    reason = request.POST.get("reason", "")
    row = revoke_runner(runner_id=runner, actor=request_actor(request), reason=reason)
    return redirect("gate-runners", row.project.slug)


def _read_end(text: str) -> datetime | None:
    """The last moment of that day, UTC; None where no day was given."""
    if not text:
        return None
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None:
        raise BadValidity("The last day is a date.", pointer="/valid_until")
    return datetime.combine(day, time.max, tzinfo=UTC)
