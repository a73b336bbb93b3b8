"""Triplets, and datasets of them."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from branches.datasets import order_dataset
from branches.selectors.dataset_detail import read_dataset_page, read_made_page
from branches.selectors.dataset_page import View, read_triplets_page
from branches.selectors.datasets import open_file
from branches.selectors.triplets import FILTERS
from verel_site.access.projects import get_project, request_actor, show_project
from verel_site.kit.htmx import render_page
from verel_site.kit.streaming import stream_attachment

TRIPLETS_PARTIALS = ("triplet-preview",)
DATASET_PARTIALS = ("dataset-state",)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def triplets(request: HttpRequest, slug: str) -> HttpResponse:
    """GET shows what a filter means; POST makes a snapshot of it."""
    actor = request_actor(request)
    if request.method == "POST":
        project = get_project(actor=actor, slug=slug)
        wanted = {name: request.POST[name] for name in FILTERS if request.POST.get(name)}
        ordered = order_dataset(
            project_id=project.pk,
            actor=actor,
            format=request.POST.get("format", "trl"),
            filter=wanted,
        )
        return redirect("dataset", ordered.pk)
    page = read_triplets_page(actor=actor, slug=slug, view=View.read(request.GET))
    return render_page(request, "branches/triplets.html", page, partials=TRIPLETS_PARTIALS)


@require_GET
@login_required
def datasets(request: HttpRequest, slug: str) -> HttpResponse:
    page = read_made_page(actor=request_actor(request), slug=slug)
    return render_page(request, "branches/datasets.html", page)


@require_GET
@login_required
def dataset(request: HttpRequest, dataset: UUID) -> HttpResponse:
    page = read_dataset_page(actor=request_actor(request), dataset_id=dataset)
    show_project(request, page.project)
    # What is ready is more than the part that asks every second: the page comes anew, with its card.
    response = render_page(request, "branches/dataset.html", page, partials=DATASET_PARTIALS)
    if not page.pending and request.headers.get("HX-Target") in DATASET_PARTIALS:
        response["HX-Refresh"] = "true"
    return response


@require_GET
@login_required
def dataset_file(request: HttpRequest, dataset: UUID) -> HttpResponseBase:
    """One of its files, as an attachment; unnamed, its rows."""
    name, pieces = open_file(
        actor=request_actor(request), dataset_id=dataset, name=request.GET.get("name", "")
    )
    return stream_attachment(request, pieces, filename=name.rpartition("/")[2])
