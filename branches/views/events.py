"""One event: its detail, and its payload and parts as files."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET

from branches.selectors.event_parts import read_part_file
from branches.selectors.events import read_event
from branches.selectors.judged import ReadReports, no_reports
from branches.selectors.run_page import read_detail
from branches.selectors.run_view import read_view
from branches.storage.payloads import payload_bytes
from verel_site.access.projects import request_actor
from verel_site.kit.downloads import answer_json_file
from verel_site.kit.htmx import VARY
from verel_site.kit.snapshots import one_moment


@require_GET
@login_required
@one_moment()
def event(
    request: HttpRequest, event: UUID, read_reports: ReadReports = no_reports
) -> HttpResponse:
    """The detail as a fragment; for a browser without htmx, the run's page at that event."""
    actor = request_actor(request)
    row = read_event(actor=actor, event_id=event)
    view = read_view(row.run_id, request.GET)
    if request.headers.get("HX-Request") != "true":
        return redirect(view.href(event=event, after=None, before=None))
    detail = read_detail(actor=actor, event=row, view=view, read_reports=read_reports)
    response = render(request, "branches/_event_detail.html", {"detail": detail})
    patch_vary_headers(response, VARY)
    return response


@require_GET
@login_required
def event_payload(request: HttpRequest, event: UUID) -> HttpResponse:
    """The stored payload, byte for byte, as a download that no browser runs or renders."""
    row = read_event(actor=request_actor(request), event_id=event)
    return answer_json_file(payload_bytes(row), f"event-{event}.json")


@require_GET
@login_required
def event_part(request: HttpRequest, event: UUID, index: int) -> HttpResponse:
    """A binary part: shown where its bytes are a picture or a sound, else a download."""
    row = read_event(actor=request_actor(request), event_id=event)
    part = read_part_file(row, index)
    response = HttpResponse(part.data, content_type=part.mime or "application/octet-stream")
    place = "inline" if part.mime else "attachment"
    response["Content-Disposition"] = f'{place}; filename="{part.name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    # An event never changes, but who may see it does.
    response["Cache-Control"] = "private, max-age=300"
    return response
