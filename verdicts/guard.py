"""What the ledger adds to a gate: which failures came back on a branch, and which are held."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from verdicts.domain.ledger import Return
from verdicts.domain.terms import Grader, Severity
from verdicts.failure_models import Failure, FailureEntry, FailureLine
from verdicts.models import Report

_TELLING: Final = frozenset(one for one in Severity if one.rank >= Severity.WARNING.rank)


@dataclass(frozen=True, slots=True)
class Guard:
    """Of one project: what came back by branch, and the fingerprints in quarantine."""

    returns: Mapping[UUID, Sequence[Return]]
    held: frozenset[str]


NOTHING: Final = Guard({}, frozenset())


def read_guard(*, project_id: UUID, reports: Collection[Report]) -> Guard:
    """Two queries, or none where no report tells anything that the ledger could bear on. `reports`
    are of one project, with their issues prefetched."""
    branches = {
        report.branch_id
        for report in reports
        if any(issue.severity in _TELLING for issue in report.issues.all())
    }
    if not branches:
        return NOTHING
    held = Failure.objects.held().filter(project_id=project_id)
    lines = FailureLine.objects.filter(branch__in=branches, open=True, returned=True)
    returns: dict[UUID, list[Return]] = {}
    told = "entry__answers__report", "entry__answers__branch__run"
    for line in lines.select_related("failure", *told).order_by("pk"):
        back = Return(
            Grader(line.grader), line.tool, line.failure.fingerprint, _tell(line.entry.answers)
        )
        returns.setdefault(line.branch_id, []).append(back)
    return Guard(returns, frozenset(held.values_list("fingerprint", flat=True)))


def _tell(resolution: FailureEntry | None) -> str:
    """By what it had been resolved."""
    if resolution is None or resolution.report is None or resolution.branch is None:
        return "resolved before"
    branch, report = resolution.branch, resolution.report
    return (
        f"resolved on {resolution.at:%Y-%m-%d} by report {report.order} "
        f"on {branch.label} of r-{branch.run.number}"
    )
