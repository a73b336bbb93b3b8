"""A project's gate policy: read, tried out, changed."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from verdicts.policies import change_policy, current_policy, limits_of
from verdicts.policy_page import PolicyPage, Proposal, read_policy_page
from verel_site.access.models import Project
from verel_site.access.projects import get_project, request_actor
from verel_site.kit.htmx import render_page
from verel_site.kit.refusals import Forbidden, NotFound, Refusal

POLICY_PARTIALS = ("policy-preview",)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def policy(request: HttpRequest, slug: str) -> HttpResponse:
    """GET shows it, or with a proposal in the query what would change; POST makes it so."""
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    if request.method == "POST":
        return _change(request, project)
    try:
        proposal = _read_proposal(request.GET, project) if "try" in request.GET else None
        page = read_policy_page(project=project, actor=actor, proposal=proposal)
    except Refusal as refusal:
        page = read_policy_page(project=project, actor=actor, fault=refusal.detail)
    return _render(request, page)


def _change(request: HttpRequest, project: Project) -> HttpResponse:
    actor = request_actor(request)
    reason = request.POST.get("reason", "").strip()
    proposal = None
    try:
        proposal = _read_proposal(request.POST, project)
        change_policy(project_id=project.pk, actor=actor, reason=reason, **proposal.as_arguments())
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        fault = f"{refusal.title}. {refusal.detail}"
        page = read_policy_page(
            project=project, actor=actor, proposal=proposal, fault=fault, reason=reason
        )
        return _render(request, page, status=refusal.status)
    return redirect("gate-policy", project.slug)


def _read_proposal(form: QueryDict, project: Project) -> Proposal:
    return Proposal.read(form, limits_of(current_policy(project_id=project.pk)))


def _render(request: HttpRequest, page: PolicyPage, *, status: int = 200) -> HttpResponse:
    return render_page(
        request, "verdicts/policy.html", page, partials=POLICY_PARTIALS, status=status
    )
