from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.consolidation import (
    Claim,
    Cluster,
    Place,
    Step,
    claim_cluster,
    claim_fault,
    claim_issue,
    cluster_of,
    order_rivals,
    place_of,
    repository_of,
    scope_of,
    speak_of_one,
)
from memory.domain.content import make_key
from memory.domain.expression import parse_rule
from memory.domain.terms import ItemType


def fault(says: str, tool: str = "pytest") -> Claim | None:
    return claim_fault(tool=tool, says=says, signature="ab" * 32)


def issue(**more: Any) -> Claim | None:
    fields = {"kind": "overflow", "message": "It overflows", "locator": "main", "mark": "a1"}
    return claim_issue(**(fields | {"source": "dom"} | more))


def test_the_steps_follow_each_other_to_an_end() -> None:
    walked: list[Step] = [Step.SALIENCE]
    while (following := walked[-1].next) is not None:
        walked.append(following)
    assert walked == list(Step)


def test_a_claim_quotes_the_sentence_that_tells_of_the_fault() -> None:
    says = (
        "tests ..F [100%] ========== FAILURES ========== \x1b[31mE  AssertionError: 45 != 50\x1b[0m"
    )
    claim = fault(says)
    assert claim is not None
    assert claim.text == "pytest failed: AssertionError: 45 != 50"
    assert (claim.subject, claim.predicate) == ("pytest", f"fault {'ab' * 8}")


def test_a_claim_quotes_one_line_of_a_report() -> None:
    says = """def test_cap():
    > assert cap(12) == 10
    E AssertionError: the cap of 12 mL
    E assert 12 == 10"""
    claim = fault(says)
    assert claim is not None
    assert claim.text == "pytest failed: AssertionError: the cap of 12 mL"


@pytest.mark.parametrize("says", ["", "   ", "=========", "\u200b"])
def test_what_failed_without_a_word_claims_nothing(says: str) -> None:
    assert fault(says) is None


@given(st.text(max_size=300), st.text(max_size=60))
def test_no_claim_says_more_than_its_episode_and_each_has_a_key(says: str, tool: str) -> None:
    claim = fault(says, tool)
    if claim is None:
        return
    assert make_key(claim.subject, claim.predicate)
    assert claim.text in claim.premise.split("\n")


@pytest.mark.parametrize(
    ("kind", "fades"),
    [
        ("vulnerability", ItemType.SECURITY),
        ("overflow", ItemType.UI_FIX),
        ("typo", ItemType.COSMETIC_TIP),
        ("test_failure", ItemType.API_CONTRACT),
    ],
)
def test_an_issue_fades_as_its_kind_does(kind: str, fades: ItemType) -> None:
    claim = issue(kind=kind)
    assert claim is not None
    assert claim.item_type is fades


def test_claims_of_one_key_and_value_are_one_group_whatever_their_words() -> None:
    one, other = issue(message="It overflows by 3 px"), issue(message="It overflows by 9 px")
    apart = issue(mark="b2")
    assert one is not None
    assert other is not None
    assert apart is not None
    assert one.group == other.group != apart.group


@pytest.mark.parametrize(
    ("locator", "detail", "cluster"),
    [
        ("t", {"component": "data-table", "viewport": 375}, Cluster("overflow", "data-table", 375)),
        ("nav", {"viewport": {"width": 390.0}}, Cluster("overflow", "nav", 390)),
        ("", {"viewport": 375}, None),
        ("nav", {}, None),
        ("nav", {"viewport": True}, None),
        ("nav", {"viewport": -1}, None),
        ("nav", {"viewport": float("nan")}, None),
        ("nav", {"viewport": "wide"}, None),
    ],
)
def test_a_cluster_takes_component_and_width(
    locator: str, detail: dict[str, Any], cluster: Cluster | None
) -> None:
    assert cluster_of("overflow", locator, detail) == cluster


@given(st.text(max_size=100), st.integers(1, 5000))
def test_the_rule_of_any_cluster_can_be_read(component: str, width: int) -> None:
    cluster = cluster_of("broken_image", component, {"viewport": width})
    if cluster is None:
        return
    claim = claim_cluster(cluster)
    rule = parse_rule(claim.expression)
    assert (rule.demand, rule.subject) == ("forbid", "broken image")


def test_an_issue_speaks_of_an_observation_by_half_of_its_words() -> None:
    assert speak_of_one("assert 45 != 50 in test_cap", "FAILED test_cap: 45 != 50")
    assert not speak_of_one("the network is down", "FAILED test_cap: 45 != 50")
    assert not speak_of_one("", "anything")


def test_of_rivals_the_precise_one_is_written_last_then_the_better_supported() -> None:
    turns = order_rivals([(1, True, 1), (2, False, 9), (3, False, 2)])
    assert sorted(turns, key=turns.__getitem__) == [3, 2, 1]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("pump-control", "pump-control"),
        ("acme/pump-control", "acme/pump-control"),
        ("https://github.com/acme/pump-control.git", "acme/pump-control"),
        ("git@github.com:acme/pump-control.git", "acme/pump-control"),
        ("ssh://git@host:22/acme/pump/", "acme/pump"),
        (" pump ", "pump"),
        ("", ""),
        ("two words", ""),
        ("a|b", ""),
        ("x" * 200, ""),
        (["pump"], ""),
        (None, ""),
    ],
)
def test_a_run_names_its_repository_in_any_manner(told: object, name: str) -> None:
    assert repository_of({"repo": told}) == name


@pytest.mark.parametrize(
    ("places", "scope"),
    [
        ([("a", "")], "repo:a"),
        ([("a", "x")], "repo:a"),
        ([("a", "x"), ("a", "y")], "repo:a"),
        ([("", "x")], "agent:x"),
        ([("a", "x"), ("b", "x")], "agent:x"),
        ([("a", "x"), ("", "x")], "agent:x"),
        ([("a", "x"), ("b", "y")], "team"),
        ([("a", "x"), ("b", "")], "team"),
        ([("a", ""), ("", "")], "team"),
        ([("", "")], "team"),
        ([], "team"),
    ],
)
def test_the_scope_is_the_narrowest_that_holds_all_runs(
    places: list[tuple[str, str]], scope: str
) -> None:
    assert scope_of([Place(*place) for place in places]) == scope


def test_a_run_names_its_agent_in_its_spec_or_its_metadata() -> None:
    assert place_of({"agent": " dose-fixer "}, {"repo": "a"}) == Place("a", "dose-fixer")
    assert place_of({"agent": "no name"}, {"agent": "b"}) == Place("", "b")
    assert place_of({"agent": ["b"], "repo": 5}, {}) == Place()
