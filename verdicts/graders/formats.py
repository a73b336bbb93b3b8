"""The formats by name, and the guess at which one a body is."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

import msgspec

from verdicts.graders.agentvision import read_agentvision
from verdicts.graders.bandit import read_bandit
from verdicts.graders.ctrf import read_ctrf
from verdicts.graders.decoding import decode
from verdicts.graders.junit import read_junit
from verdicts.graders.mypy import read_mypy
from verdicts.graders.otlp import read_otlp
from verdicts.graders.places import relative_path
from verdicts.graders.printed import (
    MalformedOutput,
    Printed,
    PrintedReport,
    Reading,
    UnreadableOutput,
)
from verdicts.graders.pyright import read_pyright
from verdicts.graders.pytest_json import read_pytest_json
from verdicts.graders.ruff import read_ruff
from verdicts.graders.sarif import read_sarif

AUTO: Final = "auto"
MAX_REPORTS: Final = 50
FORMATS: Final[dict[str, Callable[[bytes, Reading], Printed]]] = {
    "agentvision": read_agentvision,
    "bandit": read_bandit,
    "ctrf": read_ctrf,
    "junit": read_junit,
    "mypy": read_mypy,
    "otlp": read_otlp,
    "pyright": read_pyright,
    "pytest-json-report": read_pytest_json,
    "ruff": read_ruff,
    "sarif": read_sarif,
}


def read_printed(raw: bytes, format: str, reading: Reading | None = None) -> tuple[str, Printed]:
    """The format's name, and what the body says. Raises MalformedOutput (400) or
    UnreadableOutput (422)."""
    name = guess_format(raw) if format == AUTO else format
    reading = reading or Reading()
    printed = FORMATS[name](raw, reading)
    if len(printed.reports) > MAX_REPORTS:
        raise UnreadableOutput(f"It holds more than {MAX_REPORTS} reports.")
    reports = (_with_files(report, reading) for report in _tell_apart(printed.reports))
    return name, replace(printed, reports=tuple(reports))


def _with_files(report: PrintedReport, reading: Reading) -> PrintedReport:
    if report.files is not None or not reading.covers:
        return report
    files = frozenset(relative_path(path, reading.root) for path in reading.covers)
    return replace(report, files=files)


def _tell_apart(reports: tuple[PrintedReport, ...]) -> tuple[PrintedReport, ...]:
    """Two reports of one grader and tool in one body are two tools: neither replaces the other."""
    seen: dict[tuple[str, str], int] = {}
    told = []
    for report in reports:
        key = (report.grader, report.tool)
        seen[key] = seen.get(key, 0) + 1
        again = seen[key] > 1
        told.append(replace(report, tool=f"{report.tool} #{seen[key]}") if again else report)
    return tuple(told)


_ABSENT: Final = msgspec.Raw()


class _Top(msgspec.Struct):
    """The members by which documents are told apart; none is built."""

    runs: msgspec.Raw = _ABSENT
    diagnostics: msgspec.Raw = msgspec.field(name="generalDiagnostics", default=_ABSENT)
    resource_logs: msgspec.Raw = msgspec.field(name="resourceLogs", default=_ABSENT)
    metrics: msgspec.Raw = _ABSENT
    results: msgspec.Raw = _ABSENT
    tests: msgspec.Raw = _ABSENT
    exitcode: msgspec.Raw = _ABSENT
    report: msgspec.Raw = _ABSENT
    capabilities: msgspec.Raw = _ABSENT
    issues: msgspec.Raw = _ABSENT


_MEMBERS: Final = (
    ("sarif", ("runs",)),
    ("pyright", ("diagnostics",)),
    ("otlp", ("resource_logs",)),
    ("bandit", ("metrics", "results")),
    ("pytest-json-report", ("exitcode",)),
    ("ctrf", ("results",)),
    ("agentvision", ("report",)),
    ("agentvision", ("capabilities", "issues")),
)


class _Line(msgspec.Struct):
    file: str
    line: int
    severity: str


class _Finding(msgspec.Struct):
    filename: str
    message: str


def guess_format(raw: bytes) -> str:
    """The one format that the body can be. Raises UnreadableOutput where that is not certain."""
    start = raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"<" or raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "junit"
    if start == b"[":
        if decode(raw, list[_Finding]):
            return "ruff"
        raise UnreadableOutput("An empty list may come of many tools: name the format.")
    if start == b"{":
        return _guess_object(raw)
    if raw and not raw.isspace() and b"\x0a" in raw[:2]:
        return "otlp"
    raise UnreadableOutput(f"Name the format: one of {', '.join(FORMATS)}.")


def _guess_object(raw: bytes) -> str:
    first = raw.lstrip().partition(b"\n")[0].strip()
    if first.endswith(b"}"):
        with suppress(UnreadableOutput, MalformedOutput):
            decode(first, _Line)
            return "mypy"
    top = decode(raw, _Top)
    for name, members in _MEMBERS:
        if all(bytes(getattr(top, member)) not in (b"", b"null") for member in members):
            return name
    raise UnreadableOutput(f"Name the format: one of {', '.join(FORMATS)}.")
