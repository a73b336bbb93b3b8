"""Contests of more than two continuations: opened, looked at, merged."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from branches.selectors.events import read_run
from verdicts.contest_page import read_contest_page
from verdicts.contests import ContestRefused, merge_contest, open_contest
from verdicts.pages import Notice
from verdicts.views.compare import choose_branches
from verdicts.views.merge import read_granularity
from verel_site.access.projects import request_actor, show_project
from verel_site.access.rights import Right
from verel_site.kit.htmx import render_page
from verel_site.kit.queries import as_uuid
from verel_site.kit.refusals import Forbidden, NotFound, Refusal


@require_POST
@login_required
def open_several(request: HttpRequest, run: UUID) -> HttpResponse:
    """Opens the contest of the marked branches; what is refused comes back with the choice."""
    actor = request_actor(request)
    found = read_run(actor=actor, run_id=run)
    actor.demand(found.project_id, Right.LABEL)
    several = request.POST.getlist("several")
    try:
        contest = open_contest(
            branches=[one for text in several if (one := as_uuid(text))], actor=actor
        )
    except ContestRefused as refusal:
        notice = Notice(refusal.title, refusal.detail)
        return choose_branches(
            request, actor, found, notice, refusal.status, several=frozenset(several)
        )
    return redirect("contest", contest.pk)


@require_safe
@login_required
def show_contest(request: HttpRequest, contest: UUID) -> HttpResponse:
    page = read_contest_page(actor=request_actor(request), contest_id=contest)
    show_project(request, page.contest.project)
    return render_page(request, "verdicts/contest.html", page)


@require_POST
@login_required
def merge_winner(request: HttpRequest, contest: UUID) -> HttpResponse:
    """The winner over every other contender, through the gate."""
    actor = request_actor(request)
    note = request.POST.get("note", "")
    bypass = request.POST.get("bypass_reason", "")
    try:
        made = merge_contest(
            contest_id=contest,
            actor=actor,
            note=note,
            granularity=read_granularity(request),
            bypass_reason=bypass if request.POST.get("past_gate") == "1" else None,
        )
    except (NotFound, Forbidden):
        raise
    except Refusal as refusal:
        notice = Notice(refusal.title, f"{refusal.detail} Nothing was merged.", "fail")
        page = read_contest_page(
            actor=actor, contest_id=contest, notice=notice, note=note, bypass_reason=bypass
        )
        show_project(request, page.contest.project)
        return render_page(request, "verdicts/contest.html", page, status=refusal.status)
    return redirect("merge", made.pk)
