"""What the ledger adds to a gate: which failures came back on a branch, which are held, and which
stand open there that no report on the head names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Final
from uuid import UUID

from django.db.models import DateTimeField, IntegerField, UUIDField, Value

from branches.models import branch_label
from verdicts.domain.coverage import Unlooked
from verdicts.domain.ledger import Return
from verdicts.domain.terms import Grader, Severity
from verdicts.failure_models import Failure, FailureLine
from verdicts.models import Report

_LINE: Final = (
    "failure__fingerprint",
    "pk",
    "branch_id",
    "grader",
    "tool",
    "failure__locator",
    "silent",
    "returned",
    "entry__answers__at",
    "entry__answers__report__order",
    "entry__answers__branch__name",
    "entry__answers__branch__number",
    "entry__answers__branch__run__number",
)
# A row of the same shape that is of no branch.
_HELD: Final[tuple[str | Value, ...]] = (
    "fingerprint",
    Value(0),
    Value(None, UUIDField()),
    Value(""),
    Value(""),
    Value(""),
    Value(None, UUIDField()),
    Value(False),
    Value(None, DateTimeField()),
    Value(None, IntegerField()),
    Value(""),
    Value(None, IntegerField()),
    Value(None, IntegerField()),
)
_TELLING: Final = frozenset(one for one in Severity if one.rank >= Severity.WARNING.rank)


@dataclass(frozen=True, slots=True)
class Guard:
    """Of one project: what came back by branch, the fingerprints in quarantine, and by branch what
    stands open there and was not looked for again."""

    returns: Mapping[UUID, Sequence[Return]] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    unlooked: Mapping[UUID, Sequence[Unlooked]] = field(default_factory=dict)


def read_guard(*, project_id: UUID, reports: Collection[Report]) -> Guard:
    """One query, or none where no report tells anything that the ledger could bear on, and no
    failure of its grader stands open. `reports` are of one project, on the heads that are decided
    about, in order, with their issues prefetched."""
    branches = {report.branch_id for report in reports if _concerns_ledger(report)}
    if not branches:
        return Guard()
    lines = FailureLine.objects.filter(branch__in=branches, open=True)
    held = Failure.objects.held().filter(project_id=project_id)
    rows = lines.order_by().values_list(*_LINE).union(held.order_by().values_list(*_HELD), all=True)
    returns: dict[UUID, list[Return]] = {}
    unlooked: dict[UUID, list[Unlooked]] = {}
    marks: set[str] = set()
    ran = _last_runs(reports)
    for mark, _line, branch_id, grader, tool, place, silent, came_back, *resolution in sorted(
        rows, key=itemgetter(1)
    ):
        if branch_id is None:
            marks.add(mark)
            continue
        if ran.get((branch_id, grader, tool), silent) == silent:
            open_one = Unlooked(Grader(grader), tool, mark, place or mark)
            unlooked.setdefault(branch_id, []).append(open_one)
        if came_back:
            back = Return(Grader(grader), tool, mark, _tell(*resolution))
            returns.setdefault(branch_id, []).append(back)
    return Guard(returns, frozenset(marks), unlooked)


def _concerns_ledger(report: Report) -> bool:
    """`admission` marks a report whether any stands open; one read without it may have
    some."""
    stands_open: bool = getattr(report, "failures_open", True)
    return stands_open or any(issue.severity in _TELLING for issue in report.issues.all())


def _last_runs(reports: Collection[Report]) -> dict[tuple[UUID, str, str], UUID]:
    """By branch, grader and tool. A tool that did not run looked for nothing."""
    return {
        (report.branch_id, report.grader, report.tool): report.pk
        for report in reports
        if not report.errored
    }


def _tell(
    at: datetime | None, order: int | None, name: str | None, number: int | None, run: int | None
) -> str:
    """By what it had been resolved: a report by its order, on a branch by its name and number."""
    if at is None or order is None or number is None:
        return "resolved before"
    return f"resolved on {at:%Y-%m-%d} by report {order} on {branch_label(name or '', number)} of r-{run}"
