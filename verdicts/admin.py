from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from verdicts.models import (
    Clustering,
    Comparison,
    Contender,
    Contest,
    Coverage,
    Failure,
    FailureEntry,
    FailureLine,
    GateDecision,
    Issue,
    KnownBug,
    Label,
    Nonce,
    PairCursor,
    PairRules,
    Policy,
    Report,
    Runner,
    SideOrder,
    Suite,
    SuiteCase,
    SuiteResult,
    Weighing,
)
from verdicts.runners import revoke_runner
from verdicts.suites import retire_suite
from verel_site.access.projects import actor_of_staff
from verel_site.kit.ledgers import Acting, ReadOnly


@admin.register(Report)
class ReportAdmin(ReadOnly):
    list_display = ["grader", "verdict", "errored", "receipt_standing", "branch", "received_at"]
    list_filter = ["grader", "verdict", "receipt_standing"]
    list_select_related = ["branch"]


@admin.register(Issue)
class IssueAdmin(ReadOnly):
    list_display = ["kind", "severity", "confidence", "source", "fingerprint"]
    list_filter = ["kind", "severity"]
    search_fields = ["fingerprint"]


@admin.register(GateDecision)
class GateDecisionAdmin(ReadOnly):
    list_display = ["verdict", "open", "policy_version", "branch", "by_name", "created_at"]
    list_filter = ["verdict", "open"]
    list_select_related = ["branch"]


@admin.register(Failure)
class FailureAdmin(ReadOnly):
    list_display = ["fingerprint", "kind", "source", "open", "sightings", "runs", "last_at"]
    list_filter = ["open", "kind", "source"]
    search_fields = ["fingerprint"]


@admin.register(FailureEntry)
class FailureEntryAdmin(ReadOnly):
    list_display = ["turn", "failure", "grader", "tool", "by_name", "at"]
    list_filter = ["turn"]
    list_select_related = ["failure"]


@admin.register(KnownBug)
class KnownBugAdmin(ReadOnly):
    list_display = ["bug", "kind", "failures", "open_failures", "last_at"]
    list_filter = ["kind"]


@admin.register(Runner)
class RunnerAdmin(Acting):
    list_display = ["name", "project", "key_id", "valid_until", "revoked_at", "registered_by"]
    list_select_related = ["project"]
    actions = ["revoke"]

    @admin.action(description="Revoke (a reason is needed)", permissions=["act"])
    def revoke(self, request: HttpRequest, rows: Any) -> None:
        def act(runner: Runner, reason: str) -> None:
            actor = actor_of_staff(request.user, runner.project_id)
            revoke_runner(runner_id=runner.pk, actor=actor, reason=reason)

        self.act_on(request, rows, act)


@admin.register(Suite)
class SuiteAdmin(Acting):
    list_display = ["name", "grader", "project", "digest", "frozen_at", "retired_at"]
    list_select_related = ["project"]
    actions = ["retire"]
    # Who knows a canary can write it where it trips.
    fields = ["name", "grader", "project", "digest", "owner", "frozen_at", "retired_at"]

    @admin.action(description="Retire (a reason is needed)", permissions=["act"])
    def retire(self, request: HttpRequest, rows: Any) -> None:
        def act(suite: Suite, reason: str) -> None:
            actor = actor_of_staff(request.user, suite.project_id)
            retire_suite(suite_id=suite.pk, actor=actor, reason=reason)

        self.act_on(request, rows, act)


@admin.register(SuiteCase)
class SuiteCaseAdmin(ReadOnly):
    """That a case is there, and nothing of what it says: staff are no runner."""

    list_display = ["suite", "part", "position", "since"]
    list_filter = ["part"]
    list_select_related = ["suite"]
    fields = ["suite", "part", "position", "since"]


admin.site.register(
    [
        FailureLine,
        Clustering,
        Coverage,
        SuiteResult,
        Policy,
        Nonce,
        Weighing,
        PairRules,
        Contest,
        Contender,
        PairCursor,
        Comparison,
        SideOrder,
        Label,
    ],
    ReadOnly,
)
