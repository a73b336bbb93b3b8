"""Test results, whatever listed them: outcomes counted, what failed made issues."""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from verdicts.domain.terms import Grader, IssueKind, Severity
from verdicts.graders.places import relative_path, spot
from verdicts.graders.printed import (
    MAX_TEXT,
    PrintedIssue,
    PrintedReport,
    Reading,
    clean,
    count_words,
    hollow,
)

PASSED: Final = "passed"
FAILED: Final = "failed"
ERROR: Final = "error"
SKIPPED: Final = "skipped"
# The last line of a Python traceback: where it was raised.
_RAISED: Final = re.compile(r"^([^\s:][^:\n]{0,300}):(\d{1,9}): ", re.MULTILINE)


@dataclass(slots=True)
class Trials:
    """Collects one tool's tests. An error (it did not get to its end) is told apart from a failure
    (it did, and the answer was wrong) in an issue's detail; both gate."""

    reading: Reading
    counts: dict[str, int] = field(default_factory=dict)
    issues: list[PrintedIssue] = field(default_factory=list)
    ran: set[str] = field(default_factory=set)
    roots: tuple[str, ...] = ()

    def count(self, outcome: str, test_id: str) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        if outcome in (PASSED, FAILED):
            self.ran.add(test_id)

    def add(
        self,
        outcome: str,
        test_id: str,
        message: str,
        *,
        trace: str = "",
        path: str = "",
        line: int | None = None,
        severity: Severity = Severity.ERROR,
        **detail: Any,
    ) -> None:
        """One issue; place and line are read from the trace where they are not given."""
        text = clean(trace)
        if not path:
            raised = _RAISED.findall(text)
            path, line = (raised[-1][0], int(raised[-1][1])) if raised else ("", None)
        where = relative_path(path, self.reading.root, *self.roots)
        self.issues.append(
            PrintedIssue(
                kind=IssueKind.TEST_FAILURE,
                severity=severity,
                message=clean(message) or f"{outcome}, without a message",
                locator=f"{where}:{line}" if where and line else where or test_id,
                locator_precise=bool(where and line),
                detail={
                    "test_id": test_id,
                    "outcome": outcome,
                    **spot(path=where, line=line, trace=text, **detail),
                },
            )
        )

    def report(self, tool: str, **more: Any) -> PrintedReport:
        """The report; one in which no test reached a verdict did not grade."""
        told = count_words(
            (self.counts.get(word, 0), word) for word in (PASSED, FAILED, ERROR, SKIPPED)
        )
        issues = [*self.issues, *more.pop("issues", ())]
        if not self.counts.get(PASSED) and not self.counts.get(FAILED):
            why = f"no test reached a verdict ({told})" if self.counts else "no test ran"
            return hollow(Grader.TEST, tool, why, issues=issues, **more)
        return PrintedReport(
            Grader.TEST,
            tool,
            told,
            issues,
            capabilities=(IssueKind.TEST_FAILURE.value,),
            ran=frozenset(self.ran),
            **more,
        )


def name_test(*parts: str) -> str:
    """`classname::name`, without empty parts."""
    return clean("::".join(part for part in parts if part), MAX_TEXT // 4)
