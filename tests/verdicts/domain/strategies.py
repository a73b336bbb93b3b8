"""Reports as Hypothesis draws them: few places and words, so that they meet and disagree."""

import dataclasses

from hypothesis import strategies as st

from verdicts.domain.facts import (
    IssueFacts,
    ReceiptFacts,
    ReceiptStanding,
    ReportFacts,
    result_digest,
)
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity, Verdict

HEAD = "ab" * 32
SUITE = "cd" * 32
FILES = ("limits.py", "pump.py")


@st.composite
def issues(draw: st.DrawFn) -> IssueFacts:
    return IssueFacts(
        kind=draw(st.sampled_from([IssueKind.CONTRAST, IssueKind.TEST_FAILURE])),
        severity=draw(st.sampled_from(Severity)),
        confidence=draw(st.sampled_from(Confidence)),
        source=draw(st.sampled_from(Grader)),
        fingerprint=draw(st.sampled_from(["a" * 16, "b" * 16, "c" * 16])),
        message=draw(st.sampled_from(["too low", "too high"])),
        locator=draw(st.sampled_from(["", "#cap", "#dose"])),
    )


@st.composite
def reports(draw: st.DrawFn) -> ReportFacts:
    report = ReportFacts(
        grader=draw(st.sampled_from([Grader.TEST, Grader.DOM, Grader.VISION, Grader.LLM_JUDGE])),
        verdict=draw(st.sampled_from(Verdict)),
        errored=draw(st.booleans()),
        issues=tuple(draw(st.lists(issues(), max_size=3))),
        order=draw(st.integers(1, 4)),
        tool=draw(st.sampled_from(["", "mypy", "pyright"])),
    )
    return dataclasses.replace(report, receipt=draw(st.none() | receipts(report)))


@st.composite
def receipts(draw: st.DrawFn, report: ReportFacts) -> ReceiptFacts:
    """Mostly good ones, each part now and then wrong."""
    rarely = st.sampled_from([True, True, True, False])
    good = result_digest(verdict=report.verdict, errored=report.errored, issues=report.issues)
    return ReceiptFacts(
        standing=ReceiptStanding.VALID if draw(rarely) else draw(st.sampled_from(ReceiptStanding)),
        suite_digest=SUITE if draw(rarely) else "",
        inputs_digest=HEAD if draw(rarely) else "ef" * 32,
        covered_files=frozenset(FILES if draw(rarely) else FILES[:1]),
        result_digest=good if draw(rarely) else "",
        runner="ci",
    )
