"""What the ledger adds to a gate: which failures came back on a branch, and which are held."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Final
from uuid import UUID

from django.db.models import DateTimeField, IntegerField, UUIDField, Value

from branches.models import branch_label
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
    Value(None, DateTimeField()),
    Value(None, IntegerField()),
    Value(""),
    Value(None, IntegerField()),
    Value(None, IntegerField()),
)
_TELLING: Final = frozenset(one for one in Severity if one.rank >= Severity.WARNING.rank)


@dataclass(frozen=True, slots=True)
class Guard:
    """Of one project: what came back by branch, and the fingerprints in quarantine."""

    returns: Mapping[UUID, Sequence[Return]]
    held: frozenset[str]


NOTHING: Final = Guard({}, frozenset())


def read_guard(*, project_id: UUID, reports: Collection[Report]) -> Guard:
    """One query, or none where no report tells anything that the ledger could bear on. `reports`
    are of one project, with their issues prefetched."""
    branches = {
        report.branch_id
        for report in reports
        if any(issue.severity in _TELLING for issue in report.issues.all())
    }
    if not branches:
        return NOTHING
    lines = FailureLine.objects.filter(branch__in=branches, open=True, returned=True)
    held = Failure.objects.held().filter(project_id=project_id)
    rows = lines.order_by().values_list(*_LINE).union(held.order_by().values_list(*_HELD), all=True)
    returns: dict[UUID, list[Return]] = {}
    marks: set[str] = set()
    for mark, _line, branch_id, grader, tool, *resolution in sorted(rows, key=itemgetter(1)):
        if branch_id is None:
            marks.add(mark)
            continue
        back = Return(Grader(grader), tool, mark, _tell(*resolution))
        returns.setdefault(branch_id, []).append(back)
    return Guard(returns, frozenset(marks))


def _tell(
    at: datetime | None, order: int | None, name: str | None, number: int | None, run: int | None
) -> str:
    """By what it had been resolved: a report by its order, on a branch by its name and number."""
    if at is None or order is None or number is None:
        return "resolved before"
    return f"resolved on {at:%Y-%m-%d} by report {order} on {branch_label(name or '', number)} of r-{run}"
