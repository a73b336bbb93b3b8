"""The gate: reports about one head in, one decision out. Pure, total, and distrustful.

What counts, for each tool of a grader: its latest report that ran, and any errored one that came
after it (findings of a crash may shut the gate, never open it). One tool's word never takes the
place of another's: a clean pyright says nothing about what mypy found. Reports that arrived as one
(equal order) count together. Older reports serve the N-of-M vote of an advisory grader only.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from verdicts.domain.facts import (
    Decision,
    IssueFacts,
    Reason,
    ReceiptFacts,
    ReceiptStanding,
    ReportFacts,
    RequiredGrader,
    Standing,
    result_digest,
)
from verdicts.domain.terms import (
    ADVISORY,
    ADVISORY_CEILING,
    GATING_SEVERITY,
    PRECISE,
    Confidence,
    Grader,
    Severity,
    Verdict,
)

RECEIPT_REFUSALS = {
    ReceiptStanding.FORGED: "its receipt is forged: the signature or the nonce does not hold",
    ReceiptStanding.REPLAYED: "its receipt is a replay: the nonce was used before",
    ReceiptStanding.WRONG_SUBJECT: "its receipt was issued for another branch, head or grader",
    ReceiptStanding.UNKNOWN_RUNNER: "its receipt is signed by a runner that is not registered",
    ReceiptStanding.REVOKED_RUNNER: "its receipt is signed by a runner that was revoked",
    ReceiptStanding.EXPIRED: "its receipt was issued outside the time in which its runner is valid",
}

_ORDER = {grader: position for position, grader in enumerate(Grader)}
_NAMED_FILES = 3


def clamp(severity: Severity, ceiling: Severity) -> Severity:
    """The severity if its rank is not above the ceiling's, else the ceiling."""
    return severity if severity.rank <= ceiling.rank else ceiling


def effective_severity(issue: IssueFacts, grader: Grader) -> Severity:
    """An issue's severity after clamping.

    Advisory is the report's grader or the issue's own source, whichever is: a judge that labels
    a finding `test` does not become one, and neither does a test that passes on a judge's word.
    """
    advisory = grader in ADVISORY or issue.source in ADVISORY
    if advisory or issue.confidence == Confidence.LOW:
        return clamp(issue.severity, ADVISORY_CEILING)
    return issue.severity


@dataclass(frozen=True, slots=True)
class _Weighed:
    """The reports of one tool of one grader, sorted out."""

    grader: Grader
    tool: str
    ran: tuple[ReportFacts, ...]
    errored: tuple[ReportFacts, ...]
    window: tuple[ReportFacts, ...]

    @property
    def counted(self) -> tuple[ReportFacts, ...]:
        return self.ran + self.errored

    @property
    def name(self) -> str:
        return f"{self.grader} ({self.tool})" if self.tool else self.grader.value


def _weigh(grader: Grader, tool: str, reports: list[ReportFacts], advisory_window: int) -> _Weighed:
    ran = [report for report in reports if not report.errored]
    last = max((report.order for report in ran), default=None)
    orders = sorted({report.order for report in ran}, reverse=True)[: max(advisory_window, 1)]
    return _Weighed(
        grader=grader,
        tool=tool,
        ran=tuple(report for report in ran if report.order == last),
        errored=tuple(
            report for report in reports if report.errored and (last is None or report.order > last)
        ),
        window=tuple(report for report in ran if report.order in orders),
    )


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _receipt_reasons(
    report: ReportFacts,
    *,
    required: RequiredGrader,
    frozen: frozenset[str],
    receipts_required: bool,
    changed_files: frozenset[str],
    inputs_digest: str,
) -> list[Reason]:
    """Why a required grader's report is not proven, if so.

    A grader with a frozen suite always owes a receipt. One without owes it under
    `receipts_required`; its receipt then proves runner, inputs, coverage and result, and there is
    no suite to compare. A receipt that is present is checked in full even where none is owed.
    """
    grader = report.grader
    owed = receipts_required or bool(frozen) or required.suite is not None
    receipt = report.receipt
    if receipt is None:
        text = f"{grader}: no receipt proves that it ran"
        return [Reason("receipt", grader, text)] if owed else []
    if receipt.standing != ReceiptStanding.VALID:
        return [Reason("receipt", grader, f"{grader}: {RECEIPT_REFUSALS[receipt.standing]}")]
    return [
        *_suite_reasons(grader, receipt, required.suite, frozen),
        *_content_reasons(report, receipt, changed_files, inputs_digest),
    ]


def _suite_reasons(
    grader: Grader, receipt: ReceiptFacts, named: str | None, frozen: frozenset[str]
) -> list[Reason]:
    if named is not None and named not in frozen:
        return [Reason("suite", grader, f"{grader}: the suite that the policy names is not frozen")]
    accepted = frozen if named is None else frozenset({named})
    if accepted and receipt.suite_digest not in accepted:
        return [Reason("suite", grader, f"{grader}: it ran another suite than the frozen one")]
    return []


def _content_reasons(
    report: ReportFacts, receipt: ReceiptFacts, changed_files: frozenset[str], inputs_digest: str
) -> list[Reason]:
    grader = report.grader
    reasons = []
    if receipt.inputs_digest != inputs_digest:
        text = f"{grader}: its receipt is for other inputs than this branch's head"
        reasons.append(Reason("inputs", grader, text))
    missed = sorted(changed_files - receipt.covered_files)
    if missed:
        named = ", ".join(missed[:_NAMED_FILES])
        more = f" and {len(missed) - _NAMED_FILES} more" if len(missed) > _NAMED_FILES else ""
        text = f"{grader}: it did not look at {named}{more}, which this branch changed"
        reasons.append(Reason("coverage", grader, text))
    digest = result_digest(verdict=report.verdict, errored=report.errored, issues=report.issues)
    if receipt.result_digest != digest:
        text = f"{grader}: its report is not the result that the runner signed"
        reasons.append(Reason("result", grader, text))
    return reasons


@dataclass(frozen=True, slots=True)
class _Finding:
    grader: Grader
    issue: IssueFacts
    severity: Severity


def _findings(weighed: _Weighed) -> list[_Finding]:
    """What one grader's reports weigh, clamped, and for an advisory grader after its vote."""
    counted = weighed.counted
    if weighed.grader in ADVISORY:
        counted = _voted(weighed) + weighed.errored
    return [
        _Finding(weighed.grader, issue, effective_severity(issue, weighed.grader))
        for report in counted
        for issue in report.issues
    ]


def _voted(weighed: _Weighed) -> tuple[ReportFacts, ...]:
    """The latest advisory runs that warn, if more than half of the window does; else none.

    The window is the last M runs on this head, or as many as there are.
    """
    warned = [report for report in weighed.window if _warns(report)]
    if 2 * len(warned) <= len(weighed.window):
        return ()
    last = max(report.order for report in warned)
    return tuple(report for report in warned if report.order == last)


def _warns(report: ReportFacts) -> bool:
    return any(
        effective_severity(issue, report.grader).rank >= Severity.WARNING.rank
        for issue in report.issues
    )


def _disagreements(findings: Iterable[_Finding]) -> list[Reason]:
    """Precise graders that name one kind at one place and stand on two sides of the gate."""
    by_place: dict[tuple[str, str], dict[Grader, bool]] = {}
    for finding in findings:
        issue = finding.issue
        # A low-confidence finding contradicts nobody.
        if not issue.locator or finding.grader not in PRECISE or issue.source not in PRECISE:
            continue
        if issue.confidence == Confidence.LOW:
            continue
        sides = by_place.setdefault((issue.kind, issue.locator), {})
        gates = finding.severity.rank >= GATING_SEVERITY.rank
        sides[finding.grader] = sides.get(finding.grader, False) or gates
    reasons = []
    for (kind, locator), sides in sorted(by_place.items()):
        if len(set(sides.values())) > 1:
            named = " and ".join(side for side in Grader if side in sides)
            text = f"{named} disagree on {kind} at {locator}: this needs a person"
            reasons.append(Reason("disagreement", None, text))
    return reasons


def _issue_reasons(findings: Iterable[_Finding]) -> list[Reason]:
    reasons = []
    for finding in findings:
        if finding.severity.rank < Severity.WARNING.rank:
            continue
        issue = finding.issue
        place = f" at {issue.locator}" if issue.locator else ""
        word = finding.severity if finding.severity == issue.severity else "advice"
        text = f"{finding.grader}: {word}, {issue.kind}{place}: {issue.message}"
        reasons.append(Reason("issue", finding.grader, text))
    return reasons


def _attributions(findings: Iterable[_Finding]) -> dict[str, Grader]:
    """Each fingerprint that warned or failed, and the grader that gave it its highest severity."""
    best: dict[str, tuple[int, int, Grader]] = {}
    for finding in findings:
        if finding.severity.rank < Severity.WARNING.rank:
            continue
        claim = (-finding.severity.rank, _ORDER[finding.grader], finding.grader)
        key = finding.issue.fingerprint
        best[key] = min(best.get(key, claim), claim)
    return {key: best[key][2] for key in sorted(best)}


def _worst(findings: Iterable[_Finding]) -> Verdict:
    rank = max((finding.severity.rank for finding in findings), default=-1)
    if rank >= GATING_SEVERITY.rank:
        return Verdict.FAIL
    return Verdict.WARN if rank >= Severity.WARNING.rank else Verdict.PASS


def _standing(
    grader: Grader,
    weighed: tuple[_Weighed, ...],
    findings: list[_Finding],
    unproven: list[Reason],
    *,
    required: bool,
    stale: bool,
) -> Standing:
    def stand(verdict: str, why: str, proof: str = "") -> Standing:
        return Standing(grader, verdict, grader in ADVISORY, why, proof, required)

    if not weighed:
        if stale:
            return stand("stale", "graded an older head")
        return stand("pending", "no report on this head")
    ran = [report for item in weighed for report in item.ran]
    broken = [item for item in weighed if not item.ran]
    if broken and (required or not ran):
        named = " and ".join(item.tool for item in broken if item.tool)
        return stand("error", f"{named or 'it'} did not run")
    proof = next((_proof(report) for report in ran if report.receipt), "")
    if unproven:
        return stand("fail", "; ".join(reason.text for reason in unproven), proof)
    verdict = _worst(findings)
    worst = max(findings, key=lambda finding: finding.severity.rank, default=None)
    if worst is None or verdict == Verdict.PASS:
        why = next((report.summary for report in ran if report.summary), "0 findings")
    else:
        count = sum(finding.severity.rank >= Severity.WARNING.rank for finding in findings)
        why = worst.issue.message if count == 1 else f"{count} findings: {worst.issue.message}"
    return stand(verdict, f"advice: {why}" if grader in ADVISORY else why, proof)


def _proof(report: ReportFacts) -> str:
    receipt = report.receipt
    if receipt is None:
        return ""
    if receipt.standing != ReceiptStanding.VALID:
        return receipt.standing.replace("_", " ")
    return f"{receipt.runner} ed25519".strip()


def _absent_reasons(
    required: Iterable[RequiredGrader], weighed: Mapping[Grader, tuple[_Weighed, ...]]
) -> list[Reason]:
    reasons = []
    for wanted in required:
        grader = wanted.grader
        if grader not in weighed:
            text = f"{grader}: required, and it has not reported on this head"
            reasons.append(Reason("required", grader, text))
        # A tool that spoke and never ran is missed even where another of this grader ran.
        for item in weighed.get(grader, ()):
            if not item.ran:
                text = f"{item.name}: required, and it did not run: its every report errored"
                reasons.append(Reason("required", grader, text))
    return reasons


def decide_gate(
    *,
    reports: Collection[ReportFacts],
    required: Collection[RequiredGrader],
    frozen_suites: Mapping[Grader, frozenset[str]],
    changed_files: frozenset[str],
    inputs_digest: str,
    receipts_required: bool = True,
    advisory_window: int = 1,
    stale_graders: frozenset[Grader] = frozenset(),
) -> Decision:
    """One decision about one head, from all the reports on it. Never raises; order of the reports
    matters by their `order` alone.

    - `frozen_suites`: for each grader the digests of its frozen suites.
    - `changed_files`: every one must be among a required grader's covered files.
    - `inputs_digest`: what receipts must be for (the head digest in hex).
    - `receipts_required`: whether a required grader without a frozen suite owes a receipt too.
    - `advisory_window`: M, of which a majority must warn before an advisory grader does.
    - `stale_graders`: those that graded an older head; only for the checklist.

    A decision has a reason for every check that failed and every issue that warned. Nothing
    required and nothing that ran is `warn`, with `graded` False.
    """
    wanted = sorted(set(required), key=lambda item: (_ORDER[item.grader], item.suite or ""))
    weighed = _weigh_all(reports, advisory_window)
    unproven: dict[Grader, list[Reason]] = {}
    for item in wanted:
        for report in (report for tool in weighed.get(item.grader, ()) for report in tool.ran):
            unproven.setdefault(item.grader, []).extend(
                _receipt_reasons(
                    report,
                    required=item,
                    frozen=frozen_suites.get(item.grader, frozenset()),
                    receipts_required=receipts_required,
                    changed_files=changed_files,
                    inputs_digest=inputs_digest,
                )
            )
    findings = {
        grader: [finding for tool in tools for finding in _findings(tool)]
        for grader, tools in weighed.items()
    }
    return _reduced(wanted, weighed, findings, unproven, stale_graders)


def _reduced(
    wanted: list[RequiredGrader],
    weighed: dict[Grader, tuple[_Weighed, ...]],
    findings: dict[Grader, list[_Finding]],
    unproven: dict[Grader, list[Reason]],
    stale_graders: frozenset[Grader],
) -> Decision:
    everything = [finding for found in findings.values() for finding in found]
    failures = [
        *_absent_reasons(wanted, weighed),
        *(reason for reasons in unproven.values() for reason in reasons),
        *_disagreements(everything),
    ]
    graded = any(tool.ran for tools in weighed.values() for tool in tools)
    verdict = Verdict.FAIL if failures else _worst(everything)
    ungraded = [] if graded else [Reason("nothing_graded", None, "nothing graded this head")]
    if ungraded and verdict == Verdict.PASS:
        verdict = Verdict.WARN
    asked = {item.grader for item in wanted}
    return Decision(
        verdict=verdict,
        graded=graded,
        reasons=tuple(dict.fromkeys([*failures, *_issue_reasons(everything), *ungraded])),
        attributions=_attributions(everything),
        standings=tuple(
            _standing(
                grader,
                weighed.get(grader, ()),
                findings.get(grader, []),
                unproven.get(grader, []),
                required=grader in asked,
                stale=grader in stale_graders,
            )
            for grader in sorted({*asked, *weighed, *stale_graders}, key=_ORDER.__getitem__)
        ),
    )


def _weigh_all(
    reports: Collection[ReportFacts], advisory_window: int
) -> dict[Grader, tuple[_Weighed, ...]]:
    by_tool: dict[tuple[Grader, str], list[ReportFacts]] = {}
    ranked = sorted(
        reports, key=lambda item: (_ORDER[item.grader], item.tool, item.order, repr(item))
    )
    for report in ranked:
        by_tool.setdefault((report.grader, report.tool), []).append(report)
    weighed: dict[Grader, tuple[_Weighed, ...]] = {}
    for (grader, tool), told in by_tool.items():
        item = _weigh(grader, tool, told, advisory_window)
        weighed[grader] = (*weighed.get(grader, ()), item)
    return weighed
