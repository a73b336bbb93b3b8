"""Suites: made, frozen, rotated and retired by people; the page counts cases and shows none."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from verdicts.domain.leakage import ROTATE_DAYS
from verdicts.models import Suite
from verdicts.rotation_page import read_rotation_page
from verdicts.rotations import rotate_suite
from verdicts.suite_page import NewSuite, read_suite_page, read_suites_page
from verdicts.suites import (
    MAX_ROTATE_DAYS,
    BadSuite,
    add_reserve,
    create_suite,
    demand_owner,
    find_suite,
    freeze_draft,
    freeze_suite,
    retire_suite,
)
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project, request_actor, show_project
from verel_site.kit import strict_json
from verel_site.kit.htmx import render_page
from verel_site.kit.parsers import ENVELOPE_DEPTH
from verel_site.kit.queries import read_uuid
from verel_site.kit.refusals import Forbidden, NotFound, Refusal

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
PARTS: Final = ("cases", "holdout", "reserve")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def suites(request: HttpRequest, slug: str) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    if request.method != "POST":
        page = read_suites_page(project=project, actor=actor)
        return render_page(request, "verdicts/suites.html", page)
    try:
        made = _make_suite(request, actor, project)
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        typed = _read_typed(request.POST, fault=tell_fault(refusal))
        page = read_suites_page(project=project, actor=actor, typed=typed)
        return render_page(request, "verdicts/suites.html", page, status=refusal.status)
    return redirect("suite", made.pk)


@require_safe
@login_required
def suite(request: HttpRequest, suite: UUID) -> HttpResponse:
    page = read_suite_page(actor=request_actor(request), suite_id=suite)
    show_project(request, page.project)
    return render_page(request, "verdicts/suite.html", page)


@require_safe
@login_required
def rotations(request: HttpRequest, slug: str) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    page = read_rotation_page(
        project=project, actor=actor, suite_id=read_uuid(request.GET, "suite")
    )
    return render_page(request, "verdicts/rotations.html", page)


@require_POST
@login_required
def freeze(request: HttpRequest, suite: UUID) -> HttpResponse:
    return _act(request, suite, freeze_draft)


@require_POST
@login_required
def retire(request: HttpRequest, suite: UUID) -> HttpResponse:
    return _act(request, suite, retire_suite)


@require_POST
@login_required
def rotate(request: HttpRequest, suite: UUID) -> HttpResponse:
    """Leads to the suite that takes its place."""
    return _act(request, suite, rotate_suite)


@require_POST
@login_required
def reserve(request: HttpRequest, suite: UUID) -> HttpResponse:
    """Fresh cases to mint from, as a file."""

    def add(*, suite_id: UUID, actor: Actor, reason: str) -> Suite:
        # Before a file is read: whoever may not is told that, and nothing about the file.
        demand_owner(actor, find_suite(actor=actor, suite_id=suite_id).project_id)
        told = _read_file(request)
        if set(told) != {"cases"}:
            raise BadSuite("Fresh cases come as a list, or as cases.", pointer="/cases")
        return add_reserve(suite_id=suite_id, actor=actor, cases=told["cases"], reason=reason)

    return _act(request, suite, add)


def _act(request: HttpRequest, suite_id: UUID, act: Callable[..., Suite]) -> HttpResponse:
    actor = request_actor(request)
    try:
        done = act(suite_id=suite_id, actor=actor, reason=request.POST.get("reason", "").strip())
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        page = read_suite_page(actor=actor, suite_id=suite_id, fault=tell_fault(refusal))
        show_project(request, page.project)
        return render_page(request, "verdicts/suite.html", page, status=refusal.status)
    return redirect("suite", done.pk)


def _make_suite(request: HttpRequest, actor: Actor, project: Project) -> Suite:
    demand_owner(actor, project.pk)
    typed = _read_typed(request.POST)
    if typed.digest:
        return freeze_suite(
            project_id=project.pk,
            actor=actor,
            grader=typed.grader,
            name=typed.name,
            digest=typed.digest,
            reason=typed.reason,
        )
    return create_suite(
        project_id=project.pk,
        actor=actor,
        grader=typed.grader,
        name=typed.name,
        rotate_days=_read_days(typed.rotate_days),
        reason=typed.reason,
        **_read_file(request),
    )


def _read_typed(form: Mapping[str, str], fault: str = "") -> NewSuite:
    return NewSuite(
        fault=fault,
        name=form.get("name", "").strip(),
        grader=form.get("grader", ""),
        digest=form.get("digest", "").strip().lower(),
        rotate_days=form.get("rotate_days", str(ROTATE_DAYS)).strip(),
        reason=form.get("reason", "").strip(),
    )


def _read_days(text: str) -> int | None:
    """None for an empty field: the suite is not rotated by itself."""
    if not text:
        return None
    days = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= days <= MAX_ROTATE_DAYS:
        raise BadSuite(f"From 1 to {MAX_ROTATE_DAYS} days, or none.", pointer="/rotate_days")
    return days


def _read_file(request: HttpRequest) -> dict[str, Any]:
    """The lists that a file of cases names; a list alone is the cases."""
    chosen = request.FILES.get("cases")
    if chosen is None:
        raise BadSuite("Choose a file of cases, or give a digest.", pointer="/cases")
    if chosen.size is None or chosen.size > MAX_FILE_BYTES:
        megabytes = MAX_FILE_BYTES // 1024 // 1024
        raise BadSuite(f"The file has at most {megabytes} MB.", pointer="/cases")
    depth = strict_json.MAX_DEPTH + ENVELOPE_DEPTH
    told = strict_json.decode(chosen.read(), max_depth=depth)
    if isinstance(told, list):
        return {"cases": told}
    if not isinstance(told, dict) or "cases" not in told or not set(told) <= set(PARTS):
        text = "The file is a JSON list of cases, or an object of cases, holdout and reserve."
        raise BadSuite(text, pointer="/cases")
    return told


def tell_fault(refusal: Refusal) -> str:
    """In words, with the place in a file of cases. What stands there is not repeated."""
    place = f" At {refusal.pointer}." if refusal.pointer and refusal.pointer.count("/") > 1 else ""
    return f"{refusal.title}. {refusal.detail}{place}"
