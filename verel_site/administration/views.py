"""The settings of a project: members, keys, rules, audit log. Plain forms, all of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project, request_actor, show_project
from verel_site.access.rights import Right
from verel_site.administration.credentials import issue_key, revoke_key
from verel_site.administration.members import add_member, change_role, remove_member, renew_link
from verel_site.administration.pages import (
    AUDIT_COLUMNS,
    RulesPage,
    audit_cells,
    audit_lines,
    find_entries,
    read_audit,
    read_keys,
    read_members,
)
from verel_site.administration.rules import Rules, change_rules, read_budget
from verel_site.kit.htmx import render_page
from verel_site.kit.refusals import BadInput, Forbidden, NotFound, Refusal
from verel_site.kit.sheets import write_rows

MAX_DIGITS = 6


def _enter(request: HttpRequest, slug: str, right: Right) -> tuple[Actor, Project]:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    actor.demand(project.pk, right)
    return actor, project


def _told(refusal: Refusal) -> str:
    return f"{refusal.title}. {refusal.detail}"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """GET: who is here. POST: adds one; a new account's link stands in the answer, once."""
    if request.method != "POST":
        actor, project = _enter(request, slug, Right.READ)
        return _members(request, actor, project)
    actor, project = _enter(request, slug, Right.ADMINISTER)
    typed = {name: request.POST.get(name, "") for name in ("username", "role")}
    try:
        added = add_member(project_id=project.pk, actor=actor, **typed)
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        return _members(
            request, actor, project, fault=_told(refusal), typed=typed, status=refusal.status
        )
    if not added.token:
        return redirect("members", project.slug)
    who = added.membership.user.get_username()
    return _members(request, actor, project, link=_link(request, added.token), link_for=who)


@never_cache
@require_POST
@login_required
def member(request: HttpRequest, slug: str, user: int) -> HttpResponse:
    """Changes a role, removes, or makes a new first link, as the pressed button says."""
    actor, project = _enter(request, slug, Right.ADMINISTER)
    reason = request.POST.get("reason", "")
    act = request.POST.get("act", "")
    whom: dict[str, Any] = {"project_id": project.pk, "actor": actor, "user_id": user}
    try:
        if act == "link":
            link = _link(request, renew_link(**whom))
            return _members(request, actor, project, link=link, link_for="them")
        if act == "remove":
            remove_member(**whom, reason=reason)
        else:
            change_role(**whom, role=request.POST.get("role", ""), reason=reason)
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        return _members(request, actor, project, fault=_told(refusal), status=refusal.status)
    # Who removed themselves has no page to come back to.
    return redirect("home") if user == actor.user_id else redirect("members", project.slug)


def _members(
    request: HttpRequest, actor: Actor, project: Project, *, status: int = 200, **shown: Any
) -> HttpResponse:
    page = read_members(project=project, actor=actor, **shown)
    return render_page(request, "administration/members.html", page, status=status)


def _link(request: HttpRequest, token: str) -> str:
    return request.build_absolute_uri(reverse("sign-in", args=[token]) + "?first")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def keys(request: HttpRequest, slug: str) -> HttpResponse:
    """GET: the keys. POST: makes one; its text stands in the answer, and never again."""
    actor, project = _enter(request, slug, Right.ADMINISTER)
    if request.method != "POST":
        return _keys(request, actor, project)
    typed = {name: request.POST.get(name, "") for name in ("name", "days")}
    scopes = request.POST.getlist("scopes")
    try:
        key, text = issue_key(
            project_id=project.pk,
            actor=actor,
            name=typed["name"],
            scopes=scopes,
            days=_read_days(typed["days"]),
        )
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        return _keys(
            request,
            actor,
            project,
            fault=_told(refusal),
            typed=typed,
            chosen=scopes,
            status=refusal.status,
        )
    return _keys(request, actor, project, text=text, made=key.name)


def _read_days(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
        raise BadInput("A key lasts a whole number of days.", pointer="/days")
    return int(text)


def _keys(
    request: HttpRequest, actor: Actor, project: Project, *, status: int = 200, **shown: Any
) -> HttpResponse:
    page = read_keys(project=project, actor=actor, **shown)
    return render_page(request, "administration/keys.html", page, status=status)


@require_POST
@login_required
def key_revoke(request: HttpRequest, key: str) -> HttpResponse:
    row = revoke_key(
        key_id=key, actor=request_actor(request), reason=request.POST.get("reason", "")
    )
    show_project(request, row.project)
    return redirect("keys", row.project.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def rules(request: HttpRequest, slug: str) -> HttpResponse:
    if request.method != "POST":
        actor, project = _enter(request, slug, Right.READ)
        return _rules(request, actor, project, rules=Rules.of(project))
    actor, project = _enter(request, slug, Right.ADMINISTER)
    wanted = Rules(
        separate_duties=request.POST.get("separate_duties") == "1",
        override_in_prompt=request.POST.get("override_in_prompt") == "1",
    )
    budget, reason = request.POST.get("token_budget", ""), request.POST.get("reason", "")
    try:
        wanted = replace(wanted, token_budget=read_budget(budget))
    except BadInput as fault:
        shown = {"rules": wanted, "budget": budget, "reason": reason, "fault": _told(fault)}
        return _rules(request, actor, project, status=fault.status, **shown)
    change_rules(project_id=project.pk, actor=actor, rules=wanted, reason=reason)
    return redirect("rules", project.slug)


def _rules(
    request: HttpRequest, actor: Actor, project: Project, *, status: int = 200, **shown: Any
) -> HttpResponse:
    page = RulesPage(project, actor.may(project.pk, Right.ADMINISTER), **shown)
    return render_page(request, "administration/rules.html", page, status=status)


@require_safe
@login_required
def audit(request: HttpRequest, slug: str) -> HttpResponse:
    actor, project = _enter(request, slug, Right.ADMINISTER)
    page = read_audit(project=project, actor=actor, query=request.GET)
    return render_page(request, "administration/audit.html", page)


@require_safe
@login_required
def audit_file(request: HttpRequest, slug: str, kind: str) -> StreamingHttpResponse:
    """Every entry that the filters find, as JSON lines or as CSV."""
    _, project = _enter(request, slug, Right.ADMINISTER)
    write = _FILES.get(kind)
    if write is None:
        raise NotFound("The log comes as jsonl or as csv.")
    content_type, body = write(project, request.GET)
    response = StreamingHttpResponse(body, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="audit-{project.slug}.{kind}"'
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _as_lines(project: Project, query: Mapping[str, str]) -> tuple[str, Any]:
    return "application/x-ndjson", audit_lines(find_entries(project=project, query=query))


def _as_csv(project: Project, query: Mapping[str, str]) -> tuple[str, Any]:
    cells = audit_cells(find_entries(project=project, query=query))
    return "text/csv; charset=utf-8", write_rows(AUDIT_COLUMNS, cells)


_FILES: Mapping[str, Callable[[Project, Mapping[str, str]], tuple[str, Any]]] = {
    "jsonl": _as_lines,
    "csv": _as_csv,
}
