"""The failure ledger: looked through, and what is flaky put aside or taken back, by curators."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from verdicts.failure_models import Failure
from verdicts.failure_selectors import FailureFilter, read_failure
from verdicts.ledger_page import read_ledger_page
from verdicts.quarantine import lift_quarantine, quarantine_failure
from verel_site.access.projects import get_project, request_actor, show_project
from verel_site.kit.htmx import render_page
from verel_site.kit.refusals import BadInput, Forbidden, NotFound, Refusal


@require_safe
@login_required
def ledger(request: HttpRequest, slug: str) -> HttpResponse:
    actor = request_actor(request)
    page = read_ledger_page(
        project=get_project(actor=actor, slug=slug),
        actor=actor,
        wanted=FailureFilter.read(request.GET),
        after=request.GET.get("after", ""),
        failure_id=_read_id(request.GET.get("failure", "")),
        bugs=request.GET.get("view") == "bugs",
    )
    return render_page(request, "verdicts/ledger.html", page)


@require_POST
@login_required
def quarantine(request: HttpRequest, failure: UUID) -> HttpResponse:
    """From now on its errors are warnings to the gate."""
    return _decide(request, failure, quarantine_failure)


@require_POST
@login_required
def lift(request: HttpRequest, failure: UUID) -> HttpResponse:
    """From now on it shuts the gate again."""
    return _decide(request, failure, lift_quarantine)


def _decide(request: HttpRequest, failure_id: UUID, act: Callable[..., Failure]) -> HttpResponse:
    actor = request_actor(request)
    reason = request.POST.get("reason", "")
    found = read_failure(actor=actor, failure_id=failure_id)
    fault: dict[str, Any] = {}
    try:
        act(failure_id=failure_id, actor=actor, reason=reason)
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        fault = {"fault": f"{refusal.title}. {refusal.detail}", "reason": reason}
        status = refusal.status
    if not fault:
        here = reverse("gate-ledger", args=[found.project.slug])
        return redirect(f"{here}?failure={failure_id}#failure")
    show_project(request, found.project)
    page = read_ledger_page(
        project=found.project,
        actor=actor,
        wanted=FailureFilter(),
        failure_id=failure_id,
        **fault,
    )
    return render_page(request, "verdicts/ledger.html", page, status=status)


def _read_id(text: str) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise BadInput("failure takes a UUID.", parameter="failure") from error
