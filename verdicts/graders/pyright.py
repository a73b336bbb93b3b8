"""`pyright --outputjson`: lines and characters count from 0."""

from typing import Final

import msgspec

from verdicts.domain.terms import Grader, IssueKind, Severity
from verdicts.graders.decoding import Whole, decode
from verdicts.graders.places import Places, all_names, relative_path, spot
from verdicts.graders.printed import (
    Printed,
    PrintedIssue,
    PrintedReport,
    Reading,
    clean,
    hollow,
    milliseconds,
    missing,
)

_SEVERITIES: Final = {"warning": Severity.WARNING, "information": Severity.INFO}


class _Point(msgspec.Struct):
    line: Whole
    character: Whole


class _Range(msgspec.Struct):
    start: _Point
    end: _Point


class _Row(msgspec.Struct):
    file: str
    severity: str
    message: str
    range: _Range | None = None
    rule: str | None = None


class _Summary(msgspec.Struct):
    files_analyzed: Whole = msgspec.field(name="filesAnalyzed")
    error_count: Whole = msgspec.field(name="errorCount")
    warning_count: Whole = msgspec.field(name="warningCount", default=0)
    seconds: float | None = msgspec.field(name="timeInSec", default=None)


class _Document(msgspec.Struct):
    rows: list[_Row] = msgspec.field(name="generalDiagnostics")
    summary: _Summary
    version: str = ""


def read_pyright(raw: bytes, reading: Reading) -> Printed:
    """One typecheck report. A run that analysed no file did not grade."""
    document = decode(raw, _Document)
    tool, told = reading.tool or "pyright", document.summary
    places = Places()
    issues = [_issue(row, places, reading) for row in document.rows]
    errors = sum(issue.severity == Severity.ERROR for issue in issues)
    issues += missing(Grader.TYPECHECK, "errors", told.error_count, errors)
    elapsed = milliseconds(told.seconds)
    if told.files_analyzed < 1:
        report = hollow(Grader.TYPECHECK, tool, "it analysed no file", issues=issues)
        return Printed((report,))
    report = PrintedReport(
        Grader.TYPECHECK,
        tool,
        f"{errors} errors in {told.files_analyzed} files",
        issues,
        capabilities=(IssueKind.TYPE_ERROR.value,),
        elapsed_ms=elapsed,
        trace=spot(version=clean(document.version, 80)),
    )
    return Printed((report,))


def _issue(row: _Row, places: Places, reading: Reading) -> PrintedIssue:
    message = clean(row.message)
    rule = clean(row.rule or "", 80) or "syntax"
    symbol = all_names(message)
    path = relative_path(row.file, reading.root)
    start, end = (row.range.start, row.range.end) if row.range else (None, None)
    return PrintedIssue(
        kind=IssueKind.TYPE_ERROR,
        severity=_SEVERITIES.get(row.severity, Severity.ERROR),
        message=message,
        locator=places.locate(path, "", rule, symbol),
        locator_precise=start is not None,
        detail={
            "rule_code": rule,
            **spot(
                symbol=symbol,
                path=path,
                line=start.line + 1 if start else None,
                column=start.character + 1 if start else None,
                end_line=end.line + 1 if end else None,
                end_column=end.character + 1 if end else None,
            ),
        },
    )
