"""The gate over stored rows: what it says of a branch's head, and what a merge is let in by."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, prefetch_related_objects

from branches.domain.admission import Admission
from branches.models import Branch
from branches.selectors.judged import Head
from verdicts.corrections import correction_json
from verdicts.disagreements import standing_words
from verdicts.domain.corroboration import Advised, find_advised
from verdicts.domain.coverage import LeftOut
from verdicts.domain.facts import (
    Decision,
    IssueFacts,
    Reason,
    ReceiptFacts,
    ReceiptStanding,
    ReportFacts,
    RequiredGrader,
    Standing,
    Told,
    list_reasons,
)
from verdicts.domain.gate import decide_gate
from verdicts.domain.ledger import guard_regressions
from verdicts.domain.proof import owes_receipt
from verdicts.domain.terms import PRECISE, Confidence, Grader, IssueKind, Severity, Verdict
from verdicts.failure_models import FailureLine
from verdicts.guard import Guard, read_guard
from verdicts.inputs import read_changed_files
from verdicts.models import Comparison, GateDecision, Issue, Label, Policy, Report
from verdicts.policies import Suites, limits_of, read_rules, read_suites
from verdicts.receipts import owed_nonce
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Unprocessable

_SETTLED = frozenset({"pass", "warn"})


class BypassReasonMissing(Unprocessable):
    code = "bypass_reason_missing"
    title = "Going past the gate needs a reason"


@dataclass(frozen=True, slots=True)
class GateView:
    """The gate on a branch's head, for a page, the API and a merge.

    `stale`: a grader that counts (required, or precise, or the only ones there are) graded an
    older head and not this one; the gate is shut until it grades again. `nonces` has one for
    each required grader that still owes a receipt. `reports` are those on this head, in order.
    """

    branch: Branch
    verdict: Verdict
    open: bool
    stale: bool
    graded: bool
    told: tuple[Told, ...]
    attributions: dict[str, Grader]
    standings: tuple[Standing, ...]
    head_digest: bytes
    policy: Policy
    reports: tuple[Report, ...]

    @property
    def policy_version(self) -> int:
        return self.policy.version

    @property
    def nonces(self) -> dict[str, str]:
        """Read when asked for, by a runner that is to sign; a list of gates does not ask."""
        return {
            line.grader.value: owed_nonce(branch=self.branch, grader=line.grader)
            for line in self.standings
            if line.required and line.verdict not in _SETTLED
        }

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One by one, in order."""
        return list_reasons(self.told)

    @property
    def texts(self) -> tuple[str, ...]:
        """The reasons in words."""
        return tuple(chain.from_iterable(one.texts for one in self.told))

    def as_json(self) -> dict[str, Any]:
        """The answer of `GET branches/{b}/gate`."""
        return {
            "branch": str(self.branch.pk),
            "verdict": self.verdict.value,
            "open": self.open,
            "stale": self.stale,
            "reasons": list(self.texts),
            "attributions": {key: grader.value for key, grader in self.attributions.items()},
            "required": [
                {"grader": line.grader.value, "standing": line.verdict, "why": line.why}
                for line in self.standings
                if line.required
            ],
            "graders": [
                {
                    "grader": line.grader.value,
                    "name": line.name or line.grader.value,
                    "standing": line.verdict,
                    "advisory": line.advisory,
                    "required": line.required,
                    "why": line.why,
                    "proof": line.proof,
                }
                for line in self.standings
            ],
            "head_digest": self.head_digest.hex(),
            "policy_version": self.policy_version,
            "nonces": self.nonces,
        }


def read_gate(branch: Branch) -> GateView:
    """The gate's word on the branch as it is now. Reads only; call `visible_to` before."""
    return read_gates([branch])[branch.pk]


def read_gates(branches: Collection[Branch]) -> dict[UUID, GateView]:
    """The gates of branches of one project: the same few queries however many there are, and two
    more where the changed files of a head are read for the first time."""
    return decide_gates(branches, read_told(branches))


def read_told(branches: Collection[Branch], *, also: Head | None = None) -> list[Report]:
    """What a gate looks at, in order: the reports on each branch's head, and of each grader its
    newest, if that was on an older one. `also` is one more head, of which all are told."""
    newer = Report.objects.filter(
        branch=OuterRef("branch"), grader=OuterRef("grader"), order__gt=OuterRef("order")
    )
    wanted = Q(head_digest__in={bytes(branch.head_digest) for branch in branches})
    wanted |= Q(~Exists(newer))
    if also is not None:
        wanted |= Q(branch=also[0], head_digest=also[1])
    return list(_in_order(branches).filter(wanted))


def read_all_told(branch: Branch) -> list[Report]:
    """Every report of a branch in order, with its issues, for whoever asks more of them than a gate
    does. Two queries."""
    return list(_in_order([branch]).prefetch_related("issues"))


def _in_order(branches: Collection[Branch]) -> QuerySet[Report]:
    of_grader = FailureLine.objects.filter(branch=OuterRef("branch"), grader=OuterRef("grader"))
    rows = Report.objects.filter(branch__in={branch.pk for branch in branches})
    rows = rows.annotate(failures_open=Exists(of_grader.filter(open=True)))
    return rows.select_related("runner").order_by("order")


def decide_gates(
    branches: Collection[Branch], told: Collection[Report], *, policy: Policy | None = None
) -> dict[UUID, GateView]:
    """`told` as `read_told` or `read_all_told` gives it. `policy` is another
    than the project's present one, to see what it would say."""
    if not branches:
        return {}
    project_id = next(iter(branches)).project_id
    policy, suites = (policy, read_suites(project_id)) if policy else read_rules(project_id)
    of_branch: dict[UUID, list[Report]] = {branch.pk: [] for branch in branches}
    for report in told:
        of_branch[report.branch_id].append(report)
    heads = {branch.pk: bytes(branch.head_digest) for branch in branches}
    present = [one for one in told if bytes(one.head_digest) == heads[one.branch_id]]
    prefetch_related_objects(present, "issues")
    guard = read_guard(project_id=project_id, reports=present)
    required = _read_required(policy)
    graders = {item.grader for item in required}
    proven = {one.branch_id for one in present if one.grader in graders}
    changed = read_changed_files([branch for branch in branches if branch.pk in proven])
    return {
        branch.pk: _decide(
            branch,
            of_branch[branch.pk],
            _Rules(policy, required, suites, guard),
            changed.get(branch.pk, frozenset()),
        )
        for branch in branches
    }


@dataclass(frozen=True, slots=True)
class _Rules:
    """What decides of every branch alike."""

    policy: Policy
    required: list[RequiredGrader]
    suites: Suites
    guard: Guard


def _decide(branch: Branch, told: list[Report], rules: _Rules, changed: frozenset[str]) -> GateView:
    policy, guard = rules.policy, rules.guard
    head = bytes(branch.head_digest)
    reports = tuple(report for report in told if bytes(report.head_digest) == head)
    stale = frozenset(Grader(report.grader) for report in told) - {
        Grader(report.grader) for report in reports
    }
    facts = [report_facts(report) for report in reports]
    returned = guard_regressions(
        reports=facts,
        returns=guard.returns.get(branch.pk, ()),
        quarantined=guard.held,
        advisory_window=policy.advisory_window,
    )
    decision = decide_gate(
        reports=[*facts, returned] if returned else facts,
        required=rules.required,
        frozen_suites=rules.suites,
        changed_files=changed,
        inputs_digest=head.hex(),
        receipts_required=policy.receipts_required,
        advisory_window=policy.advisory_window,
        stale_graders=stale,
        quarantined=guard.held,
        unlooked=guard.unlooked.get(branch.pk, ()),
    )
    if any(map(_warns_by_advice, decision.standings)):
        advised = find_advised(facts, limits_of(policy).families)
        lines = tuple(_confirmed(line, advised) for line in decision.standings)
        decision = replace(decision, standings=lines)
    return _view(branch, policy, reports, decision, stale)


def _warns_by_advice(line: Standing) -> bool:
    return line.advisory and line.verdict == Verdict.WARN


def _confirmed(line: Standing, advised: Sequence[Advised]) -> Standing:
    """A line of advice that warns, and whether anybody else sees what it does."""
    own = [one for one in advised if one.grader == line.grader]
    if not own or not _warns_by_advice(line):
        return line
    sure = sum(one.confirmed for one in own)
    told = own[0].why if len(own) == 1 else f"{sure} of {len(own)} confirmed by others"
    return replace(line, why=f"{line.why} ({told})")


def _view(
    branch: Branch,
    policy: Policy,
    reports: tuple[Report, ...],
    decision: Decision,
    stale: frozenset[Grader],
) -> GateView:
    wanted = {line.grader for line in decision.standings if line.required}
    is_stale = bool(stale & (PRECISE | wanted)) or bool(stale and not decision.graded)
    may = {
        Verdict.PASS: True,
        # A warning is advice that was given; that nobody gave any is not one.
        Verdict.WARN: policy.warn_may_merge and decision.graded,
        Verdict.FAIL: False,
    }
    return GateView(
        branch=branch,
        verdict=decision.verdict,
        open=may[decision.verdict] and not is_stale,
        stale=is_stale,
        graded=decision.graded,
        told=(*decision.told, *_stale_told(decision, is_stale)),
        attributions=decision.attributions,
        standings=decision.standings,
        head_digest=bytes(branch.head_digest),
        policy=policy,
        reports=reports,
    )


def _stale_told(decision: Decision, stale: bool) -> tuple[Told, ...]:
    if not stale:
        return ()
    return tuple(
        Told("stale", line.grader, (f"{line.grader}: it graded an older head, not this one",))
        for line in decision.standings
        if line.verdict == "stale"
    )


def _read_required(policy: Policy) -> list[RequiredGrader]:
    return [RequiredGrader(Grader(row["grader"]), row.get("suite")) for row in policy.required]


def read_owing(policy: Policy) -> frozenset[Grader]:
    """Graders whose reports count by their receipts alone, under a policy of a project."""
    required = _read_required(policy)
    suites = read_suites(policy.project_id) if required else {}
    return frozenset(
        item.grader
        for item in required
        if owes_receipt(
            item,
            suites.get(item.grader, frozenset()),
            receipts_required=policy.receipts_required,
        )
    )


def report_facts(report: Report) -> ReportFacts:
    """A stored report as the gate sees it. Its runner is looked at as it stands now."""
    return ReportFacts(
        grader=Grader(report.grader),
        verdict=Verdict(report.verdict),
        errored=report.errored,
        issues=tuple(issue_facts(issue) for issue in report.issues.all()),
        receipt=_receipt_facts(report),
        order=report.order,
        summary=report.summary,
        tool=report.tool,
        model=report.model,
        covered_digest=report.covered_digest,
        left_out=tuple(
            LeftOut(one["what"], one["count"], tuple(one["first"])) for one in report.left_out
        ),
    )


def issue_facts(issue: Issue) -> IssueFacts:
    return IssueFacts(
        kind=IssueKind(issue.kind),
        severity=Severity(issue.severity),
        confidence=Confidence(issue.confidence),
        source=Grader(issue.source),
        fingerprint=issue.fingerprint,
        message=issue.message,
        locator=issue.locator,
    )


def _receipt_facts(report: Report) -> ReceiptFacts | None:
    if not report.receipt:
        return None
    standing = ReceiptStanding(report.receipt_standing)
    runner = report.runner
    if standing == ReceiptStanding.VALID and runner is not None and runner.revoked_at is not None:
        standing = ReceiptStanding.REVOKED_RUNNER
    claims = report.receipt_claims
    return ReceiptFacts(
        standing=standing,
        suite_digest=claims.get("suite_digest", ""),
        inputs_digest=claims.get("inputs_digest", ""),
        covered_files=frozenset(claims.get("covered_files", ())),
        result_digest=claims.get("result_digest", ""),
        runner=runner.name if runner is not None else "",
    )


@transaction.atomic
def admit_merge(*, winner: Branch, actor: Actor, bypass_reason: str | None = None) -> Admission:
    """The gate's word as a value for `branches.merges`, stored with the policy's version.

    Call with the winner locked, inside the merge's transaction: the admission is for the head
    that it has then. A shut gate gives an admission that does not admit; whoever holds
    `gate:bypass` may go past it with a reason, and both are audited. A reason given at an open
    gate is not a bypass, and is not kept as one.
    """
    winner.refresh_from_db(fields=["head_digest", "head_seq"])
    gate = read_gate(winner)
    bypass: str | None = None
    if bypass_reason is not None and not gate.open:
        actor.demand(winner.project_id, Right.BYPASS_GATE)
        bypass = bypass_reason.strip()
        if not bypass:
            raise BypassReasonMissing("Say why.", pointer="/bypass_reason")
    _keep_decision(gate, actor, bypass)
    return Admission(
        branch=winner.pk,
        head_digest=gate.head_digest,
        verdict=gate.verdict.value,
        open=gate.open,
        policy_version=gate.policy_version,
        reasons=gate.texts,
        bypass_reason=bypass,
        reports=tuple(_report_json(report) for report in gate.reports),
        judgements=tuple(_read_judgements(winner)),
        correction=correction_json(winner),
    )


def _read_judgements(winner: Branch) -> Iterator[dict[str, Any]]:
    """Scores are by rubric, as the reviewer gave them who saw the winner on the side `choice`."""
    standing = Label.objects.standing().filter(chosen=winner).select_related("reviewer")
    for label in standing.order_by("created_at"):
        yield {
            "label": str(label.pk),
            "rejected": str(label.rejected_id),
            "reviewer": label.reviewer.get_full_name() or label.reviewer.get_username(),
            "choice": label.choice,
            "strength": label.strength,
            "scores": label.scores,
            "at": label.created_at.isoformat(),
        }
    yield from _read_adjudications(winner)


def _read_adjudications(winner: Branch) -> Iterator[dict[str, Any]]:
    """The words of adjudicators who chose it; as judgements, but by no label."""
    pairs = Comparison.objects.filter(Q(first=winner) | Q(second=winner))
    words = standing_words(list(pairs.values_list("pk", flat=True)))
    for word in words.values():
        if word.chosen == winner.pk:
            yield {
                "decision": str(word.decision),
                "adjudicated": True,
                "rejected": str(word.rejected),
                "reviewer": word.name,
                "choice": word.answer,
                "strength": None,
                "scores": {},
                "at": word.at.isoformat(),
            }


def _keep_decision(gate: GateView, actor: Actor, bypass: str | None) -> None:
    decision = GateDecision.objects.create(
        project_id=gate.branch.project_id,
        branch=gate.branch,
        head_digest=gate.head_digest,
        policy_version=gate.policy_version,
        verdict=gate.verdict.value,
        open=gate.open,
        reasons=[
            {"check": reason.check, "grader": reason.grader, "text": reason.text}
            for reason in gate.reasons
        ],
        attributions=gate.as_json()["attributions"],
        bypass_reason=bypass or "",
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
    )
    if bypass:
        record_act(
            project_id=gate.branch.project_id,
            actor=actor,
            action="gate.bypass",
            subject=f"branch:{gate.branch.pk}",
            digest=gate.head_digest,
            before={"verdict": gate.verdict.value, "reasons": list(gate.texts)},
            after={"decision": str(decision.pk)},
            reason=bypass,
        )


def _report_json(report: Report) -> dict[str, Any]:
    """What a merge and its triplets keep of a report for ever."""
    return {
        "report": str(report.pk),
        "grader": report.grader,
        "tool": report.tool,
        "verdict": report.verdict,
        "errored": report.errored,
        "model": report.model,
        "receipt_standing": report.receipt_standing or None,
        "runner": report.runner.name if report.runner is not None else None,
        "suite_digest": report.receipt_claims.get("suite_digest") or None,
        "result_digest": report.result_digest,
    }
