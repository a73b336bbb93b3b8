"""The search field of every page."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET

from branches.domain.search_query import MAX_QUERY
from branches.selectors.search_page import find_exact, read_search_page
from verel_site.access.projects import request_actor, show_project
from verel_site.kit.cursors import read_int
from verel_site.kit.htmx import render_page


@require_GET
@login_required
def search(request: HttpRequest, slug: str) -> HttpResponse:
    """Hits of a query; an id that stands in the project leads to its page at once."""
    actor = request_actor(request)
    text = request.GET.get("q", "").strip()[: MAX_QUERY + 1]
    exact = find_exact(actor=actor, slug=slug, text=text)
    if exact:
        return redirect(exact)
    before = read_int(request.GET, "before", 0, low=1, high=2**62) or None
    page = read_search_page(actor=actor, slug=slug, text=text, before=before)
    show_project(request, page.project)
    return render_page(request, "branches/search.html", page)
