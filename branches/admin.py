from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from branches import models
from branches.merges import revert_merge
from branches.models import Branch, Event, Merge, Run, Triplet
from branches.steering import abandon_branch, pause_branch, resume_branch
from verel_site.access.projects import actor_of_staff
from verel_site.kit.ledgers import Acting, ReadOnly


@admin.register(Run)
class RunAdmin(ReadOnly):
    list_display = ["number", "project", "goal", "agent", "model", "created_at"]
    list_filter = ["project"]
    list_select_related = ["project"]


@admin.register(Branch)
class BranchAdmin(Acting):
    list_display = ["label", "run", "status", "head_seq", "claimable", "lease_worker", "touched_at"]
    list_filter = ["status"]
    list_select_related = ["run"]
    actions = ["pause", "resume", "abandon"]

    @admin.action(description="Pause", permissions=["act"])
    def pause(self, request: HttpRequest, rows: Any) -> None:
        self._move(request, rows, pause_branch)

    @admin.action(description="Resume", permissions=["act"])
    def resume(self, request: HttpRequest, rows: Any) -> None:
        self._move(request, rows, resume_branch)

    @admin.action(description="Abandon (a reason is needed)", permissions=["act"])
    def abandon(self, request: HttpRequest, rows: Any) -> None:
        self._move(request, rows, abandon_branch)

    def _move(self, request: HttpRequest, rows: Any, move: Callable[..., Branch]) -> None:
        def act(branch: Branch, reason: str) -> None:
            actor = actor_of_staff(request.user, branch.project_id)
            move(branch_id=branch.pk, actor=actor, reason=reason)

        self.act_on(request, rows, act)


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ["position", "branch", "seq", "type", "source", "received_at"]
    list_select_related = ["branch"]
    ordering = ["-position"]


@admin.register(Merge)
class MergeAdmin(Acting):
    list_display = ["winner", "project", "by_name", "bypass_reason", "created_at", "reverted_at"]
    list_select_related = ["winner", "project"]
    actions = ["revert"]

    @admin.action(description="Take back (a reason is needed)", permissions=["act"])
    def revert(self, request: HttpRequest, rows: Any) -> None:
        def act(merge: Merge, reason: str) -> None:
            actor = actor_of_staff(request.user, merge.project_id)
            revert_merge(merge_id=merge.pk, actor=actor, reason=reason)

        self.act_on(request, rows, act)


@admin.register(Triplet)
class TripletAdmin(ReadOnly):
    list_display = ["number", "project", "granularity", "chosen_branch", "withdrawn_at"]
    list_select_related = ["project", "chosen_branch"]


admin.site.register(
    [
        models.Approval,
        models.Blob,
        models.Dataset,
        models.Directive,
        models.Export,
        models.Import,
        models.MergeLoser,
        models.SearchCursor,
    ],
    ReadOnly,
)
