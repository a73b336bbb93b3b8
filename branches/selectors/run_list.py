"""The list of a project's runs: filters, one page of rows, and how to begin where there is none."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.http import QueryDict
from django.urls import NoReverseMatch, reverse
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware

from branches.domain.terms import Status
from branches.models import Approval, Branch, Run
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project
from verel_site.access.rights import Right
from verel_site.kit.refusals import BadInput

PAGE: Final = 50
MAX_QUERY: Final = 200
# What a run's statuses are listed in: what wants attention first.
_ORDER: Final = (
    Status.RUNNING,
    Status.PAUSED,
    Status.COMPLETED,
    Status.MERGED,
    Status.ABANDONED,
)


@dataclass(frozen=True)
class Filters:
    """`older` is the cursor: the last activity and the id of the last run of the page before."""

    q: str = ""
    status: str = ""
    agent: str = ""
    waits: bool = False
    older: tuple[datetime, UUID] | None = None

    @property
    def narrows(self) -> bool:
        return bool(self.q or self.status or self.agent or self.waits)


@dataclass(frozen=True)
class StatusCount:
    status: str
    count: int


@dataclass(frozen=True)
class RunRow:
    id: UUID
    number: int
    goal: str
    href: str
    agent: str
    model: str
    statuses: tuple[StatusCount, ...]
    branches: int
    events: int
    tokens: int
    touched: datetime
    waits: int
    to_compare: int
    compare_href: str


@dataclass(frozen=True)
class Facet:
    """One filter as a link."""

    key: str
    name: str
    href: str
    current: bool


@dataclass(frozen=True)
class RunListPage:
    """`begins` says that the project has no run at all, whatever the filters."""

    project: Project
    rows: tuple[RunRow, ...]
    filters: Filters
    statuses: tuple[Facet, ...]
    agents: tuple[Facet, ...]
    waits: Facet
    clear_href: str
    older_href: str
    newest_href: str
    import_href: str
    docs_href: str
    begins: bool
    screen: str = "runs"
    nav: str = "runs"
    title: str = "Runs"


def read_filters(query: QueryDict) -> Filters:
    """Raises BadInput for a status or cursor that is none."""
    status = query.get("status", "")
    if status and status not in {known.value for known in Status}:
        raise BadInput(f"There is no status {status!r}.", parameter="status")
    return Filters(
        q=query.get("q", "").strip()[:MAX_QUERY],
        status=status,
        agent=query.get("agent", "")[:120],
        waits=query.get("waits") == "1",
        older=_read_cursor(query.get("older", "")),
    )


def _read_cursor(text: str) -> tuple[datetime, UUID] | None:
    if not text:
        return None
    moment, _, key = text.rpartition("_")
    try:
        at = parse_datetime(moment)
        run = UUID(key)
    except ValueError as error:
        raise BadInput("This is no page of the list.", parameter="older") from error
    if at is None or not is_aware(at):
        raise BadInput("This is no page of the list.", parameter="older")
    return at, run


def read_run_list(*, actor: Actor, slug: str, filters: Filters) -> RunListPage:
    """One page of runs, latest activity first: a constant number of queries."""
    project = get_project(actor=actor, slug=slug)
    actor.demand(project.pk, Right.READ)
    found = list(_filter_runs(project, filters)[: PAGE + 1])
    runs = found[:PAGE]
    keys = [run.pk for run in runs]
    statuses, waits = _read_statuses(keys), _read_waits(keys)
    here = reverse("run-list", args=[project.slug])

    def link(**changes: Any) -> str:
        return here + _query(replace(filters, older=None, **changes))

    older = (runs[-1].touched_at, runs[-1].pk) if len(found) > PAGE else None
    return RunListPage(
        project=project,
        rows=tuple(_row(run, statuses.get(run.pk, {}), waits.get(run.pk, 0)) for run in runs),
        filters=filters,
        statuses=(
            Facet("", "Any status", link(status=""), not filters.status),
            *(_status_facet(status, filters, link(status=status.value)) for status in _ORDER),
        ),
        agents=_agent_facets(_read_agents(project), filters, link),
        waits=Facet("stasis", "Waits for approval", link(waits=not filters.waits), filters.waits),
        clear_href=here,
        older_href=here + _query(replace(filters, older=older)) if older else "",
        newest_href=here + _query(replace(filters, older=None)) if filters.older else "",
        import_href=_href("import", slug) if actor.may(project.pk, Right.IMPORT) else "",
        docs_href=_href("docs"),
        begins=not runs
        and not filters.older
        and (not filters.narrows or not Run.objects.filter(project=project).exists()),
    )


def _status_facet(status: Status, filters: Filters, href: str) -> Facet:
    return Facet(status.value, status.value.capitalize(), href, filters.status == status)


def _agent_facets(
    agents: Iterable[str], filters: Filters, link: Callable[..., str]
) -> tuple[Facet, ...]:
    facets = [Facet(name, name, link(agent=name), filters.agent == name) for name in agents]
    if not facets:
        return ()
    return (Facet("", "Any agent", link(agent=""), not filters.agent), *facets)


def _filter_runs(project: Project, filters: Filters) -> QuerySet[Run]:
    rows = Run.objects.filter(project=project)
    if filters.q:
        number = filters.q.removeprefix("r-")
        exact = Q(number=int(number)) if number.isdecimal() and len(number) < 10 else Q()
        rows = rows.filter(Q(goal__icontains=filters.q) | exact)
    if filters.agent:
        rows = rows.filter(agent=filters.agent)
    branches = Branch.objects.filter(run=OuterRef("pk"))
    if filters.status:
        rows = rows.filter(Exists(branches.filter(status=filters.status)))
    if filters.waits:
        waiting = Approval.objects.filter(branch__run=OuterRef("pk"), answered_at=None)
        rows = rows.filter(Exists(waiting))
    if filters.older:
        at, key = filters.older
        rows = rows.filter(Q(touched_at__lt=at) | Q(touched_at=at, pk__lt=key))
    return rows.order_by("-touched_at", "-pk")


type _Statuses = dict[str, tuple[int, int, int]]


def _read_statuses(runs: Iterable[UUID]) -> dict[UUID, _Statuses]:
    """By run and status: branches, events and tokens."""
    found: dict[UUID, _Statuses] = {}
    rows = Branch.objects.filter(run_id__in=list(runs)).values_list("run_id", "status")
    counted = rows.annotate(
        n=Count("pk"), stored=Sum("head_seq", default=0), told=Sum("tokens", default=0)
    )
    for run, status, *numbers in counted:
        found.setdefault(run, {})[status] = (numbers[0], numbers[1], numbers[2])
    return found


def _read_waits(runs: Iterable[UUID]) -> dict[UUID, int]:
    rows = Approval.objects.filter(branch__run_id__in=list(runs), answered_at=None)
    counted = rows.values("branch__run_id").annotate(n=Count("pk"))
    return {row["branch__run_id"]: row["n"] for row in counted}


def _read_agents(project: Project) -> tuple[str, ...]:
    rows = Run.objects.filter(project=project).exclude(agent="")
    return tuple(rows.values_list("agent", flat=True).distinct().order_by("agent")[:100])


def _row(run: Run, statuses: Mapping[str, tuple[int, int, int]], waits: int) -> RunRow:
    branches = sum(n for n, _, _ in statuses.values())
    settled = statuses.get(Status.COMPLETED.value, (0, 0, 0))[0]
    return RunRow(
        id=run.pk,
        number=run.number,
        goal=run.goal,
        href=reverse("run", args=[run.pk]),
        agent=run.agent,
        model=run.model,
        statuses=tuple(
            StatusCount(status.value, statuses[status.value][0])
            for status in _ORDER
            if status.value in statuses
        ),
        branches=branches,
        events=sum(events for _, events, _ in statuses.values()),
        tokens=sum(told for _, _, told in statuses.values()),
        touched=run.touched_at,
        waits=waits,
        # Two branches that say they are finished and were not judged yet make a pair.
        to_compare=settled if settled > 1 else 0,
        compare_href=_href("compare-open", run.pk) if settled > 1 else "",
    )


def _href(name: str, *args: Any) -> str:
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        # The page belongs to an app above this one, which may be absent.
        return ""


def _query(filters: Filters) -> str:
    pairs = [("q", filters.q), ("status", filters.status), ("agent", filters.agent)]
    pairs += [("waits", "1" if filters.waits else "")]
    if filters.older:
        pairs.append(("older", f"{filters.older[0].isoformat()}_{filters.older[1]}"))
    told = urlencode([(name, value) for name, value in pairs if value])
    return f"?{told}" if told else ""
