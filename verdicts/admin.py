from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from verdicts.models import (
    Comparison,
    GateDecision,
    Issue,
    Label,
    Nonce,
    Policy,
    Report,
    Runner,
    SideOrder,
    Suite,
)


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Ledgers, and what only an audited action may change."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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


admin.site.register([Policy, Runner, Suite, Nonce, Comparison, SideOrder, Label], ReadOnly)
