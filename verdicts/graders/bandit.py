"""`bandit -f json`. Severities as bandit's own SARIF gives them: HIGH error, MEDIUM warning, LOW
note; columns from 0."""

from typing import Final

import msgspec

from verdicts.domain.fingerprint import scrub
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity
from verdicts.graders.decoding import Whole, decode
from verdicts.graders.places import Places, relative_path, spot
from verdicts.graders.printed import (
    Printed,
    PrintedIssue,
    PrintedReport,
    Reading,
    clean,
    hollow,
    name_fault,
)

_TOTALS: Final = "_totals"
_SEVERITIES: Final = {"MEDIUM": Severity.WARNING, "LOW": Severity.INFO}
_CONFIDENCES: Final = {
    "HIGH": Confidence.HIGH,
    "MEDIUM": Confidence.MEDIUM,
    "LOW": Confidence.LOW,
}


class _Weakness(msgspec.Struct):
    id: Whole | None = None


class _Row(msgspec.Struct):
    filename: str
    issue_text: str
    issue_severity: str
    test_id: str
    issue_confidence: str = "MEDIUM"
    issue_cwe: _Weakness | None = None
    test_name: str = ""
    line_number: Whole | None = None
    col_offset: Whole | None = None


class _Unread(msgspec.Struct):
    filename: str = ""
    reason: str = ""


class _Metrics(msgspec.Struct):
    loc: Whole = 0


class _Document(msgspec.Struct):
    results: list[_Row]
    metrics: dict[str, _Metrics]
    errors: list[_Unread] = []


def read_bandit(raw: bytes, reading: Reading) -> Printed:
    """One security report. A file that bandit could not read shuts the gate: nobody looked at it."""
    document = decode(raw, _Document)
    tool = reading.tool or "bandit"
    places = Places()
    issues = [_issue(row, places, reading) for row in document.results]
    issues += [
        name_fault(
            Grader.SECURITY,
            "unread-file",
            f"Not scanned: {clean(row.reason)}",
            at=relative_path(row.filename, reading.root),
        )
        for row in document.errors
    ]
    files = [name for name in document.metrics if name != _TOTALS]
    if not files:
        return Printed((hollow(Grader.SECURITY, tool, "it scanned no file", issues=issues),))
    report = PrintedReport(
        Grader.SECURITY,
        tool,
        f"{len(document.results)} findings in {len(files)} files",
        issues,
        capabilities=(IssueKind.VULNERABILITY.value,),
        files=frozenset(relative_path(name, reading.root) for name in files),
    )
    return Printed((report,))


def _issue(row: _Row, places: Places, reading: Reading) -> PrintedIssue:
    message = clean(row.issue_text)
    rule = clean(row.test_id, 80)
    known = row.issue_cwe and row.issue_cwe.id
    cwe = f"CWE-{known}" if known else rule
    path = relative_path(row.filename, reading.root)
    return PrintedIssue(
        kind=IssueKind.VULNERABILITY,
        severity=_SEVERITIES.get(row.issue_severity, Severity.ERROR),
        message=message,
        locator=places.locate(path, "", cwe, scrub(message)),
        locator_precise=row.line_number is not None,
        confidence=_CONFIDENCES.get(row.issue_confidence, Confidence.MEDIUM),
        detail={
            "cwe": cwe,
            "rule_id": rule,
            **spot(
                path=path,
                name=clean(row.test_name, 80),
                line=row.line_number,
                column=row.col_offset + 1 if row.col_offset is not None else None,
            ),
        },
    )
