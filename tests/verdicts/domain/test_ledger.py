import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verdicts.domain.strategies import HEAD, reports
from verdicts.domain.facts import IssueFacts, ReportFacts, RequiredGrader
from verdicts.domain.gate import decide_gate, effective_severity
from verdicts.domain.ledger import (
    GUARD,
    Past,
    Return,
    Turn,
    bug_key,
    enters,
    guard_regressions,
    turn_of_seen,
    turn_of_unseen,
)
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity, Verdict

MARK = "a" * 16


def make_issue(severity: Severity = Severity.ERROR, **extra: Any) -> IssueFacts:
    fields: dict[str, Any] = {
        "kind": IssueKind.TEST_FAILURE,
        "severity": severity,
        "confidence": Confidence.HIGH,
        "source": Grader.TEST,
        "fingerprint": MARK,
        "message": "assert 3 == 4",
        "locator": "test_clamp.py",
    }
    return IssueFacts(**(fields | extra))


def back(grader: Grader = Grader.TEST, tool: str = "") -> Return:
    return Return(grader, tool, MARK, "resolved on 2026-11-01 by report 2 on main of r-1")


def guarded(*given: ReportFacts, **extra: Any) -> ReportFacts | None:
    return guard_regressions(reports=given, returns=[back()], **extra)


# How the line stands, the head that reports, whether it finds the failure: what that turns.
@pytest.mark.parametrize(
    ("past", "seq", "seen", "turn"),
    [
        (None, 3, True, Turn.OPENED),
        (None, 3, False, None),
        (Past(True, 3), 4, True, None),
        (Past(True, 3), 4, False, Turn.RESOLVED),
        (Past(True, 3), 3, False, None),
        (Past(True, 3), 2, False, None),
        (Past(False, 4), 5, True, Turn.RETURNED),
        (Past(False, 4), 4, True, Turn.OPENED),
        (Past(False, 4), 3, True, None),
        (Past(False, 4), 5, False, None),
        (Past(True, 0), 0, False, None),
        (Past(True, 0), 1, False, Turn.RESOLVED),
    ],
)
def test_a_report_turns_a_line_as_the_table_says(
    past: Past | None, seq: int, seen: bool, turn: Turn | None
) -> None:
    found = turn_of_seen(past, seq=seq) if seen else turn_of_unseen(past, seq=seq)
    assert found == turn


def test_what_the_whole_project_had_resolved_comes_back_in_a_later_run() -> None:
    assert turn_of_seen(None, seq=1, resolved_elsewhere=True) == Turn.RETURNED
    # A line of its own knows better.
    assert turn_of_seen(Past(True, 1), seq=2, resolved_elsewhere=True) is None


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=12))
def test_a_line_never_opens_twice_and_resolves_only_what_is_open(
    told: list[tuple[int, bool]],
) -> None:
    past: Past | None = None
    for seq, seen in told:
        turn = turn_of_seen(past, seq=seq) if seen else turn_of_unseen(past, seq=seq)
        if turn == Turn.RESOLVED:
            assert past is not None
            assert past.open
            assert seq > past.seq
        elif turn is not None:
            assert past is None or not past.open
        if turn is not None:
            past = Past(turn != Turn.RESOLVED, seq)


@pytest.mark.parametrize(
    ("issue", "grader", "detail", "entered"),
    [
        (make_issue(), Grader.TEST, {}, True),
        (make_issue(Severity.CRITICAL), Grader.PERF, {}, True),
        (make_issue(Severity.WARNING), Grader.TEST, {}, False),
        (make_issue(confidence=Confidence.LOW), Grader.TEST, {}, False),
        (make_issue(), Grader.LLM_JUDGE, {}, False),
        (make_issue(source=Grader.VISION), Grader.TEST, {}, False),
        (make_issue(), Grader.TEST, {"fallback": True}, False),
        (make_issue(), Grader.TEST, {"fallback": False}, True),
        (make_issue(), Grader.TEST, {"fallback": "true"}, True),
    ],
)
def test_only_what_shuts_the_gate_enters_and_no_stand_in_does(
    issue: IssueFacts, grader: Grader, detail: dict[str, object], entered: bool
) -> None:
    assert enters(issue, grader, detail) == entered


def test_the_guard_reports_a_returned_failure_as_a_regression_with_its_evidence() -> None:
    report = guarded(ReportFacts(Grader.TEST, issues=(make_issue(),), order=7))
    assert report is not None
    assert (report.grader, report.tool, report.order) == (Grader.OTHER, GUARD, 7)
    [issue] = report.issues
    assert (issue.kind, issue.severity) == (IssueKind.REGRESSION, Severity.ERROR)
    assert issue.message == (
        f"{MARK} came back, resolved on 2026-11-01 by report 2 on main of r-1: assert 3 == 4"
    )
    assert issue.locator == "test_clamp.py"


def test_a_regression_that_is_called_a_warning_still_is_one() -> None:
    softened = ReportFacts(Grader.TEST, issues=(make_issue(Severity.WARNING),), order=2)
    assert guarded(softened) is not None
    assert guarded(dataclasses.replace(softened, issues=(make_issue(Severity.INFO),))) is None


@pytest.mark.parametrize(
    "report",
    [
        ReportFacts(Grader.TEST, issues=(make_issue(confidence=Confidence.LOW),)),
        ReportFacts(Grader.TEST, issues=(make_issue(source=Grader.VISION),)),
        ReportFacts(Grader.TEST, tool="another", issues=(make_issue(),)),
        ReportFacts(Grader.LINT, issues=(make_issue(),)),
        ReportFacts(Grader.TEST, issues=(make_issue(fingerprint="b" * 16),)),
    ],
)
def test_what_is_unsure_or_another_tools_word_is_no_regression(report: ReportFacts) -> None:
    assert guarded(report) is None


def test_a_rerun_that_no_longer_finds_it_ends_the_regression() -> None:
    found = ReportFacts(Grader.TEST, issues=(make_issue(),), order=1)
    assert guarded(found, ReportFacts(Grader.TEST, order=2)) is None


def test_what_is_in_quarantine_does_not_come_back() -> None:
    report = ReportFacts(Grader.TEST, issues=(make_issue(),))
    assert guarded(report, quarantined=frozenset({MARK})) is None


def test_the_guards_report_owes_no_receipt_and_stands_in_for_no_required_grader() -> None:
    report = ReportFacts(Grader.TEST, issues=(make_issue(),), order=1)
    guard = guarded(report)
    assert guard is not None
    decision = decide_gate(
        reports=[report, guard],
        required=[RequiredGrader(Grader.OTHER)],
        frozen_suites={},
        changed_files=frozenset(),
        inputs_digest=HEAD,
    )
    texts = [reason.text for reason in decision.reasons]
    assert texts[0] == "other: required, and it has not reported on this head"
    assert not any("receipt" in text for text in texts)
    [own, guards] = decision.standings[-2:]
    assert (own.grader, own.name, own.verdict) == (Grader.OTHER, "", "pending")
    assert (guards.name, guards.verdict, guards.required) == (GUARD, "fail", False)
    assert guards.why.startswith(f"{MARK} came back, resolved on 2026-11-01")
    assert any(text.startswith("regression guard: error, regression at") for text in texts)


@given(st.lists(reports(), max_size=6))
def test_the_guard_never_opens_a_gate_and_advice_alone_never_wakes_it(
    given_reports: list[ReportFacts],
) -> None:
    returns = [Return(grader, tool, mark * 16, "resolved")
               for grader in Grader for tool in ("", "mypy", "pyright") for mark in "abc"]  # fmt: skip
    guard = guard_regressions(reports=given_reports, returns=returns)
    sure = any(
        effective_severity(issue, report.grader) == issue.severity
        and issue.severity.rank >= Severity.WARNING.rank
        for report in given_reports
        for issue in report.issues
    )
    assert guard is None or sure
    if guard is not None:
        decision = decide_gate(
            reports=[*given_reports, guard],
            required=(),
            frozen_suites={},
            changed_files=frozenset(),
            inputs_digest=HEAD,
        )
        assert decision.verdict == Verdict.FAIL


def test_a_known_bug_is_a_kind_and_a_scrubbed_message() -> None:
    keys = {bug_key("lint", "a"), bug_key("lint", "b"), bug_key("typo", "a")}
    assert len(keys) == 3
    assert all(len(key) == 16 for key in keys)
