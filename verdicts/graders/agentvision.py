"""AgentVision: one report a sense, and what it perceived.

Which grader speaks, and so how far it is trusted, comes from each issue's `source`; `backend` is
an open string, and provenance only. Whether it progressed or is stuck is a hint: Verel works that
out itself.
"""

from typing import Annotated, Any, Final

import msgspec

from verdicts.domain.terms import (
    GATING_SEVERITY,
    Confidence,
    Grader,
    IssueKind,
    Severity,
    Verdict,
)
from verdicts.graders.decoding import Whole, decode
from verdicts.graders.printed import (
    MAX_ELAPSED_MS,
    Percept,
    Printed,
    PrintedIssue,
    PrintedReport,
    Reading,
    clean,
    clean_word,
    name_fault,
)
from verel_site.kit import strict_json
from verel_site.kit.refusals import Refusal

TOOL: Final = "agentvision"
MAX_DETAIL: Final = 16_000
MAX_SIGNATURE: Final = 200
# What it has looked for from its first version on; one that is gone is a blind spot.
CLASSIC: Final = ("contrast", "overflow", "broken_image", "error_text", "typo", "blank", "other")
_NEWER: Final = (
    "clipped",
    "overlap",
    "layout",
    "missing_element",
    "intent_mismatch",
)
# Which sense sees what, where no model judged.
_DOM_KINDS: Final = frozenset({"contrast", "overflow", "broken_image", "error_text", "clipped"})
_OCR_KINDS: Final = frozenset({"typo"})
_MODELS: Final = frozenset({"llm", "vlm", "model", "semantic"})
_SENSES: Final = frozenset({Grader.DOM, Grader.OCR, Grader.CV, Grader.VISION})

Number = Annotated[float, msgspec.Meta(ge=-(2.0**40), le=2.0**40)]


class _Box(msgspec.Struct):
    x: Number
    y: Number
    width: Number
    height: Number


class _Row(msgspec.Struct):
    kind: str
    severity: str
    message: str
    source: str | None = None
    confidence: str | None = None
    bbox: _Box | None = None
    bbox_precise: bool = False
    detail_json: str | None = None


class _Viewport(msgspec.Struct):
    width: Whole
    height: Whole


class _Report(msgspec.Struct):
    verdict: str
    issues: list[_Row]
    summary: str = ""
    backend: str = ""
    model: str | None = None
    elapsed_ms: Annotated[float, msgspec.Meta(ge=0, le=MAX_ELAPSED_MS)] | None = None
    cost_usd: Annotated[float, msgspec.Meta(ge=0, le=10_000_000)] | None = None
    capabilities: list[str] = []
    viewport: _Viewport | None = None
    device_scale: Number | None = None
    image_path: str | None = None
    ssim: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
    changed_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    progressed: bool | None = None
    stuck: bool | None = None


class _Wrapped(msgspec.Struct):
    report: _Report
    signature: list[list[str]] = []
    page: str = ""
    version: str = msgspec.field(name="agentvision", default="")


class _Peek(msgspec.Struct):
    report: msgspec.Raw = msgspec.Raw()


def read_agentvision(raw: bytes, reading: Reading) -> Printed:
    """A report for every sense that found something, and for every one that looked."""
    wrapped = bytes(decode(raw, _Peek).report) not in (b"", b"null")
    document = decode(raw, _Wrapped) if wrapped else _Wrapped(decode(raw, _Report))
    told = document.report
    issues: dict[Grader, list[PrintedIssue]] = {sense: [] for sense in _looked(told, reading)}
    for row in told.issues:
        source = _sense_of(row.source)
        issues.setdefault(source, []).append(_issue(row, source))
    for fault in _faults(told, issues):
        issues[Grader.VISION] = [*issues.get(Grader.VISION, ()), fault]
    reports = tuple(
        _report(document, sense, issues[sense], reading)
        for sense in sorted(issues, key=list(Grader).index)
    )
    return Printed(reports, tuple(_percept(document, report.grader) for report in reports))


def _looked(told: _Report, reading: Reading) -> set[Grader]:
    """The senses whose silence counts. Those of a model's report are unknown, so it speaks for
    `vision` alone, unless the importer names them."""
    named = {sense for sense in reading.senses if sense in _SENSES}
    seen = {_sense_of(row.source) for row in told.issues}
    if named:
        return named | seen
    if told.model:
        return {Grader.VISION} | seen
    able = set(told.capabilities)
    silent = [
        sense
        for sense, kinds in ((Grader.DOM, _DOM_KINDS), (Grader.OCR, _OCR_KINDS))
        if able & kinds
    ]
    return seen | set(silent) or {Grader.VISION}


def _sense_of(source: str | None) -> Grader:
    """An unknown source is `other`: what it says is not clamped, so it can shut and not open."""
    word = (source or "").lower()
    if word in _MODELS:
        return Grader.VISION
    return next((grader for grader in Grader if grader.value == word), Grader.OTHER)


def _issue(row: _Row, source: Grader) -> PrintedIssue:
    known = {kind.value: kind for kind in IssueKind}
    severities = {severity.value: severity for severity in Severity}
    confidences = {confidence.value: confidence for confidence in Confidence}
    box = row.bbox
    detail = _detail(row.detail_json)
    if row.kind not in known:
        detail["kind"] = clean_word(row.kind)
    return PrintedIssue(
        kind=known.get(row.kind, IssueKind.OTHER),
        severity=severities.get(row.severity, GATING_SEVERITY),
        message=clean(row.message),
        locator=f"{box.x:.0f},{box.y:.0f} {box.width:.0f}×{box.height:.0f}" if box else "",
        locator_precise=row.bbox_precise and box is not None,
        confidence=confidences.get(row.confidence or "", Confidence.HIGH),
        source=source,
        detail=detail,
    )


def _detail(text: str | None) -> dict[str, Any]:
    """What stands as JSON inside the JSON; kept as text where it can not be read."""
    if not text:
        return {}
    try:
        value = strict_json.decode(text[: MAX_DETAIL + 1].encode("utf-8", "replace"), max_depth=16)
    except Refusal:
        return {"unread": clean(text)}
    return value if isinstance(value, dict) else {"value": value}


def _faults(told: _Report, issues: dict[Grader, list[PrintedIssue]]) -> list[PrintedIssue]:
    found = [issue for listed in issues.values() for issue in listed]
    faults = []
    if told.verdict == Verdict.FAIL and not any(
        issue.severity.rank >= GATING_SEVERITY.rank for issue in found
    ):
        faults.append(name_fault(Grader.VISION, "verdict", "It says fail, and lists no error"))
    blind = [kind for kind in CLASSIC if kind not in told.capabilities]
    if blind:
        message = f"It no longer says that it looks for {', '.join(blind)}"
        faults.append(name_fault(Grader.VISION, "blind", message, severity=Severity.WARNING))
    return faults


def _report(
    document: _Wrapped, sense: Grader, issues: list[PrintedIssue], reading: Reading
) -> PrintedReport:
    told = document.report
    fresh = sorted({*told.capabilities} - {*CLASSIC, *_NEWER})
    trace = {
        "backend": clean_word(told.backend),
        "page": clean(document.page, 200),
        "version": clean_word(document.version),
        "capability_drift": [clean_word(name) for name in fresh[:50]],
        "hints": {"progressed": told.progressed, "stuck": told.stuck},
    }
    image = clean(told.image_path or "", 1_000)
    return PrintedReport(
        sense,
        reading.tool or TOOL,
        clean(told.summary),
        issues,
        verdict=None,
        capabilities=tuple(clean_word(name) for name in told.capabilities[:200]),
        model=clean_word(told.model),
        cost_usd=told.cost_usd,
        elapsed_ms=None if told.elapsed_ms is None else round(told.elapsed_ms),
        artifacts={"image": image} if image else {},
        trace={name: value for name, value in trace.items() if value},
    )


def _percept(document: _Wrapped, sense: Grader) -> Percept:
    told = document.report
    view = told.viewport
    viewport = {"width": view.width, "height": view.height} if view else {}
    if told.device_scale is not None and view:
        viewport["scale"] = told.device_scale  # type: ignore[assignment]
    return Percept(
        sense=sense.value,
        viewport=viewport,
        image=clean(told.image_path or "", 1_000),
        signature=[
            [clean(part, 500) for part in pair[:4]] for pair in document.signature[:MAX_SIGNATURE]
        ],
        ssim=told.ssim,
        changed_ratio=told.changed_ratio,
    )
