"""Which failures are flaky: one table, and what no run can do."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts.domain.facts import (
    IssueFacts,
    ReceiptFacts,
    ReceiptStanding,
    ReportFacts,
    result_digest,
)
from verdicts.domain.flakiness import Counting, find_unprobed, prove_flaky
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity, Verdict

KEY = "a" * 16
FOUND = IssueFacts(
    IssueKind.TEST_FAILURE, Severity.ERROR, Confidence.HIGH, Grader.TEST, KEY, "assert 3 == 4"
)


def run(found: bool, order: int, *, signed: bool = False, **extra: Any) -> ReportFacts:
    report = ReportFacts(Grader.TEST, issues=(FOUND,) if found else (), order=order)
    report = replace(report, **extra)
    if not signed:
        return report
    digest = result_digest(verdict=Verdict.PASS, errored=False, issues=report.issues)
    return replace(report, receipt=ReceiptFacts(ReceiptStanding.VALID, result_digest=digest))


def runs(told: str) -> list[ReportFacts]:
    """`x` failed, `.` passed, `X` and `o` the same with a receipt, `e` errored."""
    return [
        run(letter in "xX", place, signed=letter in "Xo", errored=letter == "e")
        for place, letter in enumerate(told, start=1)
    ]


# The runs of one tool on one head, what bears on them, and in how many of how many it was found.
CASES: list[tuple[str, Counting, tuple[int, int] | None]] = [
    ("x.x", Counting(), (2, 3)),
    ("x.", Counting(), None),
    ("xxx", Counting(), None),
    ("...", Counting(), None),
    ("x.e", Counting(), None),
    ("x..x", Counting(), (2, 4)),
    ("XoX", Counting(), (2, 3)),
    ("X...", Counting(), None),
    ("Xo.x", Counting(), None),
    ("XoX.", Counting(owing=frozenset({Grader.TEST})), (2, 3)),
    ("x.x", Counting(owing=frozenset({Grader.TEST})), None),
    ("x.x", Counting(owing=frozenset({Grader.LINT})), (2, 3)),
    ("x.x", Counting(proven=frozenset({KEY})), None),
    ("x.x", Counting(proven=frozenset({"b" * 16})), (2, 3)),
    ("x.x", Counting(since={KEY: 3}), None),
    ("x.xx.", Counting(since={KEY: 3}), None),
    ("x.xx.x", Counting(since={KEY: 3}), (2, 3)),
    ("x.x", Counting(since={"b" * 16: 3}), (2, 3)),
]


@pytest.mark.parametrize(("told", "counting", "proof"), CASES)
def test_a_tool_proves_a_failure_flaky_as_the_table_says(
    told: str, counting: Counting, proof: tuple[int, int] | None
) -> None:
    flaky = prove_flaky(runs(told), reruns=3, counting=counting)
    assert [(one.found, one.runs) for one in flaky] == ([proof] if proof else [])


@pytest.mark.parametrize(
    ("told", "unprobed"),
    [("x", True), ("x.", True), (".x.", False), ("xxx", False), ("Xx..", True), ("XoX", False)],
)
def test_a_failed_test_is_run_often_enough_before_it_is_believed(told: str, unprobed: bool) -> None:
    assert find_unprobed(runs(told), reruns=3) == ((KEY,) if unprobed else ())


def test_a_receipt_of_another_result_counts_as_none() -> None:
    told = runs("XoX")
    taken = replace(told[1], issues=(FOUND,))
    assert prove_flaky([told[0], taken, told[2]], reruns=3) == ()


@pytest.mark.parametrize(
    "extra", [{"tool": "another"}, {"grader": Grader.LLM_JUDGE}, {"errored": True}]
)
def test_another_tool_advice_and_a_crash_are_no_reruns(extra: dict[str, Any]) -> None:
    told = [*runs("xx"), run(False, 3, **extra)]
    assert prove_flaky(told, reruns=3) == ()


@given(st.text("x.Xoe", max_size=8), st.integers(2, 5), st.booleans(), st.integers(0, 5))
def test_what_is_flaky_disagrees_and_more_conditions_never_prove_more(
    told: str, reruns: int, owing: bool, since: int
) -> None:
    reports = runs(told)
    counting = Counting(frozenset({Grader.TEST} if owing else ()), since={KEY: since})
    loose = prove_flaky(reports, reruns=reruns)
    strict = prove_flaky(reports, reruns=reruns, counting=counting)
    assert {one.fingerprint for one in strict} <= {one.fingerprint for one in loose}
    for proof in (*loose, *strict):
        assert 0 < proof.found < proof.runs
        assert proof.runs >= reruns
