"""Reading for a reader: every function takes the actor, and withholds what it may not see."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet

from branches.models import Branch
from verdicts.domain.leakage import count_retiring
from verdicts.domain.terms import Part
from verdicts.models import Comparison, Label, Report, Suite
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
    return list(standing.select_related("reviewer", "correction").order_by("created_at"))


def own_label(*, actor: Actor, comparison: Comparison) -> Label | None:
    """The label of this person that stands."""
    standing = Label.objects.visible_to(actor).standing()
    return standing.filter(comparison=comparison, reviewer_id=actor.user_id).first()


@dataclass(frozen=True, slots=True)
class SuiteLine:
    """A suite and how many cases it has; none of them."""

    suite: Suite
    cases: int
    holdout: int
    reserve: int

    @property
    def fresh_cases_needed(self) -> int:
        """How many the next rotation lacks; 0 for a suite that is not rotated."""
        if self.suite.rotate_at is None:
            return 0
        return max(0, count_retiring(self.cases) - self.reserve)


def count_minted(suites: QuerySet[Suite]) -> dict[UUID, tuple[int, int]]:
    """For each suite how many cases are in use, and how many of them its rotation minted."""
    in_use = Q(cases__part=Part.CASE.value)
    # What a rotation mints comes into use after the version before it was frozen.
    fresh = in_use & Q(cases__since__gt=F("follows__frozen_at"))
    counted = suites.annotate(
        n_cases=Count("cases", filter=in_use), n_fresh=Count("cases", filter=fresh)
    )
    return {
        pk: (cases, minted)
        for pk, cases, minted in counted.order_by().values_list("pk", "n_cases", "n_fresh")
    }


def list_suites(
    *, actor: Actor, project_id: UUID | None = None, suite_id: UUID | None = None
) -> list[SuiteLine]:
    """Suites of a project, or one suite, newest first; one query."""
    rows = Suite.objects.visible_to(actor)
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    if suite_id is not None:
        rows = rows.filter(pk=suite_id)
    counted = rows.annotate(
        **{f"n_{part.value}": Count("cases", filter=Q(cases__part=part.value)) for part in Part}
    )
    return [
        SuiteLine(row, *(getattr(row, f"n_{part.value}") for part in Part))
        for row in counted.order_by("-created_at", "pk")
    ]
