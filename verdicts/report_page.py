"""The page of a run's verdicts: who graded a branch, what each found, and what the gate makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Max
from django.urls import reverse

from branches.models import Branch, Event, Run
from branches.selectors.events import read_run
from branches.selectors.run_lines import Lines, read_lines
from branches.selectors.run_page import RunHead, make_head, read_reader
from branches.selectors.run_view import View
from verdicts.admission import (
    GateView,
    decide_gates,
    issue_facts,
    read_all_told,
    report_facts,
)
from verdicts.domain.facts import ReceiptStanding, Standing
from verdicts.domain.flakiness import failing_in
from verdicts.domain.gate import effective_severity
from verdicts.domain.terms import ADVISORY, Grader, Severity
from verdicts.escalations import ESCALATION
from verdicts.history import MAX_ISSUES, MAX_READ, Failing, History, IssueRow
from verdicts.inputs import read_changed_files
from verdicts.models import Report, Suite
from verdicts.panels import GRADER_WORDS, GatePanel, gate_panel, short_digest
from verdicts.progress import weigh_progress
from verdicts.progress_panel import ProgressPanel, progress_panel
from verdicts.run_issues import RunIssues, read_run_issues
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.inbox.models import Item
from verel_site.kit.refusals import NotFound

GRADER_ICONS: Final = {
    Grader.VISION: "eye",
    Grader.DOM: "layers",
    Grader.OCR: "eye",
    Grader.CV: "eye",
    Grader.TEST: "flask-conical",
    Grader.TYPECHECK: "braces",
    Grader.LINT: "ruler",
    Grader.LLM_JUDGE: "scale",
    Grader.PERF: "activity",
    Grader.SECURITY: "shield-check",
    Grader.CONTRACT: "file-text",
    Grader.COST: "coins",
    Grader.OTHER: "hash",
    Grader.HUMAN: "user",
}
STANDING_WORDS: Final = {
    ReceiptStanding.VALID: "Valid",
    ReceiptStanding.FORGED: "Forged",
    ReceiptStanding.UNKNOWN_RUNNER: "Unknown runner",
    ReceiptStanding.REVOKED_RUNNER: "Revoked runner",
    ReceiptStanding.EXPIRED: "Runner not valid then",
    ReceiptStanding.REPLAYED: "Used before",
    ReceiptStanding.WRONG_SUBJECT: "For something else",
}


@dataclass(frozen=True, slots=True)
class BranchTab:
    label: str
    lane: int
    number: int
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One line of the table. `stale`: it is about an older head than the branch has now."""

    id: UUID
    icon: str
    grader: str
    tool: str
    verdict: str
    word: str
    advisory: bool
    power: str
    findings: str
    head: str
    stale: bool
    receipt: str
    receipt_verdict: str
    elapsed_ms: int | None
    at: datetime
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """One line of a receipt: a check with its glyph, or a plain fact where `verdict` is empty."""

    name: str
    verdict: str
    word: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReportPanel:
    """One report in full. `proofs` is empty where it came without a receipt."""

    id: UUID
    order: int
    grader: str
    by: str
    summary: str
    word: str
    verdict: str
    advisory: bool
    proofs: tuple[Proof, ...]
    fault: str
    cost: str
    capabilities: tuple[str, ...]
    raw_sha256: str
    issues: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The inbox's item by which a person is asked about the branch."""

    id: UUID
    since: datetime


@dataclass(frozen=True)
class VerdictPage:
    run: UUID
    project: Project
    head: RunHead
    view: View
    branch: Branch
    lane: int
    tabs: tuple[BranchTab, ...]
    reports: tuple[ReportRow, ...]
    earlier: int
    earlier_href: str
    failing: Failing | None
    issues: tuple[IssueRow, ...]
    more_issues: int
    run_issues: RunIssues | None
    branch_issues_href: str
    run_issues_href: str
    progress: ProgressPanel | None
    asked: Asked | None
    gate: GatePanel
    may_bypass: bool
    honest_href: str
    panel: ReportPanel | None

    screen: str = "verdicts"
    nav: str = "runs"
    tab: str = "verdicts"

    @property
    def title(self) -> str:
        return f"Verdicts on {self.branch.label}"

    @property
    def digest(self) -> str:
        return short_digest(bytes(self.branch.head_digest))


def read_verdict_page(
    *,
    actor: Actor,
    run_id: UUID,
    branch_id: UUID | None = None,
    report_id: UUID | None = None,
    whole: bool = False,
    over_run: bool = False,
) -> VerdictPage:
    """Raises NotFound. `whole` lists every report of the branch, else each grader's newest;
    `over_run` follows fingerprints over all branches of the run.

    Without `branch_id` it is about the branch that was graded last, or the trunk.
    """
    run = read_run(actor=actor, run_id=run_id)
    lines = read_lines(run)
    branch = _pick_branch(run, lines, branch_id)
    every = read_all_told(branch)
    gate = decide_gates([branch], every)[branch.pk]
    told = every[: -MAX_READ - 1 : -1]
    shown = told if whole else _newest(told)
    chosen = _pick_report(told, report_id)
    progress = weigh_progress(branch=branch, told=every, policy=gate.policy)
    history = History.read(told, frozenset(progress.advice.quarantined))
    view = View(run.pk, branch=branch.pk)
    return VerdictPage(
        run=run.pk,
        project=run.project,
        head=make_head(run, lines, view, read_reader(actor, run)),
        view=view,
        branch=branch,
        lane=lines.lanes[branch.pk],
        tabs=_tabs(run, lines, branch),
        reports=tuple(_report_row(report, gate, chosen, whole) for report in shown),
        earlier=len(told) - len(shown),
        earlier_href="" if whole else _href(run.pk, branch=branch.pk, all=1),
        failing=history.draw(),
        issues=history.rows()[:MAX_ISSUES],
        more_issues=max(0, len(history.prints) - MAX_ISSUES),
        run_issues=read_run_issues(run, lines.branches, lines.lanes) if over_run else None,
        branch_issues_href=f"{_href(run.pk, branch=branch.pk)}#issues",
        run_issues_href=f"{_href(run.pk, branch=branch.pk, issues='run')}#issues",
        progress=progress_panel(progress),
        asked=_find_asked(branch),
        gate=gate_panel(gate),
        may_bypass=actor.may(run.project_id, Right.BYPASS_GATE),
        honest_href=_honest_href(branch, history),
        panel=_panel(chosen, branch) if chosen else None,
    )


def _find_asked(branch: Branch) -> Asked | None:
    waiting = Item.objects.filter(kind=ESCALATION, subject=branch.pk, state=Item.State.OPEN)
    item = waiting.order_by("created_at").only("pk", "created_at").first()
    return Asked(item.pk, item.created_at) if item else None


def _href(run: UUID, **query: object) -> str:
    return f"{reverse('run-verdicts', args=[run])}?{urlencode(query)}"


def _pick_branch(run: Run, lines: Lines, branch_id: UUID | None) -> Branch:
    if branch_id is not None and branch_id not in lines.branches:
        raise NotFound("There is no such branch in this run.")
    if branch_id is None:
        graded = Report.objects.filter(branch__run=run).values("branch")
        latest = graded.annotate(at=Max("received_at")).order_by("-at").first()
        branch_id = latest["branch"] if latest else next(iter(lines.branches))
    # The lines' own row has columns of the page of events; the gate wants it with its project.
    return Branch.objects.select_related("project", "run").get(pk=branch_id)


def _tabs(run: Run, lines: Lines, branch: Branch) -> tuple[BranchTab, ...]:
    return tuple(
        BranchTab(
            label=row.label,
            lane=lines.lanes[key],
            number=row.number,
            href=_href(run.pk, branch=key),
            current=key == branch.pk,
        )
        for key, row in lines.branches.items()
    )


def _newest(told: Sequence[Report]) -> list[Report]:
    """The newest report of each tool of each grader, in the order of graders: none replaces
    another's word."""
    newest: dict[tuple[str, str], Report] = {}
    for report in told:
        newest.setdefault((report.grader, report.tool), report)
    order = {grader.value: place for place, grader in enumerate(Grader)}
    return sorted(newest.values(), key=lambda report: (order[report.grader], report.tool))


def _pick_report(told: Sequence[Report], report_id: UUID | None) -> Report | None:
    if report_id is None:
        return next(iter(told), None)
    chosen = next((report for report in told if report.pk == report_id), None)
    if chosen is None:
        raise NotFound("There is no such report on this branch.")
    return chosen


# The table


def _report_row(report: Report, gate: GateView, chosen: Report | None, whole: bool) -> ReportRow:
    grader = Grader(report.grader)
    stale = bytes(report.head_digest) != gate.head_digest
    verdict, word = _standing(report, gate, stale)
    query = {"branch": report.branch_id, "report": report.pk} | ({"all": 1} if whole else {})
    return ReportRow(
        id=report.pk,
        icon=GRADER_ICONS[grader],
        grader=GRADER_WORDS[grader],
        tool=_tool_words(report),
        verdict=verdict,
        word=word,
        advisory=grader in ADVISORY,
        power="advises" if grader in ADVISORY else "blocks",
        findings=report.summary or ("it did not run" if report.errored else "no summary"),
        head=short_digest(bytes(report.head_digest)),
        stale=stale,
        receipt=_receipt_word(report),
        receipt_verdict=_receipt_verdict(report),
        elapsed_ms=report.elapsed_ms,
        at=report.received_at,
        href=_href(gate.branch.run_id, **query),
        current=chosen is not None and report.pk == chosen.pk,
    )


def _standing(report: Report, gate: GateView, stale: bool) -> tuple[str, str]:
    """The glyph and its word: the gate's for the head, never the grader's own claim."""
    if stale:
        return "stale", ""
    if report.errored:
        return "error", ""
    line = next((line for line in gate.standings if line.grader == report.grader), None)
    if line is None:
        return report.verdict, ""
    refused = line.verdict == "fail" and report.receipt and _receipt_verdict(report) == "fail"
    return _own_verdict(report, gate, line), "Refused" if refused else ""


def _own_verdict(report: Report, gate: GateView, line: Standing) -> str:
    """The grader's standing; of several tools each its own, and never worse than all together."""
    own = next((one for one in gate.reports if one.pk == report.pk), None)
    tools = {one.tool for one in gate.reports if one.grader == report.grader}
    unproven = any(one.check != "issue" and one.grader == line.grader for one in gate.reasons)
    if own is None or len(tools) < 2 or unproven:
        return line.verdict
    failing = bool(failing_in(report_facts(own)))
    if failing and line.verdict == "fail":
        return "fail"
    warns = failing or any(
        effective_severity(issue_facts(issue), line.grader).rank >= Severity.WARNING.rank
        for issue in own.issues.all()
    )
    return "warn" if warns else "pass"


def _tool_words(report: Report) -> str:
    """The tool and the model that judged, where the tool's name does not hold it."""
    told = (report.tool, "" if report.model in report.tool else report.model)
    return " ".join(filter(None, told))


def _receipt_word(report: Report) -> str:
    if not report.receipt:
        return ""
    standing = find_standing(report)
    if standing == ReceiptStanding.VALID and report.runner is not None:
        return report.runner.name
    return STANDING_WORDS[standing].lower()


def find_standing(report: Report) -> ReceiptStanding:
    """A receipt that held once does not hold any more when its runner was revoked since."""
    standing = ReceiptStanding(report.receipt_standing)
    revoked = report.runner is not None and report.runner.revoked_at is not None
    return (
        ReceiptStanding.REVOKED_RUNNER
        if standing == ReceiptStanding.VALID and revoked
        else standing
    )


def _receipt_verdict(report: Report) -> str:
    if not report.receipt:
        return ""
    return "pass" if find_standing(report) == ReceiptStanding.VALID else "fail"


def _honest_href(branch: Branch, history: History) -> str:
    """Where to fork from the last graded head on which nothing failed, if that is not the present."""
    clean = [
        seq
        for seq, failing, head in zip(history.seqs, history.failing, history.heads, strict=True)
        if not failing and seq > 0 and head != bytes(branch.head_digest)
    ]
    if not clean or (history.failing and not history.failing[-1]):
        return ""
    row = Event.objects.filter(branch=branch, seq=clean[-1]).only("event_id").first()
    return reverse("fork", args=[row.event_id]) if row else ""


# One report


def _panel(report: Report, branch: Branch) -> ReportPanel:
    grader = Grader(report.grader)
    return ReportPanel(
        id=report.pk,
        order=report.order,
        grader=GRADER_WORDS[grader],
        by=report.by_name,
        summary=report.summary,
        word=STANDING_WORDS[find_standing(report)] if report.receipt else "",
        verdict=_receipt_verdict(report),
        advisory=grader in ADVISORY,
        proofs=_proofs(report, branch) if report.receipt else (),
        fault=report.receipt_fault,
        cost="" if report.cost_usd is None else f"${report.cost_usd.normalize():f}",
        capabilities=tuple(map(str, report.capabilities)),
        raw_sha256=report.raw_sha256,
        issues=report.issues.count(),
    )


def _proofs(report: Report, branch: Branch) -> tuple[Proof, ...]:
    """What the receipt claims, each beside what the server knows."""
    claims = report.receipt_claims
    key = report.runner.key_id[:8] if report.runner else ""
    standing = find_standing(report)
    signature = Proof(
        "Signature",
        _receipt_verdict(report),
        STANDING_WORDS[standing],
        f"ed25519, key {key}" if key else "",
    )
    if not claims.get("result_digest"):
        return (signature,)
    inputs_same = claims["inputs_digest"] == bytes(report.head_digest).hex()
    result_same = claims["result_digest"] == report.result_digest
    return (
        signature,
        _suite_proof(report, claims["suite_digest"]),
        Proof(
            "Inputs",
            "pass" if inputs_same else "fail",
            "Same" if inputs_same else "Others",
            short_digest(claims["inputs_digest"]),
        ),
        _coverage_proof(report, branch, frozenset(claims["covered_files"])),
        Proof(
            "Result",
            "pass" if result_same else "fail",
            "Same" if result_same else "Others",
            short_digest(claims["result_digest"]),
        ),
        Proof("Signed", "", claims["issued_at"].replace("T", ", ")[:20]),
    )


def _suite_proof(report: Report, digest: str) -> Proof:
    frozen = Suite.objects.frozen().filter(project_id=report.project_id, grader=report.grader)
    digests = list(frozen.values_list("digest", flat=True))
    if digest in digests:
        return Proof("Suite", "pass", "Frozen", short_digest(digest))
    told = f"; frozen {short_digest(digests[0])}" if digests else "; none is frozen"
    return Proof("Suite", "fail", "Not the frozen one", f"{short_digest(digest) or 'none'}{told}")


def _coverage_proof(report: Report, branch: Branch, covered: frozenset[str]) -> Proof:
    if bytes(report.head_digest) != bytes(branch.head_digest):
        return Proof("Covers", "", f"{len(covered)} files", "of an older head")
    changed = read_changed_files([branch])[branch.pk]
    met = changed & covered
    word = f"{len(met)} of {len(changed)}"
    return Proof("Covers", "pass" if met == changed else "fail", word, "changed files")
