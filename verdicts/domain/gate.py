"""The gate: reports about one head in, one decision out. Pure, total, and distrustful.

What counts, for each tool of a grader: its latest report that ran, and any errored one that came
after it (findings of a crash may shut the gate, never open it). One tool's word never takes the
place of another's: a clean pyright says nothing about what mypy found. Reports that arrived as one
(equal order) count together. Older reports serve the N-of-M vote of an advisory grader only.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from verdicts.domain.coverage import LeftOut, Unlooked
from verdicts.domain.facts import (
    Decision,
    IssueFacts,
    Reason,
    ReceiptStanding,
    ReportFacts,
    RequiredGrader,
    Standing,
    Told,
)
from verdicts.domain.proof import name_few, receipt_reasons
from verdicts.domain.terms import (
    ADVISORY,
    ADVISORY_CEILING,
    GATING_SEVERITY,
    PRECISE,
    QUARANTINE_CEILING,
    Confidence,
    Grader,
    IssueKind,
    Severity,
    Verdict,
)

_ORDER = {grader: position for position, grader in enumerate(Grader)}
_ADVICE = "advice"
_QUARANTINE = "in quarantine as flaky"
_WARNING_RANK = Severity.WARNING.rank
_GATING_RANK = GATING_SEVERITY.rank


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


class _Weighed(NamedTuple):
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
        return _name(self.grader, self.tool)


def _name(grader: Grader, tool: str) -> str:
    return f"{grader} ({tool})" if tool else grader.value


def _weigh(grader: Grader, tool: str, reports: list[ReportFacts], advisory_window: int) -> _Weighed:
    ran = [report for report in reports if not report.errored]
    if len(ran) == len(reports) == 1:
        return _Weighed(grader, tool, ran=(ran[0],), errored=(), window=(ran[0],))
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


@dataclass(frozen=True, slots=True)
class _Alike:
    """The issues of one speaker that weigh alike, in the order in which they were told: of one
    kind, severity, confidence and source, and all in quarantine or none.

    `rank` is of the severity after clamping, `opening` how a reason begins; `contradicts`: whether
    they may contradict what another precise grader finds.
    """

    kind: IssueKind
    rank: int
    opening: str
    contradicts: bool
    issues: list[IssueFacts] = field(default_factory=list)


class _Sorted(dict[tuple[Severity, Confidence, Grader, IssueKind, bool], list[IssueFacts]]):
    """Sorts issues by all that their weight depends on, which is then worked out once for each case
    that occurs rather than for each of thousands of issues.

    `speaker` is a grader, or a tool of the server's own by its name. What is in quarantine warns
    and does not fail.
    """

    def __init__(self, speaker: str, *, advisory: bool) -> None:
        self._speaker, self._advisory = speaker, advisory
        self.groups: list[_Alike] = []

    def __missing__(
        self, key: tuple[Severity, Confidence, Grader, IssueKind, bool]
    ) -> list[IssueFacts]:
        severity, confidence, source, kind, held = key
        weighs = _WEIGHTS[self._advisory][severity, confidence, source]
        word = weighs if weighs == severity else _ADVICE
        if held:
            weighs, word = clamp(weighs, QUARANTINE_CEILING), _QUARANTINE
        precise = source in PRECISE and confidence != Confidence.LOW
        opening = f"{self._speaker}: {word}, {kind}"
        alike = _Alike(kind, weighs.rank, opening, precise and not held)
        self.groups.append(alike)
        self[key] = alike.issues
        return alike.issues


@dataclass(frozen=True, slots=True)
class _Findings:
    """What one speaker found: a grader by all its tools, or one tool of the server's own. `groups`
    stand worst first, equals by their first issue."""

    grader: Grader
    by_server: bool
    groups: list[_Alike]

    @property
    def worst(self) -> int:
        """The highest rank, or -1."""
        return self.groups[0].rank if self.groups else -1

    @property
    def worst_issue(self) -> IssueFacts | None:
        """The first of the worst."""
        return self.groups[0].issues[0] if self.groups else None

    @property
    def told(self) -> list[_Alike]:
        """Those that warn or fail."""
        return [one for one in self.groups if one.rank >= _WARNING_RANK]

    @property
    def warned(self) -> int:
        """How many issues warn or fail."""
        return sum(len(one.issues) for one in self.told)


def _find(
    speaker: str, grader: Grader, tools: Iterable[_Weighed], quarantined: frozenset[str]
) -> _Findings:
    """What a speaker's reports weigh, clamped, and for an advisory grader after its vote."""
    advisory = grader in ADVISORY
    alike = _Sorted(speaker, advisory=advisory)
    for tool in tools:
        for report in _voted(tool) + tool.errored if advisory else tool.counted:
            for one in report.issues:
                held = one.fingerprint in quarantined
                alike[one.severity, one.confidence, one.source, one.kind, held].append(one)
    groups = sorted(alike.groups, key=lambda group: -group.rank)
    return _Findings(grader, speaker is not grader, groups)


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


def _disagreements(findings: Iterable[_Findings]) -> list[Reason]:
    """Precise graders that name one kind at one place and stand on two sides of the gate."""
    precise = [one for one in findings if one.grader in PRECISE and not one.by_server]
    gating = {one.grader: _gating_places(one) for one in precise} if precise[1:] else {}
    disputed = frozenset().union(*gating.values())
    if not disputed:
        return []
    calm = {one.grader: _calm_places(one, disputed) for one in precise}
    reasons = []
    for place in sorted(disputed):
        sides = {grader for grader in calm if place in calm[grader] - gating[grader]}
        if sides:
            sides |= {grader for grader in gating if place in gating[grader]}
            named = " and ".join(side for side in Grader if side in sides)
            text = f"{named} disagree on {place[0]} at {place[1]}: this needs a person"
            reasons.append(Reason("disagreement", None, text))
    return reasons


# Where a precise grader finds what gates, and what does not: a place may be in both. A finding of
# low confidence contradicts nobody, nor does one in quarantine.
def _gating_places(findings: _Findings) -> set[tuple[str, str]]:
    return {
        (group.kind, issue.locator)
        for group in findings.groups
        if group.contradicts and group.rank >= _GATING_RANK
        for issue in group.issues
        if issue.locator
    }


def _calm_places(findings: _Findings, disputed: frozenset[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those among the disputed, which are few, where most findings are elsewhere."""
    places: set[tuple[str, str]] = set()
    for group in findings.groups:
        if group.contradicts and group.rank < _GATING_RANK:
            asked = {locator for kind, locator in disputed if kind == group.kind}
            met = asked.intersection([issue.locator for issue in group.issues]) if asked else ()
            places |= {(group.kind, locator) for locator in met}
    return places


def _issue_told(findings: Iterable[_Findings]) -> list[Told]:
    """Each text once, the worst first; two speakers never share one, since it begins with who
    speaks."""
    told = []
    for one in findings:
        texts = chain.from_iterable(_words(group.opening, group.issues) for group in one.told)
        if once := tuple(dict.fromkeys(texts)):
            told.append(Told("issue", one.grader, once))
    return told


def _words(opening: str, issues: Iterable[IssueFacts]) -> list[str]:
    return [
        f"{opening} at {issue.locator}: {issue.message}"
        if issue.locator
        else f"{opening}: {issue.message}"
        for issue in issues
    ]


def _attributions(findings: Sequence[_Findings]) -> dict[str, Grader]:
    """Each fingerprint that warned or failed, and the grader that gave it its highest severity; of
    equals the first in the order of graders."""
    by: dict[str, Grader] = {}
    told = [(group, one.grader) for one in reversed(findings) for group in one.told]
    for group, grader in sorted(told, key=lambda pair: pair[0].rank):
        by |= dict.fromkeys([issue.fingerprint for issue in group.issues], grader)
    return by


def _verdict_of(rank: int) -> Verdict:
    if rank >= _GATING_RANK:
        return Verdict.FAIL
    return Verdict.WARN if rank >= _WARNING_RANK else Verdict.PASS


def _standing(
    grader: Grader,
    weighed: Sequence[_Weighed],
    findings: _Findings | None,
    unproven: list[Reason],
    narrowed: list[Reason],
    *,
    required: bool,
    stale: bool,
) -> Standing:
    def stand(verdict: str, why: str, proof: str = "") -> Standing:
        return Standing(grader, verdict, grader in ADVISORY, why, proof, required)

    if not weighed or findings is None:
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
    verdict, worst = _verdict_of(findings.worst), findings.worst_issue
    if worst is None or verdict == Verdict.PASS:
        why = next((report.summary for report in ran if report.summary), "0 findings")
    else:
        count = findings.warned
        why = worst.message if count == 1 else f"{count} findings: {worst.message}"
    if narrowed:
        found = () if verdict == Verdict.PASS else (why,)
        verdict = Verdict.WARN if verdict == Verdict.PASS else verdict
        why = "; ".join([*found, *(reason.text for reason in narrowed)])
    return stand(verdict, f"advice: {why}" if grader in ADVISORY else why, proof)


def _standing_of_server(name: str, findings: _Findings) -> Standing:
    worst, count = findings.worst_issue, sum(len(one.issues) for one in findings.groups)
    more = f" and {count - 1} more" if count > 1 else ""
    why = f"{worst.message}{more}" if worst else "0 findings"
    verdict = _verdict_of(findings.worst)
    return Standing(Grader.OTHER, verdict, False, why, "", name=name)


def _proof(report: ReportFacts) -> str:
    receipt = report.receipt
    if receipt is None:
        return ""
    if receipt.standing != ReceiptStanding.VALID:
        return receipt.standing.replace("_", " ")
    return f"{receipt.runner} ed25519".strip()


def _absent_reasons(
    required: Iterable[RequiredGrader], weighed: Mapping[Grader, Sequence[_Weighed]]
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


def _unlooked_reasons(
    weighed: Mapping[Grader, Sequence[_Weighed]], unlooked: Iterable[Unlooked]
) -> dict[Grader, list[Reason]]:
    """One for each tool of a grader that ran on this head: its silence about a failure for which it
    did not look is not the failure's end."""
    ran = {grader for grader, tools in weighed.items() if any(item.ran for item in tools)}
    left: dict[tuple[Grader, str], set[str]] = {}
    for one in unlooked:
        if one.grader in ran:
            left.setdefault((one.grader, one.tool), set()).add(one.name)
    reasons: dict[Grader, list[Reason]] = {}
    for (grader, tool), names in sorted(left.items()):
        count = _plural(len(names), "failure")
        text = (
            f"{_name(grader, tool)}: it did not look again at {count} that it found here before: "
            f"{name_few(sorted(names), len(names))}"
        )
        reasons.setdefault(grader, []).append(Reason("narrowed", grader, text))
    return reasons


def _narrowed(weighed: Mapping[Grader, Sequence[_Weighed]]) -> dict[Grader, list[Reason]]:
    """What tools looked at on this lineage before, and not on this head."""
    return {
        grader: [
            Reason("narrowed", grader, f"{item.name}: {_tell_left_out(one)}")
            for item in tools
            for report in item.ran
            for one in report.left_out
        ]
        for grader, tools in weighed.items()
    }


def _tell_left_out(one: LeftOut) -> str:
    what = one.what if one.count > 1 else one.what.removesuffix("s")
    return (
        f"it left out {one.count} {what} that it looked at here before: "
        f"{name_few(one.first, one.count)}"
    )


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
    unlooked: Collection[Unlooked] = (),
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
    - `unlooked`: failures that stand open, and for which nothing on this head looked. A grader of
      theirs that ran here fails, unless they are in quarantine.

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
                receipt_reasons(
                    report,
                    required=item,
                    frozen=frozen_suites.get(item.grader, frozenset()),
                    receipts_required=receipts_required,
                    changed_files=changed_files,
                    inputs_digest=inputs_digest,
                )
            )
    findings: dict[str, _Findings] = {
        grader: _find(grader, grader, tools, quarantined) for grader, tools in weighed.items()
    }
    for tool in (tool for tools in served.values() for tool in tools):
        findings[tool.tool] = _find(tool.tool, Grader.OTHER, [tool], quarantined)
    open_here = [one for one in unlooked if one.fingerprint not in quarantined]
    for grader, reasons in _unlooked_reasons(weighed, open_here).items():
        unproven.setdefault(grader, []).extend(reasons)
    return _reduced(wanted, weighed, findings, unproven, stale_graders)


def _reduced(
    wanted: list[RequiredGrader],
    weighed: dict[Grader, list[_Weighed]],
    findings: Mapping[str, _Findings],
    unproven: dict[Grader, list[Reason]],
    stale_graders: frozenset[Grader],
) -> Decision:
    found = list(findings.values())
    failures = [
        *_absent_reasons(wanted, weighed),
        *(reason for reasons in unproven.values() for reason in reasons),
        *_disagreements(found),
    ]
    graded = any(tool.ran for tools in weighed.values() for tool in tools)
    worst = max((one.worst for one in found), default=-1)
    verdict = Verdict.FAIL if failures else _verdict_of(worst)
    narrowed = _narrowed(weighed)
    hollow = [*chain.from_iterable(narrowed.values())]
    if not graded:
        hollow.append(Reason("nothing_graded", None, "nothing graded this head"))
    if hollow and verdict == Verdict.PASS:
        verdict = Verdict.WARN
    asked = {item.grader for item in wanted}
    return Decision(
        verdict=verdict,
        graded=graded,
        told=(
            *_told_alone(dict.fromkeys(failures)),
            *_told_alone(dict.fromkeys(hollow)),
            *_issue_told(found),
        ),
        attributions=_attributions(found),
        standings=tuple(
            _standing(
                grader,
                weighed.get(grader, ()),
                findings.get(grader),
                unproven.get(grader, []),
                narrowed.get(grader, []),
                required=grader in asked,
                stale=grader in stale_graders,
            )
            for grader in sorted({*asked, *weighed, *stale_graders}, key=_ORDER.__getitem__)
        )
        + tuple(
            _standing_of_server(speaker, one) for speaker, one in findings.items() if one.by_server
        ),
    )


def _told_alone(reasons: Iterable[Reason]) -> list[Told]:
    return [Told(check, grader, (text,)) for check, grader, text in reasons]


def _weigh_all(
    reports: Collection[ReportFacts], advisory_window: int
) -> dict[Grader, list[_Weighed]]:
    by_tool: dict[tuple[Grader, str], list[ReportFacts]] = {}
    for report in _ranked(reports):
        by_tool.setdefault((report.grader, report.tool), []).append(report)
    weighed: dict[Grader, list[_Weighed]] = {}
    for (grader, tool), told in by_tool.items():
        weighed.setdefault(grader, []).append(_weigh(grader, tool, told, advisory_window))
    return weighed


def tell_narrowed(reports: Collection[ReportFacts]) -> list[str]:
    """In words, as the gate tells it, what the reports of one head left out that counts."""
    narrowed = _narrowed(_weigh_all(reports, 1))
    return [reason.text for reasons in narrowed.values() for reason in reasons]


def counted_reports(
    reports: Collection[ReportFacts], advisory_window: int = 1
) -> list[ReportFacts]:
    """Those whose findings a decision weighs, but for the vote of an advisory grader."""
    weighed = _weigh_all(reports, advisory_window)
    return [report for tools in weighed.values() for tool in tools for report in tool.counted]


def _ranked(reports: Collection[ReportFacts]) -> list[ReportFacts]:
    """By grader, tool and order; those that arrived as one by what they say, whatever the order in
    which they were handed in."""
    placed = [((_ORDER[one.grader], one.tool, one.order), one) for one in reports]
    if len({place for place, _ in placed}) < len(placed):
        placed.sort(key=lambda pair: (pair[0], repr(pair[1])))
    else:
        placed.sort(key=itemgetter(0))
    return [one for _, one in placed]
