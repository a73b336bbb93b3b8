"""A branch's fingerprints over its iterations: what failed when, what is gone, what came back.

An iteration is one graded head of the branch, in the order in which they were first graded; a
rerun on a head belongs to that head's iteration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from operator import attrgetter
from typing import Final
from uuid import UUID

from django.utils.safestring import SafeString

from verdicts.admission import issue_facts
from verdicts.domain.gate import effective_severity
from verdicts.domain.terms import ADVISORY, GATING_SEVERITY, Grader, Severity
from verdicts.models import Issue, Report
from verdicts.panels import GRADER_WORDS
from verel_site.kit.charts import FailingRow, draw_failing

# Enough to see a trend; the table of issues says how many iterations there were in all.
MAX_ITERATIONS: Final = 12
MAX_ROWS: Final = 14
MAX_ISSUES: Final = 100
# A head with more findings than this is told by its newest ones; the gate reads them all.
MAX_READ: Final = 5_000

SEVERITY_GLYPHS: Final = {
    Severity.INFO: "pass",
    Severity.WARNING: "warn",
    Severity.ERROR: "fail",
    Severity.CRITICAL: "fail",
}


@dataclass(frozen=True, slots=True)
class IssueRow:
    """One fingerprint over the branch's iterations; `verdict` after clamping, as the gate sees it."""

    fingerprint: str
    grader: str
    kind: str
    verdict: str
    advisory: bool
    message: str
    locator: str
    seen: int
    first: str
    last: str
    open: bool
    flaky: bool


@dataclass(frozen=True, slots=True)
class Failing:
    """The failing set over time, drawn; `title` is the finding."""

    title: str
    drawing: SafeString
    iterations: int


_position = attrgetter("position")


@dataclass(frozen=True)
class _Sighting:
    issue: Issue
    grader: Grader
    severity: Severity


@dataclass(frozen=True)
class History:
    """Which fingerprints stood in which iteration, from 1; `failing` are those that gate, without
    the flaky ones: they come and go on one head, and warn."""

    heads: tuple[bytes, ...]
    seqs: tuple[int, ...]
    prints: Mapping[str, _Sighting]
    at: Mapping[str, frozenset[int]]
    failing: tuple[frozenset[str], ...]
    flaky: frozenset[str] = frozenset()

    @classmethod
    def read(cls, told: Sequence[Report], flaky: frozenset[str] = frozenset()) -> "History":
        """From the issues of each tool's newest report on each of the last heads. `told` are the
        branch's reports, newest first, with their issues."""
        order: dict[bytes, int] = {}
        for report in reversed(told):
            order.setdefault(bytes(report.head_digest), report.head_seq)
        heads = list(order)[-MAX_ITERATIONS:]
        counted: dict[tuple[bytes, str, str], Report] = {}
        for report in told:
            head = bytes(report.head_digest)
            if head in heads and not report.errored:
                counted.setdefault((head, report.grader, report.tool), report)
        place = {report.pk: heads.index(head) + 1 for (head, *_), report in counted.items()}
        issues = chain.from_iterable(
            sorted(report.issues.all(), key=_position) for report in told if report.pk in place
        )
        prints: dict[str, _Sighting] = {}
        at: dict[str, set[int]] = {}
        failing: list[set[str]] = [set() for _ in heads]
        graders = {report.pk: Grader(report.grader) for report in counted.values()}
        for issue in islice(issues, MAX_READ):
            sighting = _sight(issue, graders[issue.report_id])
            _keep_worst(prints, issue.fingerprint, sighting, place)
            at.setdefault(issue.fingerprint, set()).add(place[issue.report_id])
            gates = sighting.severity.rank >= GATING_SEVERITY.rank
            if gates and issue.fingerprint not in flaky:
                failing[place[issue.report_id] - 1].add(issue.fingerprint)
        return cls(
            heads=tuple(heads),
            seqs=tuple(order[head] for head in heads),
            prints=prints,
            at={key: frozenset(places) for key, places in at.items()},
            failing=tuple(frozenset(one) for one in failing),
            flaky=flaky,
        )

    def draw(self) -> Failing | None:
        """None where nobody graded."""
        if not self.heads:
            return None
        ever = [key for key in self.prints if any(key in one for one in self.failing)]
        ever.sort(key=lambda key: (-max(self.at[key]), min(self.at[key]), key))
        rows = [
            FailingRow(key[:4], self._label(key), self._failing_at(key)) for key in ever[:MAX_ROWS]
        ]
        counts = [len(one) for one in self.failing]
        forward = [False, *(after < before for before, after in pairwise(self.failing))]
        drawing = draw_failing(
            rows,
            ticks=[str(place + 1) for place in range(len(self.heads))],
            counts=counts,
            progressed=forward,
        )
        return Failing(_tell_failing(counts, forward), drawing, len(self.heads))

    def rows(self) -> tuple[IssueRow, ...]:
        """Open ones first, then those seen last."""
        latest = len(self.heads)
        keys = sorted(
            self.prints,
            key=lambda key: (
                -max(self.at[key]),
                -self.prints[key].severity.rank,
                key,
            ),
        )
        return tuple(self._row(key, latest) for key in keys)

    def _failing_at(self, key: str) -> frozenset[int]:
        return frozenset(place for place, one in enumerate(self.failing, start=1) if key in one)

    def _label(self, key: str) -> str:
        issue = self.prints[key].issue
        return issue.locator.rsplit("/", 1)[-1] or issue.message

    def _row(self, key: str, latest: int) -> IssueRow:
        seen = self.prints[key]
        advisory = seen.grader in ADVISORY
        flaky = key in self.flaky
        return IssueRow(
            fingerprint=key,
            grader=GRADER_WORDS[seen.grader],
            kind=seen.issue.kind.replace("_", " "),
            verdict="warn" if flaky else SEVERITY_GLYPHS[seen.severity],
            advisory=advisory,
            message=seen.issue.message,
            locator=seen.issue.locator,
            seen=len(self.at[key]),
            first=str(min(self.at[key])),
            last=str(max(self.at[key])),
            open=max(self.at[key]) == latest,
            flaky=flaky,
        )


def _keep_worst(
    prints: dict[str, _Sighting], key: str, sighting: _Sighting, place: Mapping[UUID, int]
) -> None:
    """The newest head's sighting stands; where graders of that head differ, the most severe."""
    kept = prints.get(key)
    same = kept is not None and place[kept.issue.report_id] == place[sighting.issue.report_id]
    if kept is None or (same and sighting.severity.rank > kept.severity.rank):
        prints[key] = sighting


def _sight(issue: Issue, grader: Grader) -> _Sighting:
    return _Sighting(issue, grader, effective_severity(issue_facts(issue), grader))


def _tell_failing(counts: Sequence[int], forward: Sequence[bool]) -> str:
    """The finding, in one sentence."""
    if len(counts) == 1:
        return f"{counts[0]} failing after the first grading" if counts[0] else "Nothing fails"
    if not counts[-1]:
        return f"The set shrank from {max(counts)} to nothing" if max(counts) else "Nothing failed"
    if forward[-1]:
        return f"The set shrinks: {counts[-2]} to {counts[-1]}"
    if counts[-1] > counts[-2]:
        return f"The set grew from {counts[-2]} to {counts[-1]}"
    return f"No progress: {counts[-1]} still fail{'s' if counts[-1] == 1 else ''}"
