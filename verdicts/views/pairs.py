"""The rules by which a project proposes pairs."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from verdicts.pair_rules import change_pair_rules
from verdicts.pair_rules_page import read_form, read_pair_rules_page
from verel_site.access.projects import get_project, request_actor
from verel_site.access.rights import Right
from verel_site.kit.htmx import render_page
from verel_site.kit.refusals import Forbidden, NotFound, Refusal


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def pair_rules(request: HttpRequest, slug: str) -> HttpResponse:
    """GET shows what holds and what came of it; POST makes the next version."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    if request.method != "POST":
        page = read_pair_rules_page(project=project, actor=actor, now=timezone.now())
        return render_page(request, "verdicts/pair_rules.html", page)
    actor.demand(project.pk, Right.ADMINISTER)
    reason, typed = request.POST.get("reason", ""), None
    try:
        typed = read_form(request.POST)
        change_pair_rules(project_id=project.pk, actor=actor, rule=typed, reason=reason)
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        page = read_pair_rules_page(
            project=project,
            actor=actor,
            now=timezone.now(),
            typed=typed,
            fault=f"{refusal.title}. {refusal.detail}",
            reason=reason,
        )
        return render_page(request, "verdicts/pair_rules.html", page, status=refusal.status)
    return redirect("pair-rules", project.slug)
