"""Who confirms what an advisory grader reports."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verdicts.domain.strategies import reports
from verdicts.domain.corroboration import (
    DEFAULT_FAMILIES,
    families_of,
    find_advised,
    find_unconfirmed,
)
from verdicts.domain.facts import IssueFacts, ReportFacts
from verdicts.domain.progress import Iteration, Step, advise, gating_failures
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity

CLAUDE, SONNET, GPT, GEMMA = "claude-opus-4", "sonnet", "openai/gpt-4.1", "gemma3:27b"


def says(
    grader: Grader,
    model: str = "",
    severity: Severity = Severity.ERROR,
    mark: str = "",
    *,
    order: int = 1,
    **extra: Any,
) -> ReportFacts:
    """One report with one finding, in its own words unless `mark` says which."""
    fields: dict[str, Any] = {
        "kind": IssueKind.INTENT_MISMATCH,
        "severity": severity,
        "confidence": Confidence.HIGH,
        "source": grader,
        "fingerprint": mark or f"{grader}{model}",
        "message": f"seen by {model or grader}",
        "locator": "answer",
    }
    told = {name: extra.pop(name) for name in tuple(extra) if name in fields}
    issue = IssueFacts(**(fields | told))
    return ReportFacts(grader, issues=(issue,), order=order, tool=model, model=model, **extra)


JUDGE, VISION, DOM = Grader.LLM_JUDGE, Grader.VISION, Grader.DOM
FIRST = says(JUDGE, CLAUDE, mark="f")
# What the second report is, whether it confirms the first judge's finding, and by what words.
SECOND: list[tuple[str, ReportFacts | None, bool, str]] = [
    ("nobody", None, False, "no judge of another family than anthropic"),
    ("another family", says(JUDGE, GPT), True, "judges of anthropic and openai agree"),
    ("the same family", says(JUDGE, SONNET), False, "no judge of another family"),
    ("a model of no family", says(JUDGE, "homebrew-7b"), False, "no judge of another family"),
    ("no model named", says(JUDGE), False, "no judge of another family"),
    ("made of both families", says(JUDGE, "gpt-claude-mix"), False, "no judge of another family"),
    ("elsewhere", says(JUDGE, GPT, locator="title"), False, "no judge of another family"),
    ("another kind", says(JUDGE, GPT, kind=IssueKind.TYPO), False, "no judge of another family"),
    ("only a note", says(JUDGE, GPT, Severity.INFO), False, "no judge of another family"),
    ("as a warning", says(JUDGE, GPT, Severity.WARNING), True, "judges of anthropic and openai"),
    ("another judge that did not run", says(JUDGE, GPT, errored=True), False, "no judge of"),
    ("a camera", says(VISION, GPT), False, "no judge of another family"),
    ("a precise grader", says(DOM), True, "a precise grader finds the same"),
    ("a precise grader elsewhere", says(DOM, locator="title"), False, "no judge of"),
    ("one that is not sure", says(DOM, confidence=Confidence.LOW), False, "no judge of"),
    ("a judge's word in its report", says(DOM, GPT, source=JUDGE), True, "judges of"),
]


@pytest.mark.parametrize(
    ("second", "confirmed", "why"), [case[1:] for case in SECOND], ids=[case[0] for case in SECOND]
)
def test_a_judge_is_confirmed_as_the_table_says(
    second: ReportFacts | None, confirmed: bool, why: str
) -> None:
    [told] = [
        one
        for one in find_advised([FIRST, *([second] if second else [])])
        if one.fingerprint == "f"
    ]
    assert told.confirmed is confirmed
    assert told.why.startswith(why)


def test_vision_is_confirmed_by_a_precise_grader_and_by_no_model() -> None:
    seen = says(VISION, CLAUDE, mark="v")
    assert find_unconfirmed([seen]) == {"v"}
    assert "v" in find_unconfirmed([seen, says(VISION, GPT), says(JUDGE, GPT)])
    assert "v" not in find_unconfirmed([seen, says(DOM)])


def test_a_judge_of_an_unknown_model_confirms_nobody_and_says_why() -> None:
    [told] = find_advised([says(JUDGE, "homebrew-7b")])
    assert (
        told.why
        == "homebrew-7b is of no family that the policy knows, so no second judge can confirm it"
    )
    families = (("ours", ("homebrew",)), ("openai", ("gpt",)))
    pair = [says(JUDGE, "homebrew-7b"), says(JUDGE, GPT)]
    assert all(one.confirmed for one in find_advised(pair, families))


def test_a_judge_that_takes_it_back_confirms_no_more() -> None:
    second = says(JUDGE, GPT, order=2)
    silent = replace(second, issues=(), order=3)
    assert find_unconfirmed([FIRST, second, silent]) == {"f"}


def test_one_tool_that_asks_two_models_is_two_judges() -> None:
    second = replace(says(JUDGE, GPT, order=2), tool=FIRST.tool)
    assert find_unconfirmed([FIRST, second]) == frozenset()


def test_findings_of_no_kind_and_no_place_are_the_same_by_their_words_alone() -> None:
    loose: dict[str, Any] = {"kind": IssueKind.OTHER, "locator": ""}
    pair = [says(JUDGE, CLAUDE, **loose), says(JUDGE, GPT, **loose)]
    assert len(find_unconfirmed(pair)) == 2
    same = [says(JUDGE, model, mark="w", **loose) for model in (CLAUDE, GPT)]
    assert find_unconfirmed(same) == frozenset()


@pytest.mark.parametrize(
    ("model", "families"),
    [
        (CLAUDE, {"anthropic"}), ("us.anthropic.claude-3-5-sonnet", {"anthropic"}), (GPT, {"openai"}),
        ("o3-mini", {"openai"}), ("foo3", set()), (GEMMA, {"google"}), ("Llama3.1", {"meta"}),
        ("deepseek-r1-distill-llama-70b", {"deepseek", "meta"}), ("", set()),
    ],
)  # fmt: skip
def test_a_model_is_of_the_families_whose_words_it_holds(model: str, families: set[str]) -> None:
    assert families_of(model, DEFAULT_FAMILIES) == families


def test_two_families_that_find_an_error_ask_a_person_where_nothing_precise_fails() -> None:
    pair = (FIRST, says(JUDGE, GPT))
    advice = advise([Iteration("h", pair)])
    assert advice.step == Step.ESCALATE
    assert "judges of anthropic and openai agree: seen by" in advice.why
    assert set(advice.confirmed) == {"f", f"{JUDGE}{GPT}"}
    assert gating_failures(pair) == frozenset(), (
        "the gate's ceiling holds for two models as for one"
    )
    # A precise failure comes first, and what two call a warning is one.
    assert advise([Iteration("h", (*pair, says(DOM, locator="x")))]).step == Step.CONTINUE
    mild = tuple(says(JUDGE, model, Severity.WARNING) for model in (CLAUDE, GPT))
    assert advise([Iteration("h", mild)]).step == Step.STOP
    assert advise([Iteration("h", (FIRST,))]).step == Step.STOP


@given(st.lists(reports(), max_size=5))
def test_more_reports_take_no_confirmation_away_unless_they_replace_one(
    given_reports: list[ReportFacts],
) -> None:
    told = [replace(one, tool=str(place)) for place, one in enumerate(given_reports)]
    before = {one.fingerprint for one in find_advised(told) if one.confirmed}
    after = {
        one.fingerprint
        for one in find_advised([*told, replace(says(JUDGE, GPT), tool="new")])
        if one.confirmed
    }
    assert before <= after
