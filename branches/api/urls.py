"""Addresses under the API's root; `verel_site.urls` hangs them up."""

from django.urls import URLPattern, path

from branches.api import agents, approvals, events, forks, runs, search

urlpatterns: list[URLPattern] = [
    path("projects/<str:project>/runs", runs.RunList.as_view()),
    path("runs/<uuid:run>", runs.RunDetail.as_view()),
    path("runs/<uuid:run>/tree", runs.RunTree.as_view()),
    path("events", events.EventList.as_view()),
    path("search", search.Search.as_view()),
    path("branches/<uuid:branch>", forks.BranchDetail.as_view()),
    path("branches/<uuid:branch>/events", events.BranchEvents.as_view()),
    path("branches/<uuid:branch>/forks", forks.BranchForks.as_view()),
    path("branches/<uuid:branch>/context", forks.BranchContext.as_view()),
    path("branches/<uuid:branch>/pause", forks.BranchPause.as_view()),
    path("branches/<uuid:branch>/resume", forks.BranchResume.as_view()),
    path("branches/<uuid:branch>/complete", forks.BranchComplete.as_view()),
    path("branches/<uuid:branch>/abandon", forks.BranchAbandon.as_view()),
    path("branches/<uuid:branch>/lease", agents.BranchLease.as_view()),
    path("claims", agents.ClaimList.as_view()),
    path("directives", agents.DirectiveList.as_view()),
    path("approvals", approvals.ApprovalList.as_view()),
    path("approvals/<uuid:approval>/answer", approvals.ApprovalAnswer.as_view()),
]
