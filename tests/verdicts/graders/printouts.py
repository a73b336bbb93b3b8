"""Real output of ten tools, and ways to run its adapters as the import does."""

from pathlib import Path

from verdicts.graders.formats import read_printed
from verdicts.graders.printed import PrintedReport, Reading
from verdicts.report_form import ReadReport, read_report

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
HEAD = "ab" * 32
# Every sample by its name, and the format that it is in.
FORMAT_OF = {
    "agentvision/1_clean.json": "agentvision",
    "agentvision/2_overflow.json": "agentvision",
    "agentvision/4_broken.json": "agentvision",
    "bandit.json": "bandit",
    "ctrf.json": "ctrf",
    "junit.xml": "junit",
    "mypy.jsonl": "mypy",
    "otlp_logs_evaluation.json": "otlp",
    "otlp_logs_evaluation.pb": "otlp",
    "pyright.json": "pyright",
    "pytest_json_report.json": "pytest-json-report",
    "ruff.json": "ruff",
    "sarif.json": "sarif",
}


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def reports(
    raw: bytes | str, format: str, reading: Reading | None = None
) -> tuple[PrintedReport, ...]:
    raw = raw.encode() if isinstance(raw, str) else raw
    return read_printed(raw, format, reading)[1].reports


def filed(
    raw: bytes | str, format: str = "auto", reading: Reading | None = None
) -> list[ReadReport]:
    """The reports as `file_report` would read them, fingerprints and all."""
    return [read_report(report.as_json(HEAD)) for report in reports(raw, format, reading)]


def one(raw: bytes | str, format: str = "auto", reading: Reading | None = None) -> ReadReport:
    [report] = filed(raw, format, reading)
    return report


def fingerprints(report: ReadReport) -> list[str]:
    return [issue.facts.fingerprint for issue in report.issues]
