"""`mypy --output json`: one object a line; columns from 0. A clean run prints one empty line."""

import re
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
    UnreadableOutput,
    clean,
    hollow,
    missing,
)

# What mypy calls a note explains an error, or answers `reveal_type`.
_SEVERITIES: Final = {"note": Severity.INFO, "warning": Severity.WARNING}
_SUCCESS: Final = re.compile(rb"Success: no issues found in (\d{1,9}) source files?")
_FOUND: Final = re.compile(rb"Found (\d{1,9}) errors? in \d+ files? \(.*\)")


class _Row(msgspec.Struct):
    file: str
    line: Whole
    message: str
    severity: str
    column: Whole = -1
    end_line: Whole | None = None
    end_column: Whole | None = None
    hint: str | None = None
    code: str | None = None


def read_mypy(raw: bytes, reading: Reading) -> Printed:
    """One typecheck report. No byte at all is a run that did not take place."""
    tool = reading.tool or "mypy"
    if not raw:
        return Printed((hollow(Grader.TYPECHECK, tool, "mypy printed nothing at all"),))
    rows, counted = [], 0
    for number, line in enumerate(raw.splitlines()):
        text = line.strip()
        found = _FOUND.fullmatch(text)
        if text.startswith(b"{"):
            rows.append(decode(text, _Row, at=f"/{number}"))
        elif found:
            counted = int(found[1])
        elif text and not _SUCCESS.fullmatch(text):
            raise UnreadableOutput("This line is no JSON object.", pointer=f"/{number}")
    places = Places()
    issues = [_issue(row, places, reading) for row in rows]
    errors = sum(issue.severity == Severity.ERROR for issue in issues)
    issues += missing(Grader.TYPECHECK, "errors", counted, errors)
    summary = f"{errors} errors in {len({row.file for row in rows})} files"
    report = PrintedReport(
        Grader.TYPECHECK, tool, summary, issues, capabilities=(IssueKind.TYPE_ERROR.value,)
    )
    return Printed((report,))


def _issue(row: _Row, places: Places, reading: Reading) -> PrintedIssue:
    message = clean(row.message)
    code = clean(row.code or "", 80) or "unknown"
    symbol = all_names(message)
    path = relative_path(row.file, reading.root)
    return PrintedIssue(
        kind=IssueKind.TYPE_ERROR,
        severity=_SEVERITIES.get(row.severity, Severity.ERROR),
        message=message,
        locator=places.locate(path, "", code, symbol),
        locator_precise=row.line > 0,
        detail={
            "rule_code": code,
            **spot(
                symbol=symbol,
                path=path,
                hint=clean(row.hint or ""),
                line=row.line,
                column=row.column + 1 if row.column >= 0 else None,
                end_line=row.end_line,
                end_column=row.end_column + 1 if row.end_column is not None else None,
            ),
        },
    )
