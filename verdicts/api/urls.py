"""Addresses under the API's root; `verel_site.urls` hangs them up."""

from django.urls import URLPattern, path

from verdicts.api import (
    agreement,
    datasets,
    failures,
    imports,
    labels,
    merges,
    pairs,
    reports,
    suites,
)

urlpatterns: list[URLPattern] = [
    path("branches/<uuid:branch>/reports", reports.BranchReports.as_view()),
    path("branches/<uuid:branch>/reports/import", imports.ReportImport.as_view()),
    path("reports/<uuid:report>/raw", imports.ReportRaw.as_view()),
    path("branches/<uuid:branch>/nonces", reports.BranchNonces.as_view()),
    path("branches/<uuid:branch>/gate", reports.BranchGate.as_view()),
    path("branches/<uuid:branch>/progress", reports.BranchProgress.as_view()),
    path("failures", failures.FailureList.as_view()),
    path("failures/<uuid:failure>", failures.FailureDetail.as_view()),
    path("failures/<uuid:failure>/history", failures.FailureHistory.as_view()),
    path("failures/<uuid:failure>/quarantine", failures.FailureQuarantine.as_view()),
    path("failures/<uuid:failure>/lift", failures.FailureLift.as_view()),
    path("known-bugs", failures.KnownBugList.as_view()),
    path("suites", suites.SuiteList.as_view()),
    path("suites/<uuid:suite>", suites.SuiteDetail.as_view()),
    path("suites/<uuid:suite>/freeze", suites.SuiteFreeze.as_view()),
    path("suites/<uuid:suite>/retire", suites.SuiteRetire.as_view()),
    path("suites/<uuid:suite>/rotate", suites.SuiteRotate.as_view()),
    path("suites/<uuid:suite>/cases", suites.SuiteCases.as_view()),
    path("suites/<uuid:suite>/results", suites.SuiteResults.as_view()),
    path("projects/<str:project>/agreement", agreement.ProjectAgreement.as_view()),
    path("projects/<str:project>/pair-rules", pairs.ProjectPairRules.as_view()),
    path("comparisons/<uuid:comparison>/sides", labels.ComparisonSides.as_view()),
    path("comparisons/<uuid:comparison>/label", labels.ComparisonLabel.as_view()),
    path("merges", merges.MergeList.as_view()),
    path("merges/<uuid:merge>", merges.MergeDetail.as_view()),
    path("merges/<uuid:merge>/revert", merges.MergeRevert.as_view()),
    path("triplets", datasets.TripletList.as_view()),
    path("datasets", datasets.DatasetList.as_view()),
    path("datasets/<uuid:dataset>", datasets.DatasetDetail.as_view()),
    path("datasets/<uuid:dataset>/file", datasets.DatasetFile.as_view()),
]
