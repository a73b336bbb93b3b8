"""What graders said: the verdicts of a run."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from verdicts.report_page import read_verdict_page
from verel_site.access.projects import request_actor, show_project
from verel_site.kit.htmx import render_page
from verel_site.kit.queries import read_uuid


@require_safe
@login_required
def show_verdicts(request: HttpRequest, run: UUID) -> HttpResponse:
    page = read_verdict_page(
        actor=request_actor(request),
        run_id=run,
        branch_id=read_uuid(request.GET, "branch"),
        report_id=read_uuid(request.GET, "report"),
        whole=request.GET.get("all") == "1",
        over_run=request.GET.get("issues") == "run",
    )
    show_project(request, page.project)
    return render_page(request, "verdicts/run_verdicts.html", page)
