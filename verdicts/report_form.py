"""A pushed report, read strictly: an unknown or ill-typed field is refused, never guessed at.

Strictness is the safe side here: an `isues` that is passed over would read as a clean report.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from verdicts.domain.coverage import Covered
from verdicts.domain.facts import IssueFacts, covered_digest, result_digest
from verdicts.domain.fingerprint import fingerprint
from verdicts.domain.terms import (
    GATING_SEVERITY,
    Confidence,
    Grader,
    IssueKind,
    Severity,
    Verdict,
)
from verel_site.kit import strict_json
from verel_site.kit.refusals import Unprocessable

MAX_ISSUES: Final = 5_000
MAX_MESSAGE: Final = 20_000
MAX_LOCATOR: Final = 2_000
MAX_SUMMARY: Final = 10_000
MAX_RECEIPT: Final = 512 * 1024
MAX_NAME: Final = 120
MAX_NAMES: Final = 200
MAX_COVERED: Final = 500_000
MAX_COVERED_NAME: Final = 1_000
MAX_COST_USD: Final = 10_000_000
MAX_ELAPSED_MS: Final = 2**53
SCHEMA_VERSION: Final = "2.0"
_HEAD: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = frozenset(
    [
        "grader",
        "tool",
        "summary",
        "head_digest",
        "issues",
        "verdict",
        "capabilities",
        "model",
        "cost_usd",
        "elapsed_ms",
        "errored",
        "receipt",
        "artifacts",
        "trace",
        "covered",
        "schema_version",
    ]
)
_COVERED_FIELDS: Final = frozenset(["tests", "files"])
_ISSUE_FIELDS: Final = frozenset(
    [
        "kind",
        "severity",
        "message",
        "locator",
        "locator_precise",
        "confidence",
        "source",
        "detail",
        "fingerprint",
    ]
)


class BadReport(Unprocessable):
    code = "bad_report"
    title = "The report is not well-formed"


@dataclass(frozen=True, slots=True)
class ReadIssue:
    facts: IssueFacts
    locator_precise: bool
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReadReport:
    """A report as values. `verdict` is the grader's claim, or `claimed_verdict` of the issues."""

    grader: Grader
    tool: str
    head_digest: bytes
    verdict: Verdict
    summary: str
    errored: bool
    model: str
    cost_usd: Decimal | None
    elapsed_ms: int | None
    capabilities: list[str]
    artifacts: dict[str, str]
    trace: dict[str, Any]
    receipt: str
    issues: tuple[ReadIssue, ...]
    covered: Covered | None = None

    @property
    def result_digest(self) -> str:
        """What a receipt of it has to sign."""
        return result_digest(
            verdict=self.verdict,
            errored=self.errored,
            issues=[issue.facts for issue in self.issues],
            covered=covered_digest(self.covered),
        )


def claimed_verdict(issues: tuple[IssueFacts, ...] | list[IssueFacts]) -> Verdict:
    """What a report without a `verdict` claims, and what its receipt has to sign: by its highest
    severity, before any clamping."""
    rank = max((issue.severity.rank for issue in issues), default=-1)
    if rank >= GATING_SEVERITY.rank:
        return Verdict.FAIL
    return Verdict.WARN if rank >= Severity.WARNING.rank else Verdict.PASS


def read_report(report: object) -> ReadReport:
    """Raises BadReport (422), or MalformedJson (400) for text that can not be stored, with a JSON
    pointer to the field at fault."""
    strict_json.check(report)
    body = _object(report, "", _FIELDS, required=("grader", "head_digest", "issues"))
    grader = _member(Grader, body, "grader", "")
    rows = body["issues"]
    if not isinstance(rows, list):
        raise BadReport("issues is a list.", pointer="/issues")
    if len(rows) > MAX_ISSUES:
        raise BadReport(f"A report has at most {MAX_ISSUES} issues.", pointer="/issues")
    issues = tuple(_read_issue(row, grader, f"/issues/{i}") for i, row in enumerate(rows))
    version = _text(body, "schema_version", "", 8, default=SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise BadReport(f"schema_version is {SCHEMA_VERSION!r}.", pointer="/schema_version")
    verdict = (
        _member(Verdict, body, "verdict", "")
        if body.get("verdict") is not None
        else claimed_verdict([issue.facts for issue in issues])
    )
    return ReadReport(
        grader=grader,
        tool=_text(body, "tool", "", MAX_NAME),
        head_digest=_read_head(body["head_digest"]),
        verdict=verdict,
        summary=_text(body, "summary", "", MAX_SUMMARY),
        errored=_flag(body, "errored", ""),
        model=_text(body, "model", "", MAX_NAME),
        cost_usd=_read_cost(body.get("cost_usd")),
        elapsed_ms=_read_elapsed(body.get("elapsed_ms")),
        capabilities=_read_names(body.get("capabilities"), "/capabilities"),
        artifacts=_read_artifacts(body.get("artifacts")),
        trace=_mapping(body, "trace", ""),
        receipt=_read_receipt(body.get("receipt")),
        issues=issues,
        covered=_read_covered(body.get("covered")),
    )


def _read_covered(value: object) -> Covered | None:
    """What it looked at; None where it does not say, which is the whole head."""
    if value is None:
        return None
    body = _object(value, "/covered", _COVERED_FIELDS, required=())
    tests = _read_covered_names(body.get("tests"), "/covered/tests")
    files = _read_covered_names(body.get("files"), "/covered/files")
    return None if tests is None and files is None else Covered(tests, files)


def _read_covered_names(value: object, at: str) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_COVERED:
        raise BadReport(f"A list of at most {MAX_COVERED:,} names.", pointer=at)
    for index, name in enumerate(value):
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_COVERED_NAME:
            raise BadReport(f"A name of 1 to {MAX_COVERED_NAME} letters.", pointer=f"{at}/{index}")
    return frozenset(value)


def _read_issue(row: object, grader: Grader, at: str) -> ReadIssue:
    body = _object(row, at, _ISSUE_FIELDS, required=("kind", "severity", "message"))
    kind = _member(IssueKind, body, "kind", at)
    message = _text(body, "message", at, MAX_MESSAGE)
    locator = _text(body, "locator", at, MAX_LOCATOR)
    detail = _mapping(body, "detail", at)
    source = _member(Grader, body, "source", at, default=grader)
    facts = IssueFacts(
        kind=kind,
        severity=_member(Severity, body, "severity", at),
        confidence=_member(Confidence, body, "confidence", at, default=Confidence.HIGH),
        source=source,
        # A fingerprint that a client sends is passed over: identity is the server's to give.
        fingerprint=fingerprint(
            source=source, kind=kind, message=message, locator=locator, detail=detail
        ),
        message=message,
        locator=locator,
    )
    return ReadIssue(facts, _flag(body, "locator_precise", at), detail)


def _object(
    value: object, at: str, known: frozenset[str], *, required: tuple[str, ...]
) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadReport("This is a JSON object.", pointer=at)
    for name in value:
        if name not in known:
            allowed = ", ".join(sorted(known))
            pointer = f"{at}/{strict_json.escape_pointer(str(name))}"
            raise BadReport(f"There is no field {name!r}; there are {allowed}.", pointer=pointer)
    for name in required:
        if name not in value:
            raise BadReport(f"{name} is missing.", pointer=f"{at}/{name}")
    return value


def _member[E: StrEnum](
    kind: type[E], body: Mapping[str, Any], name: str, at: str, default: E | None = None
) -> E:
    value = body.get(name)
    if value is None and default is not None:
        return default
    for member in kind:
        if member.value == value:
            return member
    allowed = ", ".join(member.value for member in kind)
    raise BadReport(f"{name} is one of {allowed}.", pointer=f"{at}/{name}")


def _text(body: Mapping[str, Any], name: str, at: str, limit: int, default: str = "") -> str:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > limit:
        raise BadReport(f"{name} is text of at most {limit} characters.", pointer=f"{at}/{name}")
    return value


def _flag(body: Mapping[str, Any], name: str, at: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise BadReport(f"{name} is true or false.", pointer=f"{at}/{name}")
    return value


def _mapping(body: Mapping[str, Any], name: str, at: str) -> dict[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadReport(f"{name} is a JSON object.", pointer=f"{at}/{name}")
    return dict(value)


def _read_head(value: object) -> bytes:
    if not isinstance(value, str) or not _HEAD.fullmatch(value):
        detail = "head_digest is that of the graded head, as 64 lower-case hex digits."
        raise BadReport(detail, pointer="/head_digest")
    return bytes.fromhex(value)


def _read_cost(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadReport("cost_usd is a number, or null where unknown.", pointer="/cost_usd")
    if not 0 <= value <= MAX_COST_USD:
        raise BadReport(f"cost_usd is from 0 to {MAX_COST_USD}.", pointer="/cost_usd")
    return Decimal(str(value)).quantize(Decimal("0.000001"))


def _read_elapsed(value: object) -> int | None:
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= MAX_ELAPSED_MS:  # type: ignore[operator]
        raise BadReport("elapsed_ms is a count of milliseconds.", pointer="/elapsed_ms")
    return round(value)  # type: ignore[call-overload,no-any-return]


def _read_names(value: object, at: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_NAMES:
        raise BadReport(f"A list of at most {MAX_NAMES} names.", pointer=at)
    for index, name in enumerate(value):
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise BadReport(f"A name of at most {MAX_NAME} letters.", pointer=f"{at}/{index}")
    return list(value)


def _read_artifacts(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > MAX_NAMES:
        raise BadReport(f"artifacts has at most {MAX_NAMES} names.", pointer="/artifacts")
    for name, reference in value.items():
        if not isinstance(reference, str) or len(reference) > MAX_LOCATOR:
            pointer = f"/artifacts/{strict_json.escape_pointer(str(name))}"
            raise BadReport("An artifact is named by a text reference.", pointer=pointer)
    return dict(value)


def _read_receipt(value: object) -> str:
    """The envelope as text; an object is written as compact JSON."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_RECEIPT:
        detail = f"receipt is a DSSE envelope of at most {MAX_RECEIPT} characters, or absent."
        raise BadReport(detail, pointer="/receipt")
    return value
