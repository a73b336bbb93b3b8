"""What makes a failure flaky: said once, for the advice to a loop and for the ledger's quarantine.

A precise tool that ran `reruns` times on one head, and found the failure in some of those runs and
not in the others, disagrees with itself: the content was the same. Fewer runs prove nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from verdicts.domain.facts import ReceiptStanding, ReportFacts, reported_digest
from verdicts.domain.gate import effective_severity
from verdicts.domain.terms import GATING_SEVERITY, PRECISE, Grader

# Of more runs of a tool on one head the newest count.
MAX_RERUNS: Final = 20


@dataclass(frozen=True, slots=True)
class Counting:
    """Which runs count. A run that a receipt proves does; another one only

    - where no run of its tool on this head is proven,
    - where its grader owes no receipt (`owing` are those that the project's policy asks for one),
    - and for a failure that no proven run ever found (`proven` are those that one did).

    So whoever may push reports, and can not sign one, talks no failure out of the gate that a
    runner's word holds there. `since`: a person lifted the quarantine of the fingerprint, and only
    runs of a higher order can renew it.
    """

    owing: frozenset[Grader] = frozenset()
    proven: frozenset[str] = frozenset()
    since: Mapping[str, int] = field(default_factory=dict)


ANY_RUN: Final = Counting()


@dataclass(frozen=True, slots=True)
class Flaky:
    """A fingerprint that one tool found in `found` of its `runs` on one head."""

    fingerprint: str
    head: str
    grader: Grader
    tool: str
    found: int
    runs: int


def prove_flaky(
    reports: Sequence[ReportFacts],
    *,
    reruns: int,
    head: str = "",
    counting: Counting = ANY_RUN,
) -> tuple[Flaky, ...]:
    """Every failure that is flaky by these reports, all of them on one head."""
    flaky = []
    for (grader, tool), told in sorted(_by_tool(reports).items()):
        sets = [run.failing for run in told]
        for key in sorted(frozenset().union(*sets) - frozenset.intersection(*sets)):
            runs = _counted(told, grader, key, counting)
            found = sum(key in run.failing for run in runs)
            if len(runs) >= reruns and 0 < found < len(runs):
                flaky.append(Flaky(key, head, grader, tool, found, len(runs)))
    return tuple(flaky)


def find_unprobed(
    reports: Sequence[ReportFacts], *, reruns: int, counting: Counting = ANY_RUN
) -> tuple[str, ...]:
    """Failures of tests that nobody can believe or call flaky yet: found on this head, by a tool
    that ran less often than that. Those of its latest run come first.

    To believe that a test fails takes no receipt; where one run has one, the others need it too.
    """
    last: dict[str, bool] = {}
    for (grader, _), told in sorted(_by_tool(reports).items()):
        if grader != Grader.TEST:
            continue
        runs = [run for run in told if run.proven] or told
        for key in sorted(frozenset().union(*(run.failing for run in told))):
            since = counting.since.get(key, 0)
            if sum(run.order > since for run in runs) < reruns:
                last[key] = last.get(key, False) or key in told[-1].failing
    return tuple(sorted(last, key=lambda key: not last[key]))


def failing_in(report: ReportFacts) -> frozenset[str]:
    """What shuts the gate by this report."""
    return frozenset(
        issue.fingerprint
        for issue in report.issues
        if effective_severity(issue, report.grader).rank >= GATING_SEVERITY.rank
    )


@dataclass(frozen=True, slots=True)
class _Run:
    order: int
    proven: bool
    failing: frozenset[str]


def _by_tool(reports: Sequence[ReportFacts]) -> dict[tuple[Grader, str], list[_Run]]:
    """Runs of each precise tool that did grade, oldest first. A second tool is no rerun."""
    runs: dict[tuple[Grader, str], list[_Run]] = {}
    for report in sorted(reports, key=lambda one: one.order):
        if report.grader in PRECISE and not report.errored:
            run = _Run(report.order, _is_proven(report), failing_in(report))
            runs.setdefault((report.grader, report.tool), []).append(run)
    return runs


def _is_proven(report: ReportFacts) -> bool:
    """Signed, and as it was signed: a receipt of another result proves nothing about this one."""
    receipt = report.receipt
    if receipt is None or receipt.standing != ReceiptStanding.VALID:
        return False
    return receipt.result_digest == reported_digest(report)


def _counted(runs: Sequence[_Run], grader: Grader, key: str, counting: Counting) -> list[_Run]:
    proven = [run for run in runs if run.proven]
    signed = proven or grader in counting.owing or key in counting.proven
    since = counting.since.get(key, 0)
    return [run for run in (proven if signed else runs)[-MAX_RERUNS:] if run.order > since]
