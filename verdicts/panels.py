"""The merge panel as values: the gate line by line, the literal triplet, and what people said."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from branches.domain.context import approx_tokens
from branches.domain.terms import Granularity
from branches.domain.triplet import RefusalReason, Refused, TripletDraft
from branches.models import Branch
from branches.selectors.judged import Head, Judged, ReportLine
from branches.triplets import preview_triplets
from verdicts.admission import GateView, decide_gates, read_told
from verdicts.disagreements import Word
from verdicts.domain.facts import ReceiptStanding
from verdicts.domain.labels import Choice
from verdicts.domain.terms import ADVISORY, Grader
from verdicts.models import Label, Report

MESSAGE_CHARACTERS: Final = 2_000
# A detail tells the newest reports; a head that was graded more often is rare.
MAX_REPORTS: Final = 20

GRADER_WORDS: Final = {
    Grader.VISION: "Vision",
    Grader.DOM: "DOM",
    Grader.OCR: "OCR",
    Grader.CV: "CV",
    Grader.TEST: "Tests",
    Grader.TYPECHECK: "Types",
    Grader.LINT: "Lint",
    Grader.LLM_JUDGE: "Judge",
    Grader.PERF: "Performance",
    Grader.SECURITY: "Security",
    Grader.CONTRACT: "Contract",
    Grader.COST: "Cost",
    Grader.OTHER: "Other",
    Grader.HUMAN: "People",
}
GRANULARITY_WORDS: Final = {
    Granularity.DECISION: "First decision",
    Granularity.TRAJECTORY: "Whole way",
    Granularity.FINAL: "Final answer",
}


def short_digest(digest: bytes | str) -> str:
    """The first four bytes, in two groups: enough to compare by eye."""
    text = digest if isinstance(digest, str) else bytes(digest).hex()
    return f"{text[:4]} {text[4:8]}".strip()


# The gate


@dataclass(frozen=True, slots=True)
class GateLine:
    """One line of the checklist. `verdict` names the glyph; an advisory one is drawn hollow."""

    verdict: str
    name: str
    why: str
    proof: str = ""
    advisory: bool = False


@dataclass(frozen=True, slots=True)
class GatePanel:
    """`counts` says how many lines pass, fail and advise; `shut_by` is why no merge goes in."""

    verdict: str
    open: bool
    counts: str
    lines: tuple[GateLine, ...]
    shut_by: tuple[str, ...]


def gate_panel(gate: GateView) -> GatePanel:
    lines = [
        GateLine(
            verdict=line.verdict,
            name=line.name.capitalize() or GRADER_WORDS[line.grader],
            # The name stands before it already.
            why=line.why.removeprefix(f"{line.grader}: "),
            proof=line.proof or ("required" if line.required else ""),
            advisory=line.advisory,
        )
        for line in gate.standings
    ]
    # What no single grader is to blame for has no line of its own above.
    lines += [
        GateLine("fail" if gate.graded else "pending", "Gate", reason.text)
        for reason in gate.reasons
        if reason.grader is None
    ]
    head = short_digest(gate.head_digest)
    if gate.stale:
        lines.append(GateLine("stale", "Reports match the head", "some are for an older one", head))
    elif gate.graded:
        lines.append(GateLine("pass", "Reports match the head", "none stale", head))
    return GatePanel(
        verdict="pass" if gate.open else "fail",
        open=gate.open,
        counts=_count_lines(gate, head),
        lines=tuple(lines),
        shut_by=() if gate.open else gate.texts or ("The policy lets no warning merge.",),
    )


def _count_lines(gate: GateView, head: str) -> str:
    binding = [line.verdict for line in gate.standings if not line.advisory]
    passed = binding.count("pass")
    failed = len(binding) - passed - binding.count("warn")
    advise = len(gate.standings) - len(binding)
    warned = binding.count("warn")
    counted = [(passed, "pass"), (warned, "warn"), (failed, "fail"), (advise, "advise")]
    told = [f"{count} {word}" for count, word in counted if count]
    return ", ".join([*(told or ["nobody graded"]), f"head {head}"])


def side_verdict(gate: GateView) -> str:
    """The glyph beside a side's name: the gate's word, or that there is none yet."""
    if gate.stale:
        return "stale"
    return gate.verdict.value if gate.graded else "pending"


def read_run_verdicts(branches: Collection[Branch], head: Head | None) -> Judged:
    """The words of those branches of a run that somebody graded, and what was said of one head."""
    told = read_told(branches, also=head)
    of_branch = {report.branch_id for report in told}
    gates = decide_gates([branch for branch in branches if branch.pk in of_branch], told)
    on_head = [one for one in told if (one.branch_id, bytes(one.head_digest)) == head]
    return Judged(
        words={branch: side_verdict(gate) for branch, gate in gates.items()},
        reports=_report_lines(on_head),
    )


def read_head_reports(branch: UUID, digest: bytes) -> Sequence[ReportLine]:
    """The graders' own claims about a branch when its digest was this one, in order of arrival:
    the newest `MAX_REPORTS`, in one query. What they come to together is the gate's to say."""
    rows = Report.objects.filter(branch=branch, head_digest=digest).select_related("runner")
    return _report_lines(list(reversed(rows.order_by("-order")[:MAX_REPORTS])))


def _report_lines(reports: Sequence[Report]) -> list[ReportLine]:
    return [_report_line(report) for report in reports[-MAX_REPORTS:]]


def _report_line(report: Report) -> ReportLine:
    grader = Grader(report.grader)
    advisory = grader in ADVISORY
    told = report.summary or ("it did not run" if report.errored else "no summary")
    return ReportLine(
        verdict="error" if report.errored else report.verdict,
        grader=GRADER_WORDS[grader],
        summary=f"{told}, advice only" if advisory else told,
        proof=_report_proof(report),
        advisory=advisory,
    )


def _report_proof(report: Report) -> str:
    """Who signed it, if the signature held when it came; else what was wrong with it."""
    if report.runner is not None and report.receipt_standing == ReceiptStanding.VALID:
        revoked = report.runner.revoked_at is not None
        return f"{report.runner.name} revoked" if revoked else report.runner.name
    return report.receipt_standing.replace("_", " ")


def admission_lines(admission: Mapping[str, Any]) -> tuple[GateLine, ...]:
    """What a merge keeps of the gate for ever: each grader's own claim, then the reasons."""
    claims = [
        GateLine(
            verdict="error" if report["errored"] else report["verdict"],
            name=GRADER_WORDS[Grader(report["grader"])],
            why=f"said {report['verdict']}" if not report["errored"] else "did not run",
            proof=" ".join(filter(None, (report.get("runner"), report.get("receipt_standing")))),
            advisory=Grader(report["grader"]) in ADVISORY,
        )
        for report in admission["reports"]
    ]
    reasons = [GateLine(admission["verdict"], "Gate", text) for text in admission["reasons"]]
    return (*claims, *reasons)


# The triplet


@dataclass(frozen=True, slots=True)
class TripletPart:
    """One key of the literal triplet; `folded` says how many messages are not shown."""

    key: str
    tokens: int
    first: str
    last: str = ""
    folded: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    verdict: str
    text: str


@dataclass(frozen=True, slots=True)
class TripletPanel:
    """What a merge would teach: the parts, or in `refusal` why it teaches nothing."""

    granularity: Granularity
    parts: tuple[TripletPart, ...] = ()
    checks: tuple[Check, ...] = ()
    refusal: str = ""


_FAULTS: Final = {
    RefusalReason.EQUAL_SIDES: "differs",
    RefusalReason.TRUNCATED_LOSER: "whole",
    RefusalReason.TRUNCATED_WINNER: "whole",
    RefusalReason.OTHER_PROMPT: "prompt",
    RefusalReason.EMPTY_PROMPT: "prompt",
}


def triplet_panel(*, winner: Branch, loser: Branch, granularity: Granularity) -> TripletPanel:
    """The literal triplet that merging would emit now. Reads both lineages, writes nothing."""
    preview = preview_triplets(winner=winner, losers=[loser], granularity=granularity)[0]
    in_prompt = winner.project.override_in_prompt
    prefix = short_digest(preview.prefix_digest)
    if isinstance(preview.outcome, Refused):
        reason = preview.outcome.reason
        return TripletPanel(
            granularity, checks=_checks(prefix, in_prompt, reason), refusal=reason.value
        )
    return TripletPanel(
        granularity,
        parts=draft_parts(preview.outcome),
        checks=_checks(prefix, in_prompt, None),
    )


def draft_parts(draft: TripletDraft) -> tuple[TripletPart, ...]:
    return tuple(
        _part(key, messages)
        for key, messages in (
            ("prompt", draft.prompt),
            ("chosen", draft.chosen),
            ("rejected", draft.rejected),
        )
    )


def _part(key: str, messages: Sequence[dict[str, Any]]) -> TripletPart:
    texts = [_message_text(message) for message in (*messages[:1], *messages[-1:])]
    tokens = approx_tokens(messages)
    if len(messages) < 2:
        return TripletPart(key, tokens, f"[{texts[0] if messages else ''}]")
    return TripletPart(key, tokens, f"[{texts[0]},", f"{texts[1]}]", len(messages) - 2)


def _message_text(message: dict[str, Any]) -> str:
    text = json.dumps(message, ensure_ascii=False)
    if len(text) <= MESSAGE_CHARACTERS:
        return text
    return f"{text[:MESSAGE_CHARACTERS]}… {len(text) - MESSAGE_CHARACTERS:,} characters more"


def _checks(prefix: str, in_prompt: bool, reason: RefusalReason | None) -> tuple[Check, ...]:
    fault = _FAULTS.get(reason) if reason else None
    override = "Override in prompt, as the project says" if in_prompt else "Override not in prompt"
    told = [
        ("prefix", f"Same prefix {prefix}"),
        ("prompt", "Same prompt"),
        ("differs", "Chosen differs from rejected"),
        ("whole", "Nothing truncated"),
        ("override", override),
    ]
    return tuple(Check("fail" if name == fault else "pass", text) for name, text in told)


# What people said


@dataclass(frozen=True, slots=True)
class Judgement:
    """One reviewer's label, told in the sides of the one who reads."""

    initials: str
    name: str
    said: str
    rationale: str
    mine: bool
    scores: tuple[str, ...] = field(default=())


_SAID: Final = {Choice.EQUAL.value: "judged both equal", Choice.BOTH_BAD.value: "judged both bad"}


def tell_label(label: Label, *, left: UUID, reader: int | None) -> Judgement:
    """`left` is the branch that the reader sees as A."""
    name = label.reviewer.get_full_name() or label.reviewer.get_username()
    side = "A" if label.chosen_id == left else "B"
    return Judgement(
        initials=initials(name),
        name=name,
        said=_SAID.get(label.choice, f"judged {side} better"),
        rationale=label.rationale,
        mine=label.reviewer_id == reader,
    )


def tell_word(word: Word, *, left: UUID, reader: int | None) -> Judgement:
    """An adjudicator's, who saw what the others said."""
    side = "A" if word.chosen == left else "B"
    said = _SAID.get(word.answer, f"judged {side} better")
    return Judgement(
        initials=initials(word.name),
        name=word.name,
        said=f"adjudicated: {said}",
        rationale=word.reason,
        mine=word.reviewer_id == reader,
    )


def initials(name: str) -> str:
    words = name.replace(".", " ").replace("_", " ").split()
    return "".join(word[0] for word in words[:2]).upper() or "?"


def tell_agreement(labels: Sequence[Label]) -> str:
    """How far the reviewers agree, where there are two or more."""
    if len(labels) < 2:
        return ""
    picks = [str(label.chosen_id or label.choice) for label in labels]
    most = max(picks.count(pick) for pick in picks)
    if most == 1:
        return f"{len(labels)} reviewers, no two agree"
    return f"{most} of {len(labels)} reviewers agree"
