"""The list of runs and the page of one run.

A run grows while it is read: what its page tells of branches and of events is of one moment.
"""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from branches.models import Branch
from branches.selectors.events import read_branch, read_run
from branches.selectors.judged import ReadVerdicts, no_verdicts
from branches.selectors.run_lines import read_lines
from branches.selectors.run_list import read_filters, read_run_list
from branches.selectors.run_page import read_rows_page, read_run_page, read_side_page
from branches.selectors.run_rows import CHUNK, MAX_CHUNK
from branches.selectors.run_search import find_error
from branches.selectors.run_view import read_view
from branches.steering import abandon_branch, complete_branch, pause_branch, resume_branch
from verel_site.access.projects import request_actor, show_project
from verel_site.kit.cursors import read_int
from verel_site.kit.htmx import render_page
from verel_site.kit.refusals import NotFound
from verel_site.kit.snapshots import one_moment

_MOVES: Final[Mapping[str, Callable[..., Branch]]] = {
    "pause": pause_branch,
    "resume": resume_branch,
    "complete": complete_branch,
    "abandon": abandon_branch,
}


@require_GET
@login_required
def run_list(request: HttpRequest, slug: str) -> HttpResponse:
    page = read_run_list(actor=request_actor(request), slug=slug, filters=read_filters(request.GET))
    return render_page(request, "branches/run_list.html", page)


@require_GET
@login_required
@one_moment()
def run(request: HttpRequest, run: UUID, read_verdicts: ReadVerdicts = no_verdicts) -> HttpResponse:
    page = read_run_page(
        actor=request_actor(request),
        view=read_view(run, request.GET),
        read_verdicts=read_verdicts,
        error_sought=request.GET.get("sought") == "error",
    )
    show_project(request, page.project)
    return render_page(request, "branches/run.html", page)


@require_GET
@login_required
@one_moment()
def run_rows(
    request: HttpRequest, run: UUID, read_verdicts: ReadVerdicts = no_verdicts
) -> HttpResponse:
    """One chunk of rows as a fragment, with the links to the chunks before and after."""
    page = read_rows_page(
        actor=request_actor(request),
        view=read_view(run, request.GET),
        limit=read_int(request.GET, "limit", CHUNK, low=1, high=MAX_CHUNK),
        read_verdicts=read_verdicts,
    )
    return render(request, "branches/_run_chunk.html", {"page": page})


@require_GET
@login_required
@one_moment()
def run_branches(
    request: HttpRequest, run: UUID, read_verdicts: ReadVerdicts = no_verdicts
) -> HttpResponse:
    """The head and the rail as a fragment."""
    page = read_side_page(
        actor=request_actor(request),
        view=read_view(run, request.GET),
        read_verdicts=read_verdicts,
    )
    return render(request, "branches/_run_side.html", {"page": page})


@require_GET
@login_required
@one_moment()
def run_minimap(request: HttpRequest, run: UUID) -> HttpResponse:
    page = read_side_page(
        actor=request_actor(request), view=read_view(run, request.GET), with_minimap=True
    )
    return render(request, "branches/_run_minimap_late.html", {"page": page})


@require_GET
@login_required
@one_moment()
def run_next_error(request: HttpRequest, run: UUID) -> HttpResponse:
    """Leads to the next error after a position, or back with word that there is none."""
    view = read_view(run, request.GET)
    found_run = read_run(actor=request_actor(request), run_id=run)
    lines = read_lines(found_run, branch=view.branch)
    after = read_int(request.GET, "from", 0, low=0, high=2**62)
    found = find_error(found_run, lines, after=after)
    if found is None:
        href = view.href(after=None, before=None)
        return redirect(f"{href}{'&' if '?' in href else '?'}sought=error")
    return redirect(view.href(event=found, after=None, before=None))


@require_POST
@login_required
def branch_move(request: HttpRequest, branch: UUID, move: str) -> HttpResponse:
    """Pause, resume, complete or abandon; then the run's page as it was."""
    act = _MOVES.get(move)
    if act is None:
        raise NotFound(f"A branch cannot be asked to {move!r}.")
    actor = request_actor(request)
    row = read_branch(actor=actor, branch_id=branch)
    act(branch_id=branch, actor=actor, reason=request.POST.get("reason", "").strip())
    view = read_view(row.run_id, QueryDict(request.POST.get("back", "")))
    return redirect(view.href())
