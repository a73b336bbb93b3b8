"""`ruff check --output-format json`."""

from typing import Final

import msgspec

from verdicts.domain.terms import Grader, IssueKind, Severity
from verdicts.graders.decoding import Whole, decode
from verdicts.graders.places import Places, first_name, relative_path, spot
from verdicts.graders.printed import Printed, PrintedIssue, PrintedReport, Reading, clean

_SEVERITIES: Final = {"warning": Severity.WARNING, "info": Severity.INFO}


class _Point(msgspec.Struct):
    row: Whole
    column: Whole


class _Row(msgspec.Struct):
    filename: str
    message: str
    code: str | None = None
    location: _Point | None = None
    end_location: _Point | None = None
    name: str | None = None
    severity: str = "error"


def read_ruff(raw: bytes, reading: Reading) -> Printed:
    """One lint report. An empty list is clean: ruff prints one for a clean project."""
    rows = decode(raw, list[_Row])
    places = Places()
    issues = [_issue(row, places, reading) for row in rows]
    summary = f"{len(issues)} findings" if issues else "0 findings"
    return Printed(
        (PrintedReport(Grader.LINT, reading.tool or "ruff", summary, issues, capabilities=_SEEN),)
    )


_SEEN: Final = (IssueKind.LINT.value,)


def _issue(row: _Row, places: Places, reading: Reading) -> PrintedIssue:
    rule = clean(row.code or row.name or "invalid-syntax", 80)
    message = clean(row.message)
    path = relative_path(row.filename, reading.root)
    return PrintedIssue(
        kind=IssueKind.LINT,
        severity=_SEVERITIES.get(row.severity, Severity.ERROR),
        message=message,
        locator=places.locate(path, first_name(message), rule),
        locator_precise=row.location is not None,
        detail={
            "rule_id": rule,
            **spot(
                path=path,
                name=clean(row.name or "", 80),
                line=row.location.row if row.location else None,
                column=row.location.column if row.location else None,
                end_line=row.end_location.row if row.end_location else None,
                end_column=row.end_location.column if row.end_location else None,
            ),
        },
    )
