"""The doors of the house: home, one-time sign-in, health, and what is told of a failure."""

import sys

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.defaults import server_error

from verel_site.access.links import use_link
from verel_site.access.models import Project
from verel_site.access.projects import get_project, request_actor
from verel_site.health import State, look_at_all, sum_up
from verel_site.kit.outages import API_PREFIXES, answer_outage
from verel_site.kit.problems import server_problem


@require_safe
@login_required
def home(request: HttpRequest) -> HttpResponse:
    project = (
        Project.objects.filter(pk__in=request_actor(request).projects).order_by("name").first()
    )
    if project is None:
        return render(request, "errors/no_project.html", status=200)
    return redirect("run-list", slug=project.slug)


@require_safe
@login_required
def project_home(request: HttpRequest, slug: str) -> HttpResponse:
    """The address that one cuts off or tells others: it leads to the project's runs."""
    project = get_project(actor=request_actor(request), slug=slug)
    return redirect("run-list", slug=project.slug)


@method_decorator(never_cache, name="dispatch")
class SignIn(View):
    """A one-time link: from the terminal of whoever started the server, or from an admin, and then
    with `?first`, which leads on to the choice of a password."""

    # Django answers HEAD by GET; a look at a link must not use it up.
    http_method_names = ["get"]

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        if request.user.is_authenticated:
            return redirect("home")
        user = use_link(token=token)
        if user is None:
            return redirect("login")
        login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
        # Who was invited has no other way back in yet.
        first = "first" in request.GET and not user.has_usable_password()
        return redirect("password" if first else "home")


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Each dependency, and what is degraded in words. 503 only where nothing can be served."""
    findings = look_at_all()
    state = sum_up(findings)
    body = {
        "status": "ready" if state is State.UP else state.value,
        "checks": {name: finding.state.value for name, finding in findings.items()},
        "degraded": [finding.words for finding in findings.values() if finding.words],
    }
    return JsonResponse(body, status=503 if state is State.DOWN else 200)


def answer_failure(request: HttpRequest) -> HttpResponse:
    """The handler of what nothing else has caught: outages outside of views, and real faults."""
    outage = answer_outage(request, sys.exception())
    if outage is not None:
        return outage
    return server_problem() if request.path.startswith(API_PREFIXES) else server_error(request)
