import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verdicts.domain.strategies import FILES, HEAD, SUITE, issues, reports
from verdicts.domain.facts import (
    Decision,
    IssueFacts,
    ReceiptFacts,
    ReceiptStanding,
    ReportFacts,
    RequiredGrader,
    result_digest,
)
from verdicts.domain.gate import clamp, decide_gate, effective_severity
from verdicts.domain.terms import ADVISORY, Confidence, Grader, IssueKind, Severity, Verdict

RANK = {Verdict.PASS: 0, Verdict.WARN: 1, Verdict.FAIL: 2}
TEST = RequiredGrader(Grader.TEST)


def decide(*given_reports: ReportFacts, **extra: Any) -> Decision:
    arguments: dict[str, Any] = {
        "required": (),
        "frozen_suites": {Grader.TEST: frozenset({SUITE})},
        "changed_files": frozenset(),
        "inputs_digest": HEAD,
    }
    return decide_gate(reports=given_reports, **(arguments | extra))


def make_issue(severity: Severity = Severity.ERROR, **extra: Any) -> IssueFacts:
    fields: dict[str, Any] = {
        "kind": IssueKind.TEST_FAILURE,
        "severity": severity,
        "confidence": Confidence.HIGH,
        "source": Grader.TEST,
        "fingerprint": "a" * 16,
        "message": "assert 3 == 4",
        "locator": "test_clamp.py",
    }
    return IssueFacts(**(fields | extra))


def make_report(
    grader: Grader = Grader.TEST, *found: IssueFacts, order: int = 1, **extra: Any
) -> ReportFacts:
    return ReportFacts(grader, issues=found, order=order, **extra)


def proven(report: ReportFacts, **wrong: Any) -> ReportFacts:
    """The report with a receipt that holds, but for what is named."""
    fields: dict[str, Any] = {
        "standing": ReceiptStanding.VALID,
        "suite_digest": SUITE,
        "inputs_digest": HEAD,
        "covered_files": frozenset(FILES),
        "result_digest": result_digest(
            verdict=report.verdict, errored=report.errored, issues=report.issues
        ),
        "runner": "ci",
    }
    return dataclasses.replace(report, receipt=ReceiptFacts(**(fields | wrong)))


def checks(decision: Decision) -> list[str]:
    return [reason.check for reason in decision.reasons]


INFO, WARNING, ERROR, CRITICAL = Severity
# Severity, and what is left of it under each ceiling from info up.
CLAMPED = {
    INFO: (INFO, INFO, INFO, INFO),
    WARNING: (INFO, WARNING, WARNING, WARNING),
    ERROR: (INFO, WARNING, ERROR, ERROR),
    CRITICAL: (INFO, WARNING, ERROR, CRITICAL),
}


@pytest.mark.parametrize("ceiling", list(Severity))
@pytest.mark.parametrize("severity", list(Severity))
def test_a_severity_is_clamped_as_the_table_says(severity: Severity, ceiling: Severity) -> None:
    assert clamp(severity, ceiling) == CLAMPED[severity][list(Severity).index(ceiling)]


# Whether an error may block, by the report's grader and the issue's source, at high confidence.
@pytest.mark.parametrize("source", list(Grader))
@pytest.mark.parametrize("grader", list(Grader))
def test_only_where_neither_side_is_a_model_may_an_error_block(
    grader: Grader, source: Grader
) -> None:
    issue = make_issue(Severity.CRITICAL, source=source)
    models = {Grader.VISION, Grader.LLM_JUDGE}
    left = Severity.WARNING if {grader, source} & models else Severity.CRITICAL
    assert effective_severity(issue, grader) == left
    unsure = dataclasses.replace(issue, confidence=Confidence.LOW)
    assert effective_severity(unsure, grader) == Severity.WARNING
    fairly_sure = dataclasses.replace(issue, confidence=Confidence.MEDIUM)
    assert effective_severity(fairly_sure, grader) == left


def test_nothing_required_and_nothing_graded_warns() -> None:
    decision = decide()
    assert (decision.verdict, decision.graded) == (Verdict.WARN, False)
    assert checks(decision) == ["nothing_graded"]


def test_only_errored_reports_are_nothing_graded() -> None:
    decision = decide(make_report(errored=True))
    assert (decision.verdict, decision.graded) == (Verdict.WARN, False)
    assert decision.standings[0].verdict == "error"


def test_a_report_that_claims_to_fail_but_found_nothing_passes() -> None:
    assert decide(make_report(verdict=Verdict.FAIL)).verdict == Verdict.PASS


def test_a_report_that_claims_to_pass_with_an_error_fails() -> None:
    decision = decide(make_report(Grader.TEST, make_issue(), verdict=Verdict.PASS))
    assert decision.verdict == Verdict.FAIL
    assert decision.attributions == {"a" * 16: Grader.TEST}
    assert "assert 3 == 4" in decision.reasons[0].text


@pytest.mark.parametrize("grader", [Grader.PERF, Grader.CONTRACT, Grader.HUMAN, Grader.OTHER])
def test_graders_that_are_no_models_may_block(grader: Grader) -> None:
    found = make_issue(source=grader)
    assert decide(make_report(grader, found)).verdict == Verdict.FAIL


def test_a_required_grader_that_is_absent_is_named() -> None:
    decision = decide(required=[TEST, RequiredGrader(Grader.LINT)])
    assert decision.verdict == Verdict.FAIL
    assert [r.grader for r in decision.reasons if r.check == "required"] == ["test", "lint"]
    assert [line.verdict for line in decision.standings] == ["pending", "pending"]


def test_a_required_grader_that_only_errored_fails() -> None:
    decision = decide(proven(make_report(errored=True)), required=[TEST])
    assert decision.verdict == Verdict.FAIL
    assert "did not run" in decision.reasons[0].text


def test_a_crash_after_a_run_does_not_undo_the_run() -> None:
    ran, crashed = proven(make_report(order=1)), make_report(order=2, errored=True)
    assert decide(ran, crashed, required=[TEST]).verdict == Verdict.PASS


def test_what_a_later_crash_found_still_counts() -> None:
    ran = proven(make_report(order=1))
    crashed = make_report(Grader.TEST, make_issue(), order=2, errored=True)
    assert decide(ran, crashed, required=[TEST]).verdict == Verdict.FAIL


def test_a_proven_report_passes_and_shows_its_proof() -> None:
    decision = decide(proven(make_report(summary="214 passed")), required=[TEST])
    assert decision.verdict == Verdict.PASS
    line = decision.standings[0]
    assert (line.verdict, line.why, line.proof) == ("pass", "214 passed", "ci ed25519")
    assert line.required


@pytest.mark.parametrize("standing", [s for s in ReceiptStanding if s != ReceiptStanding.VALID])
def test_a_receipt_that_does_not_stand_fails(standing: ReceiptStanding) -> None:
    decision = decide(proven(make_report(), standing=standing), required=[TEST])
    assert (decision.verdict, checks(decision)) == (Verdict.FAIL, ["receipt"])
    assert decision.standings[0].verdict == "fail"


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ({"suite_digest": "00" * 32}, "suite"),
        ({"suite_digest": ""}, "suite"),
        ({"inputs_digest": "00" * 32}, "inputs"),
        ({"covered_files": frozenset({"limits.py"})}, "coverage"),
        ({"result_digest": "00" * 32}, "result"),
    ],
)
def test_each_claim_of_a_receipt_is_compared(wrong: dict[str, Any], check: str) -> None:
    report = proven(make_report(), **wrong)
    decision = decide(report, required=[TEST], changed_files=frozenset(FILES))
    assert (decision.verdict, checks(decision)) == (Verdict.FAIL, [check])


def test_every_failing_check_is_told() -> None:
    report = proven(make_report(), suite_digest="", inputs_digest="", result_digest="")
    decision = decide(report, required=[TEST, RequiredGrader(Grader.LINT)])
    assert checks(decision) == ["required", "suite", "inputs", "result"]


def test_reasons_stand_in_the_order_of_the_checks() -> None:
    dom = make_issue(kind=IssueKind.OVERFLOW, source=Grader.DOM, locator="#x")
    ocr = make_issue(INFO, kind=IssueKind.OVERFLOW, source=Grader.OCR, locator="#x")
    signed = proven(make_report(), inputs_digest="", covered_files=frozenset())
    decision = decide(
        make_report(Grader.OCR, ocr),
        make_report(Grader.DOM, dom),
        signed,
        required=[TEST, RequiredGrader(Grader.LINT)],
        changed_files=frozenset(FILES),
    )
    assert checks(decision) == ["required", "inputs", "coverage", "disagreement", "issue"]
    assert decision.verdict == Verdict.FAIL


def test_no_changed_files_are_covered_by_nothing() -> None:
    report = proven(make_report(), covered_files=frozenset())
    assert decide(report, required=[TEST]).verdict == Verdict.PASS


def test_a_report_changed_after_signing_fails() -> None:
    signed = proven(make_report(Grader.TEST, make_issue()))
    emptied = dataclasses.replace(signed, issues=())
    assert checks(decide(emptied, required=[TEST])) == ["result"]


def test_a_missing_receipt_fails_where_one_is_owed() -> None:
    assert checks(decide(make_report(), required=[TEST])) == ["receipt"]
    waived = decide(make_report(), required=[TEST], receipts_required=False)
    assert checks(waived) == ["receipt"], "a frozen suite owes one in any case"


def test_without_a_frozen_suite_a_receipt_proves_the_rest() -> None:
    lint = [RequiredGrader(Grader.LINT)]
    report = make_report(Grader.LINT)
    assert decide(report, required=lint).verdict == Verdict.FAIL
    assert decide(proven(report, suite_digest=""), required=lint).verdict == Verdict.PASS
    assert decide(report, required=lint, receipts_required=False).verdict == Verdict.PASS
    forged = proven(report, standing=ReceiptStanding.FORGED)
    assert decide(forged, required=lint, receipts_required=False).verdict == Verdict.FAIL


def test_a_suite_that_the_policy_names_must_be_frozen_and_is_the_only_one() -> None:
    report = proven(make_report())
    named = [RequiredGrader(Grader.TEST, "11" * 32)]
    assert checks(decide(report, required=named)) == ["suite"]
    both = {Grader.TEST: frozenset({SUITE, "11" * 32})}
    assert checks(decide(report, required=named, frozen_suites=both)) == ["suite"]
    assert decide(report, required=[TEST], frozen_suites=both).verdict == Verdict.PASS


def test_the_latest_report_of_a_grader_counts() -> None:
    failing, clean = make_report(Grader.TEST, make_issue(), order=1), make_report(order=2)
    assert decide(failing, clean).verdict == Verdict.PASS
    again = dataclasses.replace(failing, order=3)
    assert decide(failing, clean, again).verdict == Verdict.FAIL


def test_a_clean_tool_does_not_take_the_place_of_another_that_found_something() -> None:
    found = make_report(Grader.TYPECHECK, make_issue(), order=1, tool="mypy")
    clean = make_report(Grader.TYPECHECK, order=2, tool="pyright")
    assert decide(found, clean).verdict == Verdict.FAIL
    mended = make_report(Grader.TYPECHECK, order=3, tool="mypy")
    assert decide(found, clean, mended).verdict == Verdict.PASS


def test_a_required_grader_s_tool_that_only_errored_is_missed_though_another_ran() -> None:
    ran = proven(make_report(order=1, tool="unit"))
    crashed = make_report(order=2, tool="browser", errored=True)
    decision = decide(ran, crashed, required=[TEST])
    assert decision.verdict == Verdict.FAIL
    assert "test (browser)" in decision.reasons[0].text
    assert (decision.standings[0].verdict, decision.standings[0].why) == (
        "error",
        "browser did not run",
    )


def test_every_tool_of_a_required_grader_owes_its_own_receipt() -> None:
    both = [proven(make_report(order=1, tool="unit")), make_report(order=2, tool="browser")]
    assert checks(decide(*both, required=[TEST])) == ["receipt"]


def test_an_unproven_later_report_takes_the_place_of_a_proven_one() -> None:
    decision = decide(proven(make_report(order=1)), make_report(order=2), required=[TEST])
    assert decision.verdict == Verdict.FAIL


@pytest.mark.parametrize(
    ("runs", "window", "verdict"),
    [
        ("w", 1, Verdict.WARN),
        ("wp", 1, Verdict.PASS),
        ("pw", 1, Verdict.WARN),
        ("wwp", 3, Verdict.WARN),
        ("wpp", 3, Verdict.PASS),
        ("wp", 2, Verdict.PASS),
        ("w", 3, Verdict.WARN),
        ("wwwpp", 3, Verdict.PASS),
        ("wew", 2, Verdict.WARN),
    ],
)
def test_an_advisory_grader_warns_by_majority_of_its_last_runs(
    runs: str, window: int, verdict: Verdict
) -> None:
    told = [
        make_report(
            Grader.VISION,
            *([make_issue(source=Grader.VISION)] if run == "w" else []),
            order=order,
            errored=run == "e",
        )
        for order, run in enumerate(runs)
    ]
    assert decide(*told, advisory_window=window).verdict == verdict


def test_precise_graders_that_disagree_about_a_place_need_a_person() -> None:
    dom = make_report(Grader.DOM, make_issue(source=Grader.DOM, locator="#cap"))
    ocr = make_report(Grader.OCR, make_issue(Severity.INFO, source=Grader.OCR, locator="#cap"))
    decision = decide(dom, ocr)
    assert decision.verdict == Verdict.FAIL
    text = next(r.text for r in decision.reasons if r.check == "disagreement")
    assert "dom and ocr" in text
    assert "needs a person" in text


def test_a_model_cannot_start_a_disagreement() -> None:
    dom = make_report(Grader.DOM, make_issue(Severity.INFO, source=Grader.DOM, locator="#cap"))
    eye = make_report(Grader.VISION, make_issue(source=Grader.VISION, locator="#cap"))
    assert decide(dom, eye).verdict == Verdict.WARN


def test_the_checklist_says_how_each_grader_stands() -> None:
    decision = decide(
        make_report(Grader.VISION, make_issue(source=Grader.VISION, message="label clipped")),
        make_report(Grader.SECURITY, make_issue()),
        required=[RequiredGrader(Grader.LINT)],
        stale_graders=frozenset({Grader.TYPECHECK}),
    )
    told = [(line.grader, line.verdict, line.advisory, line.why) for line in decision.standings]
    assert told == [
        (Grader.VISION, "warn", True, "advice: label clipped"),
        (Grader.TYPECHECK, "stale", False, "graded an older head"),
        (Grader.LINT, "pending", False, "no report on this head"),
        (Grader.SECURITY, "fail", False, "assert 3 == 4"),
    ]


required_sets = st.lists(
    st.builds(
        RequiredGrader,
        st.sampled_from([Grader.TEST, Grader.DOM, Grader.VISION]),
        st.none() | st.just(SUITE),
    ),
    max_size=3,
)
settings = st.fixed_dictionaries(
    {
        "required": required_sets,
        "changed_files": st.frozensets(st.sampled_from(FILES)),
        "receipts_required": st.booleans(),
        "advisory_window": st.integers(0, 4),
    }
)


@given(st.lists(reports(), max_size=6), settings, st.randoms())
def test_a_decision_is_total_and_free_of_the_order_of_its_input(
    given_reports: list[ReportFacts],
    extra: dict[str, Any],
    random: Any,
) -> None:
    decision = decide(*given_reports, **extra)
    shuffled = list(given_reports)
    random.shuffle(shuffled)
    assert decide(*shuffled, **extra) == decision
    assert (decision.verdict == Verdict.PASS) or decision.reasons


@given(st.lists(reports(), min_size=1, max_size=5), settings, issues(), st.data())
def test_adding_an_issue_never_opens_a_gate(
    given_reports: list[ReportFacts], extra: dict[str, Any], issue: IssueFacts, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(given_reports) - 1))
    worse = list(given_reports)
    worse[index] = dataclasses.replace(worse[index], issues=(*worse[index].issues, issue))
    before, after = decide(*given_reports, **extra), decide(*worse, **extra)
    assert RANK[after.verdict] >= RANK[before.verdict]


@given(st.lists(reports(), max_size=5))
def test_models_and_low_confidence_alone_never_fail_a_gate(
    given_reports: list[ReportFacts],
) -> None:
    advisory = [
        dataclasses.replace(
            report,
            issues=tuple(
                issue
                if report.grader in ADVISORY
                else dataclasses.replace(issue, confidence=Confidence.LOW)
                for issue in report.issues
            ),
        )
        for report in given_reports
    ]
    assert decide(*advisory).verdict != Verdict.FAIL


@given(st.lists(reports(), max_size=6), settings, st.sampled_from([Grader.TEST, Grader.DOM]))
def test_taking_away_a_required_report_always_fails(
    given_reports: list[ReportFacts], extra: dict[str, Any], grader: Grader
) -> None:
    extra = extra | {"required": [*extra["required"], RequiredGrader(grader)]}
    without = [report for report in given_reports if report.grader != grader]
    decision = decide(*without, **extra)
    assert decision.verdict == Verdict.FAIL
    assert any(r.check == "required" and r.grader == grader for r in decision.reasons)


@given(st.lists(reports(), max_size=6), settings)
def test_a_gate_that_nobody_graded_never_passes(
    given_reports: list[ReportFacts], extra: dict[str, Any]
) -> None:
    crashed = [dataclasses.replace(report, errored=True) for report in given_reports]
    assert decide(*crashed, **extra).verdict != Verdict.PASS


@given(st.lists(reports(), max_size=5), issues(), st.data())
def test_an_advisory_or_unsure_issue_alone_never_shuts_a_gate(
    given_reports: list[ReportFacts], issue: IssueFacts, data: st.DataObject
) -> None:
    """Added to whatever is there, so that it is the one thing that changed."""
    unsure = data.draw(
        st.sampled_from(
            [
                dataclasses.replace(issue, confidence=Confidence.LOW),
                dataclasses.replace(issue, source=Grader.VISION),
                dataclasses.replace(issue, source=Grader.LLM_JUDGE),
            ]
        )
    )
    order = data.draw(st.integers(1, 5))
    more = make_report(Grader.HUMAN, unsure, order=order, tool="new")
    if decide(*given_reports).verdict != Verdict.FAIL:
        assert decide(*given_reports, more).verdict != Verdict.FAIL


@given(st.lists(reports(), min_size=1, max_size=5), settings)
def test_a_tool_more_never_opens_a_gate(
    given_reports: list[ReportFacts], extra: dict[str, Any]
) -> None:
    """One tool's word does not take the place of another's: the same reports, each by a tool of
    its own, weigh at least as much as all by one."""
    one = [dataclasses.replace(report, tool="") for report in given_reports]
    each = [
        dataclasses.replace(report, tool=str(index)) for index, report in enumerate(given_reports)
    ]
    assert RANK[decide(*each, **extra).verdict] >= RANK[decide(*one, **extra).verdict]


@given(st.lists(reports(), max_size=6), settings)
def test_a_failing_check_is_always_told_and_a_pass_has_nothing_to_tell(
    given_reports: list[ReportFacts], extra: dict[str, Any]
) -> None:
    decision = decide(*given_reports, **extra)
    assert (decision.verdict == Verdict.PASS) == (not decision.reasons)
    assert all(reason.text for reason in decision.reasons)
    asked = {item.grader for item in extra["required"]}
    assert asked <= {line.grader for line in decision.standings}
    if decision.verdict != Verdict.FAIL:
        assert all(line.verdict in ("pass", "warn") for line in decision.standings if line.required)


@given(
    st.sampled_from([Grader.TEST, Grader.DOM, Grader.OCR]),
    st.sampled_from([Grader.TEST, Grader.DOM, Grader.OCR]),
    st.sampled_from(Severity),
    st.sampled_from(Severity),
)
def test_precise_graders_on_two_sides_of_one_place_always_fail_closed(
    one: Grader, other: Grader, first: Severity, second: Severity
) -> None:
    told = [
        make_report(one, make_issue(first, source=one, locator="#cap"), tool="a"),
        make_report(other, make_issue(second, source=other, locator="#cap"), tool="b"),
    ]
    decision = decide(*told)
    gates = [severity.rank >= Severity.ERROR.rank for severity in (first, second)]
    assert (decision.verdict == Verdict.FAIL) == any(gates)
    asked = one != other and gates[0] != gates[1]
    assert ("disagreement" in checks(decision)) == asked


@given(st.lists(reports(), max_size=6), st.sets(st.sampled_from(["a" * 16, "b" * 16, "c" * 16])))
def test_a_quarantined_finding_is_told_and_shuts_nothing(
    given_reports: list[ReportFacts], held: set[str]
) -> None:
    before = decide(*given_reports)
    after = decide(*given_reports, quarantined=frozenset(held))
    assert RANK[after.verdict] <= RANK[before.verdict]
    assert set(after.attributions) == set(before.attributions)
    assert sum(reason.check == "issue" for reason in after.reasons) >= bool(
        held & set(after.attributions)
    )
    # Nothing but what is in quarantine changes.
    others = [
        reason for reason in before.reasons if reason.check in ("required", "receipt", "result")
    ]
    assert set(others) <= set(after.reasons)


@given(st.lists(reports(), max_size=6))
def test_what_is_told_is_what_a_plain_reading_of_every_issue_gives(
    given_reports: list[ReportFacts],
) -> None:
    """Each report by a tool of its own, so that all count."""
    told = [
        dataclasses.replace(report, tool=str(index), errored=False)
        for index, report in enumerate(given_reports)
    ]
    pairs = [(report.grader, issue) for report in told for issue in report.issues]
    weighs = [(effective_severity(issue, grader), grader, issue) for grader, issue in pairs]
    bites = [one for one in weighs if one[0].rank >= WARNING.rank]
    order = list(Grader)
    worst: dict[str, Grader] = {}
    for _, grader, issue in sorted(bites, key=lambda one: (-one[0].rank, order.index(one[1]))):
        worst.setdefault(issue.fingerprint, grader)
    decision = decide(*told)
    assert decision.attributions == worst
    texts = [reason.text for reason in decision.reasons if reason.check == "issue"]
    assert len(texts) == len(set(texts))
    for weight, grader, issue in bites:
        word = weight if weight == issue.severity else "advice"
        place = f" at {issue.locator}" if issue.locator else ""
        assert f"{grader}: {word}, {issue.kind}{place}: {issue.message}" in texts


def test_of_one_grader_the_worst_is_told_first() -> None:
    found = [make_issue(one, message=one) for one in (WARNING, ERROR, INFO, CRITICAL, ERROR)]
    decision = decide(make_report(Grader.TEST, *found), make_report(Grader.PERF, *found[:1]))
    told = [text.rpartition(" ")[2] for text in (reason.text for reason in decision.reasons)]
    assert told == ["critical", "error", "warning", "warning"]
    assert decision.standings[0].why == "4 findings: critical"


def test_quarantine_is_said_in_words_and_receipts_hold_as_they_were_signed() -> None:
    report = proven(make_report(Grader.TEST, make_issue()))
    decision = decide(report, required=[TEST], quarantined=frozenset({"a" * 16}))
    assert decision.verdict == Verdict.WARN
    assert decision.reasons[0].text == (
        "test: in quarantine as flaky, test_failure at test_clamp.py: assert 3 == 4"
    )
    assert decide(report, required=[TEST]).verdict == Verdict.FAIL
