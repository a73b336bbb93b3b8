"""Addresses of pages. The composition includes these, and may say how verdicts are read."""

from django.urls import URLPattern, path

from branches.views import approvals, events, forks, runs
from branches.views.runs import ReadVerdicts, no_verdicts


def make_urlpatterns(read_verdicts: ReadVerdicts = no_verdicts) -> list[URLPattern]:
    """`read_verdicts` gives a run's gate words (pass, warn, fail, stale …) by branch id."""
    judged = {"read_verdicts": read_verdicts}
    return [
        path("p/<slug:slug>/runs/", runs.run_list, name="run-list"),
        path("runs/<uuid:run>/", runs.run, judged, name="run"),
        path("runs/<uuid:run>/rows/", runs.run_rows, judged, name="run-rows"),
        path("runs/<uuid:run>/branches/", runs.run_branches, judged, name="run-branches"),
        path("runs/<uuid:run>/minimap/", runs.run_minimap, name="run-minimap"),
        path("runs/<uuid:run>/next-error/", runs.run_next_error, name="run-next-error"),
        path("events/<uuid:event>/", events.event, name="event"),
        path("events/<uuid:event>/payload/", events.event_payload, name="event-payload"),
        path("events/<uuid:event>/fork/", forks.fork, judged, name="fork"),
        path("events/<uuid:event>/fork/preview/", forks.fork_preview, judged, name="fork-preview"),
        path("branches/<uuid:branch>/<slug:move>/", runs.branch_move, name="branch-move"),
        path(
            "approvals/<uuid:approval>/answer/", approvals.approval_answer, name="approval-answer"
        ),
    ]


urlpatterns = make_urlpatterns()
