"""Reading for a reader: every function takes the actor, and withholds what it may not see."""

from uuid import UUID

from django.db.models import QuerySet

from branches.models import Branch
from verdicts.models import Comparison, Label, Report
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.refusals import NotFound


def read_reports(*, actor: Actor, branch: Branch) -> QuerySet[Report]:
    """A branch's reports, newest first, on this head and on older ones, with their issues."""
    visible = Report.objects.visible_to(actor).filter(branch=branch)
    return visible.select_related("runner").prefetch_related("issues").order_by("-order")


def read_report(*, actor: Actor, report_id: UUID) -> Report:
    visible = Report.objects.visible_to(actor).select_related("runner", "branch")
    report = visible.filter(pk=report_id).first()
    if report is None:
        raise NotFound(f"There is no report {report_id} that you may see.")
    return report


def read_comparison(*, actor: Actor, comparison_id: UUID) -> Comparison:
    visible = Comparison.objects.visible_to(actor).select_related("first", "second", "run")
    comparison = visible.filter(pk=comparison_id).first()
    if comparison is None:
        raise NotFound(f"There is no comparison {comparison_id} that you may see.")
    return comparison


def read_labels(*, actor: Actor, comparison: Comparison) -> list[Label]:
    """The labels that stand. A person who may label sees none before having labelled."""
    standing = Label.objects.visible_to(actor).standing().filter(comparison=comparison)
    reviewer = actor.user_id is not None and actor.may(comparison.project_id, Right.LABEL)
    if reviewer and not standing.filter(reviewer_id=actor.user_id).exists():
        return []
    return list(standing.select_related("reviewer").order_by("created_at"))


def own_label(*, actor: Actor, comparison: Comparison) -> Label | None:
    """The label of this person that stands."""
    standing = Label.objects.visible_to(actor).standing()
    return standing.filter(comparison=comparison, reviewer_id=actor.user_id).first()
