"""Lists for API clients, each in one order and with one cursor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Prefetch, Q, prefetch_related_objects
from django.utils import timezone

from branches.domain.terms import Status
from branches.models import Approval, Branch, Merge, Run, Triplet
from branches.selectors.triplets import TripletFilter
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project, settled_projects
from verel_site.access.rights import Right
from verel_site.kit.cursors import moment_cursor, read_moment_cursor
from verel_site.kit.refusals import BadInput, NotFound

ALL_TRIPLETS = TripletFilter()


@dataclass(frozen=True)
class Page[Row]:
    """`more` says that rows wait behind the last one."""

    rows: Sequence[Row]
    more: bool


def cut[Row](rows: Iterable[Row], limit: int) -> Page[Row]:
    """A page out of rows that were asked for with one more than the limit."""
    found = list(rows)
    return Page(found[:limit], len(found) > limit)


def pick_project(*, actor: Actor, named: str | None, pointer: str | None = None) -> Project:
    """The project of that slug or id; unnamed, the only one that the actor may read."""
    if named:
        return get_project(actor=actor, slug=named)
    if len(actor.projects) == 1:
        return Project.objects.get(pk=actor.projects[0])
    place = {"parameter": "project"} if pointer is None else {}
    raise BadInput("project names one of your projects.", pointer=pointer, **place)


def list_runs(
    *, actor: Actor, project: Project, status: str, text: str, after: int, limit: int
) -> Page[Run]:
    """Runs by number. `status` keeps those with a branch in it, `text` those whose goal has it."""
    if status and status not in set(Status):
        raise BadInput(f"status is one of {', '.join(Status)}.", parameter="status")
    rows = Run.objects.visible_to(actor).filter(project=project, number__gt=after)
    if status:
        holding = Branch.objects.filter(project=project, status=status)
        rows = rows.filter(pk__in=holding.values("run_id"))
    if text:
        number = text.removeprefix("r-")
        numbered = Q(number=int(number)) if number.isdecimal() and len(number) < 10 else Q()
        rows = rows.filter(Q(goal__icontains=text) | numbered)
    return cut(rows.with_counts().order_by("number")[: limit + 1], limit)


def read_counted_run(*, actor: Actor, run_id: UUID) -> Run:
    """A run, with its counts of branches, events and tokens."""
    run = Run.objects.visible_to(actor).with_counts().filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no run {run_id} that you may see.")
    return run


def list_branches(*, actor: Actor, run: Run) -> list[Branch]:
    """Every branch of a run, parents before their children: numbers rise along every line."""
    return list(Branch.objects.visible_to(actor).filter(run=run).order_by("number"))


def list_approvals(
    *, actor: Actor, project_id: UUID | None, state: str, after: str, limit: int
) -> Page[Approval]:
    """Approvals by age; `state` is open, answered or all."""
    rows = Approval.objects.filter(project_id__in=actor.projects).select_related("branch")
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    if state != "all":
        rows = rows.filter(answered_at__isnull=state == "open")
    if after:
        moment, approval_id = read_moment_cursor(after)
        behind = Q(created_at=moment, pk__gt=approval_id)
        rows = rows.filter(Q(created_at__gt=moment) | behind)
    page = rows.order_by("created_at", "pk")[: limit + 1]
    with settled_projects(actor.projects if project_id is None else ()):
        return cut(page, limit)


def age_cursor(approval: Approval) -> str:
    return moment_cursor(approval.created_at, approval.pk)


def read_approval(*, actor: Actor, approval_id: UUID) -> Approval:
    rows = Approval.objects.filter(project_id__in=actor.projects).select_related("branch")
    approval = rows.filter(pk=approval_id).first()
    if approval is None:
        raise NotFound(f"There is no approval {approval_id} that you may see.")
    return approval


def read_merge(*, actor: Actor, merge_id: UUID) -> Merge:
    """A merge with those of its triplets that the actor would get from `list_triplets`; who may
    undo the merge sees withdrawn ones too."""
    merge = Merge.objects.filter(project_id__in=actor.projects, pk=merge_id).first()
    if merge is None:
        raise NotFound(f"There is no merge {merge_id} that you may see.")
    rows = Triplet.objects.order_by("number")
    if not actor.may(merge.project_id, Right.EXPORT):
        rows = rows.none()
    elif not actor.may(merge.project_id, Right.MERGE):
        rows = rows.filter(withdrawn_at=None, merge__undo_until__lte=timezone.now())
    prefetch_related_objects([merge], "losers", Prefetch("triplets", rows))
    return merge


def list_triplets(
    *,
    actor: Actor,
    project: Project,
    after: int,
    limit: int,
    wanted: TripletFilter = ALL_TRIPLETS,
) -> Page[Triplet]:
    """Triplets by number, without those that were withdrawn.

    Who may undo a merge sees its triplets at once; any other reader when the time for that is up.
    """
    actor.demand(project.pk, Right.EXPORT)
    rows = Triplet.objects.filter(project=project, withdrawn_at=None, number__gt=after)
    if not actor.may(project.pk, Right.MERGE):
        rows = rows.filter(merge__undo_until__lte=timezone.now())
    rows = wanted.narrow(rows)
    return cut(rows.select_related("merge").order_by("number")[: limit + 1], limit)
