"""Addresses of pages. The composition includes these, and may say how verdicts are read."""

from django.urls import URLPattern, path

from branches.selectors.judged import ReadReports, ReadVerdicts, no_reports, no_verdicts
from branches.views import approvals, datasets, events, forks, runs, search


def make_urlpatterns(
    read_verdicts: ReadVerdicts = no_verdicts, read_reports: ReadReports = no_reports
) -> list[URLPattern]:
    """`read_verdicts` tells what graders come to on branches of a run, and `read_reports` what
    they said of a branch when its digest was the one that is given."""
    judged = {"read_verdicts": read_verdicts}
    reported = {"read_reports": read_reports}
    return [
        path("p/<slug:slug>/runs/", runs.run_list, name="run-list"),
        path("p/<slug:slug>/search/", search.search, name="search"),
        path("p/<slug:slug>/triplets/", datasets.triplets, name="triplets"),
        path("p/<slug:slug>/datasets/", datasets.datasets, name="datasets"),
        path("datasets/<uuid:dataset>/", datasets.dataset, name="dataset"),
        path("datasets/<uuid:dataset>/file/", datasets.dataset_file, name="dataset-file"),
        path("runs/<uuid:run>/", runs.run, judged, name="run"),
        path("runs/<uuid:run>/rows/", runs.run_rows, judged, name="run-rows"),
        path("runs/<uuid:run>/branches/", runs.run_branches, judged, name="run-branches"),
        path("runs/<uuid:run>/minimap/", runs.run_minimap, name="run-minimap"),
        path("runs/<uuid:run>/next-error/", runs.run_next_error, name="run-next-error"),
        path("events/<uuid:event>/", events.event, reported, name="event"),
        path("events/<uuid:event>/payload/", events.event_payload, name="event-payload"),
        path("events/<uuid:event>/parts/<int:index>/", events.event_part, name="event-part"),
        path("events/<uuid:event>/fork/", forks.fork, judged, name="fork"),
        path("events/<uuid:event>/fork/preview/", forks.fork_preview, judged, name="fork-preview"),
        path("branches/<uuid:branch>/<slug:move>/", runs.branch_move, name="branch-move"),
        path(
            "approvals/<uuid:approval>/answer/",
            approvals.approval_answer,
            reported,
            name="approval-answer",
        ),
    ]


urlpatterns = make_urlpatterns()
