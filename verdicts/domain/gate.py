"""The gate: reports about one head in, one decision out. Pure, total, and distrustful.

What counts, for each tool of a grader: its latest report that ran, and any errored one that came
after it (findings of a crash may shut the gate, never open it). One tool's word never takes the
place of another's: a clean pyright says nothing about what mypy found. Reports that arrived as one
(equal order) count together. Older reports serve the N-of-M vote of an advisory grader only.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import itemgetter

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
    QUARANTINE_CEILING,
    SEVERITY_RANKS,
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
_ADVICE = "advice"
_QUARANTINE = "in quarantine as flaky"
_WARNING_RANK = Severity.WARNING.rank
_GATING_RANK = GATING_SEVERITY.rank
_rank_of = itemgetter(2)


def clamp(severity: Severity, ceiling: Severity) -> Severity:
    """The severity if its rank is not above the ceiling's, else the ceiling."""
    return severity if severity.rank <= ceiling.rank else ceiling


def effective_severity(issue: IssueFacts, grader: Grader) -> Severity:
    """An issue's severity after clamping.

    Advisory is the report's grader or the issue's own source, whichever is: a judge that labels
    a finding `test` does not become one, and neither does a test that passes on a judge's word.
    """
    return _WEIGHTS[grader in ADVISORY][issue.severity, issue.confidence, issue.source]


def _weigh_word(
    severity: Severity, confidence: Confidence, source: Grader, *, advisory: bool
) -> Severity:
    if advisory or source in ADVISORY or confidence == Confidence.LOW:
        return clamp(severity, ADVISORY_CEILING)
    return severity


# Every case there is, looked up rather than weighed again for each of thousands of issues: for a
# report of a grader that is not advisory, and for one that is.
_WEIGHTS = tuple(
    {
        (severity, confidence, source): _weigh_word(severity, confidence, source, advisory=advisory)
        for severity in Severity
        for confidence in Confidence
        for source in Grader
    }
    for advisory in (False, True)
)


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


def owes_receipt(
    required: RequiredGrader, frozen: frozenset[str], *, receipts_required: bool
) -> bool:
    """Whether the reports of a required grader count by their receipts alone; `frozen` are the
    digests of its frozen suites."""
    return receipts_required or bool(frozen) or required.suite is not None


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
    receipt = report.receipt
    if receipt is None:
        text = f"{grader}: no receipt proves that it ran"
        owed = owes_receipt(required, frozen, receipts_required=receipts_required)
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


# An issue, what it weighs and the rank of that.
type _Finding = tuple[IssueFacts, Severity, int]
# By who found them: a grader, in the order of graders, or a tool of the server's own by its name.
type _Findings = Mapping[str, list[_Finding]]


def _findings(weighed: _Weighed, quarantined: frozenset[str]) -> list[_Finding]:
    """What one tool's reports weigh, clamped, and for an advisory grader after its vote."""
    counted = weighed.counted
    if weighed.grader in ADVISORY:
        counted = _voted(weighed) + weighed.errored
    weights = _WEIGHTS[weighed.grader in ADVISORY]
    found = [
        (issue, severity, SEVERITY_RANKS[severity])
        for report in counted
        for issue in report.issues
        for severity in (weights[issue.severity, issue.confidence, issue.source],)
    ]
    return [_held(finding, quarantined) for finding in found] if quarantined else found


def _held(finding: _Finding, quarantined: frozenset[str]) -> _Finding:
    """A flaky one, in quarantine, warns and does not fail."""
    issue, severity, _ = finding
    if issue.fingerprint not in quarantined:
        return finding
    held = clamp(severity, QUARANTINE_CEILING)
    return issue, held, held.rank


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
        effective_severity(issue, report.grader).rank >= _WARNING_RANK for issue in report.issues
    )


def _disagreements(findings: _Findings, quarantined: frozenset[str]) -> list[Reason]:
    """Precise graders that name one kind at one place and stand on two sides of the gate."""
    by_place: dict[tuple[str, str], dict[Grader, bool]] = {}
    precise = [grader for grader in _ORDER if grader in PRECISE and grader in findings]
    for grader in precise if len(precise) > 1 else ():
        gating, calm = _places(findings[grader], quarantined)
        for place in gating | calm:
            by_place.setdefault(place, {})[grader] = place in gating
    reasons = []
    for (kind, locator), sides in sorted(by_place.items()):
        if len(set(sides.values())) > 1:
            named = " and ".join(side for side in Grader if side in sides)
            text = f"{named} disagree on {kind} at {locator}: this needs a person"
            reasons.append(Reason("disagreement", None, text))
    return reasons


def _places(
    findings: list[_Finding], quarantined: frozenset[str]
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Where a precise grader finds what gates, and what does not; a place may be in both.

    A low-confidence finding contradicts nobody, nor does one in quarantine.
    """
    sides: tuple[set[tuple[str, str]], set[tuple[str, str]]] = set(), set()
    for issue, _, rank in findings:
        if (
            issue.locator
            and issue.source in PRECISE
            and issue.confidence != Confidence.LOW
            and issue.fingerprint not in quarantined
        ):
            sides[rank < _GATING_RANK].add((issue.kind, issue.locator))
    return sides


def _issue_reasons(findings: _Findings, quarantined: frozenset[str]) -> list[Reason]:
    reasons = []
    for speaker, found in findings.items():
        told = {word: f"{speaker}: {word}, " for word in (*Severity, _ADVICE, _QUARANTINE)}
        for issue, severity, rank in found:
            if rank < _WARNING_RANK:
                continue
            word = severity if severity == issue.severity else _ADVICE
            if quarantined and issue.fingerprint in quarantined:
                word = _QUARANTINE
            place = f" at {issue.locator}" if issue.locator else ""
            # Joined, since a text that is formatted asks every word for its format first.
            parts = (told[word], issue.kind, place, ": ", issue.message)
            reasons.append(Reason("issue", _grader_of(speaker), "".join(parts)))
    return reasons


def _grader_of(speaker: str) -> Grader:
    """The server's own tools are none of the graders that have a name."""
    return speaker if isinstance(speaker, Grader) else Grader.OTHER


def _attributions(findings: _Findings) -> dict[str, Grader]:
    """Each fingerprint that warned or failed, and the grader that gave it its highest severity."""
    best: dict[str, int] = {}
    by: dict[str, Grader] = {}
    for speaker, found in findings.items():
        grader = _grader_of(speaker)
        for issue, _, rank in found:
            # Of equals the first in the order of graders.
            if rank >= _WARNING_RANK and rank > best.get(issue.fingerprint, 0):
                best[issue.fingerprint] = rank
                by[issue.fingerprint] = grader
    return dict(sorted(by.items()))


def _worst(findings: Iterable[_Finding]) -> Verdict:
    rank = max((rank for _, _, rank in findings), default=-1)
    if rank >= _GATING_RANK:
        return Verdict.FAIL
    return Verdict.WARN if rank >= _WARNING_RANK else Verdict.PASS


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
    worst = max(findings, key=_rank_of, default=None)
    if worst is None or verdict == Verdict.PASS:
        why = next((report.summary for report in ran if report.summary), "0 findings")
    else:
        count = sum([rank >= _WARNING_RANK for _, _, rank in findings])
        message = worst[0].message
        why = message if count == 1 else f"{count} findings: {message}"
    return stand(verdict, f"advice: {why}" if grader in ADVISORY else why, proof)


def _standing_of_server(name: str, findings: list[_Finding]) -> Standing:
    worst = max(findings, key=_rank_of, default=None)
    more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
    why = f"{worst[0].message}{more}" if worst else "0 findings"
    return Standing(Grader.OTHER, _worst(findings), False, why, "", name=name)


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
    quarantined: frozenset[str] = frozenset(),
) -> Decision:
    """One decision about one head, from all the reports on it. Never raises; order of the reports
    matters by their `order` alone.

    - `frozen_suites`: for each grader the digests of its frozen suites.
    - `changed_files`: every one must be among a required grader's covered files.
    - `inputs_digest`: what receipts must be for (the head digest in hex).
    - `receipts_required`: whether a required grader without a frozen suite owes a receipt too.
    - `advisory_window`: M, of which a majority must warn before an advisory grader does.
    - `stale_graders`: those that graded an older head; only for the checklist.
    - `quarantined`: fingerprints known to be flaky: an error of theirs is a warning here. What
      receipts sign is compared as it was reported.

    A decision has a reason for every check that failed and every issue that warned. Nothing
    required and nothing that ran is `warn`, with `graded` False.
    """
    wanted = sorted(set(required), key=lambda item: (_ORDER[item.grader], item.suite or ""))
    weighed = _weigh_all([one for one in reports if not one.by_server], advisory_window)
    served = _weigh_all([one for one in reports if one.by_server], advisory_window)
    unproven: dict[Grader, list[Reason]] = {}
    for item in wanted:
        ran = (report for tool in weighed.get(item.grader, ()) for report in tool.ran)
        for report in ran:
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
    findings: dict[str, list[_Finding]] = {
        grader: [finding for tool in tools for finding in _findings(tool, quarantined)]
        for grader, tools in weighed.items()
    }
    for tool in (tool for tools in served.values() for tool in tools):
        findings[tool.tool] = _findings(tool, quarantined)
    return _reduced(wanted, weighed, findings, unproven, stale_graders, quarantined)


def _reduced(
    wanted: list[RequiredGrader],
    weighed: dict[Grader, tuple[_Weighed, ...]],
    findings: _Findings,
    unproven: dict[Grader, list[Reason]],
    stale_graders: frozenset[Grader],
    quarantined: frozenset[str],
) -> Decision:
    failures = [
        *_absent_reasons(wanted, weighed),
        *(reason for reasons in unproven.values() for reason in reasons),
        *_disagreements(findings, quarantined),
    ]
    graded = any(tool.ran for tools in weighed.values() for tool in tools)
    verdict = Verdict.FAIL if failures else _worst(chain.from_iterable(findings.values()))
    ungraded = [] if graded else [Reason("nothing_graded", None, "nothing graded this head")]
    if ungraded and verdict == Verdict.PASS:
        verdict = Verdict.WARN
    asked = {item.grader for item in wanted}
    return Decision(
        verdict=verdict,
        graded=graded,
        reasons=tuple(
            dict.fromkeys([*failures, *_issue_reasons(findings, quarantined), *ungraded])
        ),
        attributions=_attributions(findings),
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
        )
        + tuple(
            _standing_of_server(speaker, found)
            for speaker, found in findings.items()
            if not isinstance(speaker, Grader)
        ),
    )


def _weigh_all(
    reports: Collection[ReportFacts], advisory_window: int
) -> dict[Grader, tuple[_Weighed, ...]]:
    by_tool: dict[tuple[Grader, str], list[ReportFacts]] = {}
    for report in _ranked(reports):
        by_tool.setdefault((report.grader, report.tool), []).append(report)
    weighed: dict[Grader, tuple[_Weighed, ...]] = {}
    for (grader, tool), told in by_tool.items():
        item = _weigh(grader, tool, told, advisory_window)
        weighed[grader] = (*weighed.get(grader, ()), item)
    return weighed


def counted_reports(
    reports: Collection[ReportFacts], advisory_window: int = 1
) -> list[ReportFacts]:
    """Those whose findings a decision weighs, but for the vote of an advisory grader."""
    weighed = _weigh_all(reports, advisory_window)
    return [report for tools in weighed.values() for tool in tools for report in tool.counted]


def _ranked(reports: Collection[ReportFacts]) -> list[ReportFacts]:
    """By grader, tool and order; those that arrived as one by what they say, whatever the order in
    which they were handed in."""

    def place(report: ReportFacts) -> tuple[int, str, int]:
        return _ORDER[report.grader], report.tool, report.order

    ranked = sorted(reports, key=place)
    if any(place(one) == place(other) for one, other in pairwise(ranked)):
        ranked.sort(key=lambda report: (place(report), repr(report)))
    return ranked
