"""What a loop is told after each iteration, as a table and as properties."""

import dataclasses

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from tests.verdicts.domain.strategies import reports
from verdicts.domain.corroboration import find_unconfirmed
from verdicts.domain.coverage import LeftOut
from verdicts.domain.facts import IssueFacts, ReportFacts
from verdicts.domain.progress import (
    Iteration,
    Limits,
    Step,
    advise,
    find_cycle,
    gating_failures,
    has_progressed,
    name_rung,
)
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity


def issue(name: str, severity: Severity = Severity.ERROR, **more: str) -> IssueFacts:
    return IssueFacts(
        IssueKind.OVERFLOW, severity, Confidence.HIGH, Grader(more.get("source", "dom")), name,
        name, more.get("locator", ""),
    )  # fmt: skip


def head(
    *failing: str,
    model: str = "",
    cost: float | None = None,
    grader: Grader = Grader.DOM,
    runs: int = 1,
) -> Iteration:
    found = tuple(issue(name, source=grader.value) for name in failing)
    told = tuple(ReportFacts(grader, issues=found, order=n + 1) for n in range(runs))
    return Iteration("h", told, model, cost)


A, AB, ABC, B = head("a"), head("a", "b"), head("a", "b", "c"), head("b")
NARROWED = ReportFacts(Grader.DOM, order=1, left_out=(LeftOut("tests", 1, ("a",)),))
TOP = {"model": "opus"}
CASES: tuple[tuple[str, list[Iteration], Step, str], ...] = (
    ("nothing stored", [], Step.CONTINUE, ""),
    ("first failures", [AB], Step.CONTINUE, ""),
    ("strictly fewer", [ABC, AB, A], Step.CONTINUE, ""),
    ("green", [A, head()], Step.STOP, ""),
    ("green by leaving out", [A, dataclasses.replace(head(), reports=(NARROWED,))], Step.CONTINUE, ""),
    ("the same for a window", [A] * 4, Step.UPGRADE, "sonnet"),
    ("a circle of two", [A, B, A, B], Step.UPGRADE, "sonnet"),
    ("a circle of three", [A, B, AB, A, B, AB], Step.UPGRADE, "sonnet"),
    ("rising over the window", [AB, A, AB, ABC], Step.UPGRADE, "sonnet"),
    ("a new model is judged by its own", [*[A] * 4, head("a", model="sonnet")], Step.CONTINUE, ""),
    ("its turn too", [*[A] * 4, *[head("a", model="sonnet")] * 4], Step.UPGRADE, "opus"),
    ("the last model", [head("a", model="opus")] * 4, Step.ESCALATE, ""),
    ("tests are probed first", [head("a", grader=Grader.TEST)] * 4, Step.PROBE, "a"),
    ("and then believed", [head("a", grader=Grader.TEST, runs=3)] * 4, Step.UPGRADE, "sonnet"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("history", "step", "target"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_next_step(history: list[Iteration], step: Step, target: str) -> None:
    advice = advise(history)
    assert (advice.step, advice.target) == (step, target)
    assert advice.why


def test_a_fingerprint_that_comes_and_goes_on_one_head_is_quarantined() -> None:
    failing = ReportFacts(Grader.TEST, issues=(issue("a", source="test"),), order=1)
    passing = ReportFacts(Grader.TEST, order=2)
    again = dataclasses.replace(failing, order=3)
    advice = advise([Iteration("h", (failing, passing, again))])
    assert (advice.quarantined, advice.curve, advice.step) == (("a",), (0,), Step.STOP)


def test_money_without_yield_is_stuck_and_unknown_cost_is_not() -> None:
    names = [f"n{n}" for n in range(9)]
    slow = [head(*names, cost=float(spent)) for spent in range(4)]
    assert "cost money" in advise(slow, Limits(window=9)).why
    assert not advise([head(*names) for _ in range(4)], Limits(window=9)).stuck


def test_precise_graders_on_two_sides_need_a_person() -> None:
    dom = ReportFacts(Grader.DOM, issues=(issue("a", locator="#x"),), order=1)
    ocr = ReportFacts(
        Grader.OCR, issues=(issue("b", Severity.INFO, source="ocr", locator="#x"),), order=2
    )
    advice = advise([Iteration("h", (dom, ocr))])
    assert advice.step == Step.ESCALATE
    assert "disagree" in advice.why


def test_vision_alone_stays_a_warning_until_a_precise_grader_names_the_place() -> None:
    seen = ReportFacts(Grader.VISION, issues=(issue("v", source="vision", locator="#x"),), order=1)
    measured = ReportFacts(Grader.DOM, issues=(issue("a", locator="#x"),), order=2)
    assert find_unconfirmed([seen]) == {"v"}
    assert find_unconfirmed([seen, measured]) == frozenset()
    assert gating_failures([seen]) == frozenset()


@pytest.mark.parametrize(
    ("model", "rung"),
    [
        ("claude-haiku-4-5", "haiku"), ("Claude-OPUS", "opus"), ("pro-mini-2", "pro-mini"),
        ("pro-2", "pro"), ("llama", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_model_stands_on_the_rung_whose_name_says_most(model: str, rung: str) -> None:
    assert name_rung(model, ("haiku", "pro", "pro-mini", "opus")) == rung


histories = st.lists(
    st.builds(
        Iteration,
        head=st.just("h"),
        reports=st.lists(reports(), max_size=3).map(tuple),
        model=st.sampled_from(["", "haiku", "sonnet", "opus", "other"]),
        cost=st.none() | st.floats(0, 10),
    ),
    max_size=5,
)


@bounds(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(histories)
def test_advice_is_total_and_the_same_whenever_it_is_asked(history: list[Iteration]) -> None:
    advice = advise(history)
    assert advise([dataclasses.replace(one) for one in history]) == advice
    assert len(advice.curve) == len(history)
    assert advice.step != Step.STOP or advice.curve[-1] == 0
    assert not set(advice.quarantined) & set(advice.regressed)


@given(st.frozensets(st.sampled_from("abc")), st.frozensets(st.sampled_from("abc")))
def test_progress_is_a_strict_subset(before: frozenset[str], after: frozenset[str]) -> None:
    assert has_progressed(before, after) == (after <= before and len(after) < len(before))


@given(st.lists(st.frozensets(st.sampled_from("ab")), min_size=2, max_size=3))
def test_a_repeated_stretch_is_a_cycle_unless_it_stands_still(sets: list[frozenset[str]]) -> None:
    assert bool(find_cycle([*sets, *sets], 3)) == (len(set(sets)) > 1)


def test_what_the_ledger_holds_in_quarantine_is_out_of_the_failing_set() -> None:
    [failing] = [head("a")]
    mark = next(iter(gating_failures(failing.reports)))
    assert advise([failing]).curve == (1,)
    advice = advise([failing], held=frozenset({mark, "f" * 16}))
    assert (advice.curve, advice.quarantined) == ((0,), (mark,))
