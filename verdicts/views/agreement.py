"""How far reviewers agree, and graders with them."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from verdicts.agreement_page import read_agreement_page
from verel_site.access.projects import get_project, request_actor
from verel_site.kit.htmx import render_page


@require_safe
@login_required
def agreement(request: HttpRequest, slug: str) -> HttpResponse:
    actor = request_actor(request)
    page = read_agreement_page(
        project=get_project(actor=actor, slug=slug),
        key=request.GET.get("span", ""),
        reader=actor.user_id,
        now=timezone.now(),
    )
    return render_page(request, "verdicts/agreement.html", page)
