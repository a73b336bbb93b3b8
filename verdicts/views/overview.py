"""The overview of a project."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from verdicts.board import read_overview
from verel_site.access.projects import get_project, request_actor
from verel_site.kit.htmx import render_page


@require_safe
@login_required
def show_overview(request: HttpRequest, slug: str) -> HttpResponse:
    project = get_project(actor=request_actor(request), slug=slug)
    key = request.GET.get("range", "")
    page = read_overview(
        project=project, key=key, now=timezone.now(), reader=request_actor(request).user_id
    )
    return render_page(request, "verdicts/overview.html", page)
