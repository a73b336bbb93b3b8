"""The pages of people's verdicts."""

from django.urls import path

from verdicts.views import (
    agreement,
    compare,
    contests,
    ledger,
    merge,
    overview,
    pairs,
    policy,
    reports,
    runners,
    suites,
)

urlpatterns = [
    path("p/<slug:slug>/overview/", overview.show_overview, name="overview"),
    path("p/<slug:slug>/agreement/", agreement.agreement, name="agreement"),
    path("p/<slug:slug>/settings/pairs/", pairs.pair_rules, name="pair-rules"),
    path("p/<slug:slug>/gate/", policy.policy, name="gate-policy"),
    path("p/<slug:slug>/gate/runners/", runners.runners, name="gate-runners"),
    path("p/<slug:slug>/gate/suites/", suites.suites, name="gate-suites"),
    path("p/<slug:slug>/gate/rotations/", suites.rotations, name="gate-rotations"),
    path("p/<slug:slug>/gate/ledger/", ledger.ledger, name="gate-ledger"),
    path("failures/<uuid:failure>/quarantine/", ledger.quarantine, name="failure-quarantine"),
    path("failures/<uuid:failure>/lift/", ledger.lift, name="failure-lift"),
    path("suites/<uuid:suite>/", suites.suite, name="suite"),
    path("suites/<uuid:suite>/freeze/", suites.freeze, name="suite-freeze"),
    path("suites/<uuid:suite>/retire/", suites.retire, name="suite-retire"),
    path("suites/<uuid:suite>/rotate/", suites.rotate, name="suite-rotate"),
    path("suites/<uuid:suite>/reserve/", suites.reserve, name="suite-reserve"),
    path("runners/<uuid:runner>/revoke/", runners.revoke, name="runner-revoke"),
    path("runs/<uuid:run>/verdicts/", reports.show_verdicts, name="run-verdicts"),
    path("runs/<uuid:run>/compare/", compare.open_compare, name="compare-open"),
    path("runs/<uuid:run>/contests/", contests.open_several, name="contest-open"),
    path("contests/<uuid:contest>/", contests.show_contest, name="contest"),
    path("contests/<uuid:contest>/merge/", contests.merge_winner, name="contest-merge"),
    path("comparisons/<uuid:comparison>/", compare.show_comparison, name="comparison"),
    path("comparisons/<uuid:comparison>/label/", compare.label, name="comparison-label"),
    path(
        "comparisons/<uuid:comparison>/steps/<slug:seal>/",
        compare.comparison_step,
        name="comparison-step",
    ),
    path(
        "comparisons/<uuid:comparison>/again/", compare.judge_again, name="comparison-judge-again"
    ),
    path("comparisons/<uuid:comparison>/merge/", merge.merge, name="comparison-merge"),
    path("merges/<uuid:merge>/", merge.show_merge, name="merge"),
    path("merges/<uuid:merge>/revert/", merge.revert, name="merge-revert"),
]
