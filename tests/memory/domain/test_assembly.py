import dataclasses
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.assembly import (
    KEEPING,
    ORDER,
    Candidate,
    Left,
    Origin,
    Policy,
    Section,
    assemble,
    count_tokens,
    label,
    rank_of,
)
from memory.domain.likeness import similarity, words_of
from memory.domain.terms import Grounding, Standing, Trust

SCOPES = ("agent:a", "repo:r", "team", "global")
WIDE = Policy(budget=10_000)


def record(order: int, text: str = "", **more: Any) -> Candidate:
    told = text or f"statement number {order}"
    made = Candidate(
        id=f"f-{order}",
        order=order,
        section=Section.FACTS,
        text=told,
        scope="team",
        confidence=0.8,
        words=words_of(told),
    )
    return dataclasses.replace(made, **more)


def push(text: str) -> list[str]:
    return ["orders"] if "push!" in text.casefold() else []


texts = st.lists(
    st.sampled_from(["dose", "cap", "limit", "pump", "ward", "alarm", "test", "clamp"]),
    min_size=1,
    max_size=6,
).map(" ".join)


@st.composite
def records(draw: st.DrawFn) -> list[Candidate]:
    orders = draw(st.lists(st.integers(1, 500), unique=True, max_size=14))
    return [
        record(
            order,
            draw(texts),
            section=draw(st.sampled_from(Section)),
            scope=draw(st.sampled_from([*SCOPES, "repo:other"])),
            key=draw(st.sampled_from(["", "limits|cap", "limits|floor"])),
            standing=draw(st.sampled_from([Standing.LIVE] * 5 + list(Standing))),
            trust=draw(st.sampled_from(list(Trust))),
            grounding=draw(st.sampled_from(list(Grounding))),
            confidence=draw(st.floats(0, 1)),
            strength=draw(st.floats(0, 1)),
            relevance=draw(st.floats(0, 1)),
        )
        for order in orders
    ]


policies = st.builds(Policy, budget=st.integers(0, 120), least_rank=st.floats(0, 0.6))


@given(records(), policies)
def test_the_budget_is_hard(told: list[Candidate], policy: Policy) -> None:
    found = assemble(told, scopes=SCOPES, policy=policy)
    assert found.tokens == sum(count_tokens(one.text) for one in found.entered) <= policy.budget


@given(records(), policies)
def test_no_two_records_of_one_key_enter(told: list[Candidate], policy: Policy) -> None:
    found = assemble(told, scopes=SCOPES, policy=policy)
    keys = Counter(one.candidate.key for one in found.entered if one.candidate.key)
    assert all(count == 1 for count in keys.values())


@given(records(), policies)
def test_nothing_that_must_not_enters(told: list[Candidate], policy: Policy) -> None:
    for entered in assemble(told, scopes=SCOPES, policy=policy).entered:
        one = entered.candidate
        assert one.standing is Standing.LIVE
        assert one.trust is not Trust.UNVERIFIED
        assert one.scope in SCOPES
        assert rank_of(one, policy) >= policy.least_rank


@given(records(), policies)
def test_nothing_that_is_nearly_the_same_enters_twice(
    told: list[Candidate], policy: Policy
) -> None:
    found = [one.candidate for one in assemble(told, scopes=SCOPES, policy=policy).entered]
    for at, one in enumerate(found):
        for other in found[:at]:
            assert similarity(one.words, other.words) < policy.most_alike


@given(records(), policies)
def test_every_record_is_accounted_for_once(told: list[Candidate], policy: Policy) -> None:
    found = assemble(told, scopes=SCOPES, policy=policy)
    named = [one.candidate.id for one in found.entered]
    named += [one.candidate.id for one in found.left_out]
    assert sorted(named) == sorted(one.id for one in told)


def choose_plainly(told: list[Candidate], policy: Policy) -> list[str]:
    """Maximal marginal relevance as it is defined: over everything that waits, each time anew."""
    taken: list[Candidate] = []
    spent, waiting = 0, list(told)
    while waiting:

        def margin(one: Candidate) -> float:
            alike = max((similarity(one.words, other.words) for other in taken), default=0.0)
            return policy.diversity * rank_of(one, policy) - (1 - policy.diversity) * alike

        best = min(waiting, key=lambda one: (-margin(one), one.order))
        waiting.remove(best)
        alike = max((similarity(best.words, other.words) for other in taken), default=0.0)
        tokens = count_tokens(label(best))
        if alike < policy.most_alike and spent + tokens <= policy.budget:
            taken.append(best)
            spent += tokens
    return sorted(one.id for one in taken)


@given(records(), policies)
def test_what_enters_is_the_choice_by_maximal_marginal_relevance(
    told: list[Candidate], policy: Policy
) -> None:
    clean = [
        dataclasses.replace(
            one, section=Section.FACTS, key="", standing=Standing.LIVE, trust=Trust.CORROBORATED
        )
        for one in told
        if one.scope in SCOPES and rank_of(one, policy) >= policy.least_rank
    ]
    found = assemble(clean, scopes=SCOPES, policy=policy)
    assert sorted(one.candidate.id for one in found.entered) == choose_plainly(clean, policy)


@given(records(), policies, st.randoms(use_true_random=False))
def test_the_order_in_which_records_come_changes_nothing(
    told: list[Candidate], policy: Policy, dice: random.Random
) -> None:
    shuffled = list(told)
    dice.shuffle(shuffled)
    assert assemble(shuffled, scopes=SCOPES, policy=policy) == assemble(
        told, scopes=SCOPES, policy=policy
    )


@given(records(), policies)
def test_the_output_stands_by_section_and_by_age(told: list[Candidate], policy: Policy) -> None:
    found = assemble(told, scopes=SCOPES, policy=policy)
    placed = [(ORDER[one.candidate.section], one.candidate.order) for one in found.entered]
    assert placed == sorted(placed)


def test_ranks_that_move_do_not_move_the_prefix() -> None:
    one = record(1, confidence=0.4)
    other = record(2, "another thing altogether", confidence=0.9)
    moved = dataclasses.replace(one, confidence=0.99, strength=0.9)
    before = assemble([one, other], scopes=SCOPES, policy=WIDE)
    after = assemble([moved, other], scopes=SCOPES, policy=WIDE)
    assert [e.candidate.id for e in before.entered] == [e.candidate.id for e in after.entered]


def test_under_pressure_episodes_go_first_and_identity_last() -> None:
    told = [
        record(1, "episode of yesterday", section=Section.EPISODES, confidence=1.0, relevance=1.0),
        record(2, "the cap is low", section=Section.FACTS),
        record(3, "you guard the dose", section=Section.SYSTEM, confidence=0.3),
    ]
    sizes = {one.id: count_tokens(label(one)) for one in told}
    tight = Policy(budget=sizes["f-3"] + sizes["f-2"])
    found = assemble(told, scopes=SCOPES, policy=tight)
    assert [one.candidate.id for one in found.entered] == ["f-3", "f-2"]
    assert [(one.candidate.id, one.reason) for one in found.left_out] == [("f-1", Left.BUDGET)]
    tighter = assemble(told, scopes=SCOPES, policy=Policy(budget=sizes["f-3"]))
    assert [one.candidate.id for one in tighter.entered] == ["f-3"]


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        ({"trust": Trust.VERIFIED, "confidence": 0.3}, {"scope": "repo:r", "confidence": 1.0}),
        ({"scope": "repo:r", "confidence": 0.3}, {"scope": "team", "confidence": 1.0}),
        ({"trust": Trust.VERIFIED, "confidence": 0.3}, {"confidence": 1.0}),
        ({"confidence": 0.9}, {"confidence": 0.5}),
        ({}, {}),
    ],
    ids=[
        "what is verified",
        "the narrower scope",
        "the higher trust",
        "the higher rank",
        "the older",
    ],
)
def test_of_one_key_there_speaks(winner: dict[str, Any], loser: dict[str, Any]) -> None:
    one = record(1, "the cap is 45 mg", key="limits|cap", **winner)
    other = record(2, "fifty it is for children", key="limits|cap", **loser)
    found = assemble([other, one], scopes=SCOPES, policy=WIDE)
    assert [e.candidate.id for e in found.entered] == ["f-1"]
    assert [(left.reason, left.by) for left in found.left_out] == [(Left.KEY, "f-1")]


@pytest.mark.parametrize(
    ("change", "reason", "figures"),
    [
        ({"standing": Standing.SUPPRESSED}, Left.STANDING, {"standing": "suppressed"}),
        ({"standing": Standing.BURIED}, Left.STANDING, {"standing": "buried"}),
        ({"standing": Standing.HELD}, Left.STANDING, {"standing": "held"}),
        ({"standing": Standing.REFUSED}, Left.STANDING, {"standing": "refused"}),
        ({"trust": Trust.UNVERIFIED}, Left.TRUST, {}),
        ({"scope": "repo:other"}, Left.SCOPE, {"scope": "repo:other"}),
        ({"confidence": 0.0, "strength": 0.05}, Left.RANK, {"rank": 0.015}),
        ({"text": "word " * 8_000}, Left.BUDGET, {"tokens": 13_345, "room": 10_000, "rank": 0.62}),
        ({"text": "Push!"}, Left.SUSPICIOUS, {"says": "It orders."}),
    ],
)
def test_the_reason_for_staying_out_is_told_with_its_figures(
    change: dict[str, Any], reason: Left, figures: dict[str, Any]
) -> None:
    found = assemble([record(1, **change)], scopes=SCOPES, policy=WIDE, orders=push)
    assert found.as_json()["left_out"] == [
        {"id": "f-1", "origin": "record", "reason": reason.value, **figures}
    ]


def test_an_advisory_item_says_so_in_its_line() -> None:
    seen = record(
        1,
        "The button is hard to read",
        grounding=Grounding.ADVISORY,
        source="vision",
        confidence=0.4,
    )
    assert label(seen) == "The button is hard to read [src:vision conf:low advisory]"
    assert label(dataclasses.replace(seen, trust=Trust.VERIFIED)) == "The button is hard to read"
    precise = dataclasses.replace(seen, grounding=Grounding.PRECISE)
    assert label(precise) == "The button is hard to read"


def test_the_weights_are_stored_with_what_they_did() -> None:
    told = assemble([record(1)], scopes=SCOPES, policy=WIDE).as_json()
    assert told["policy"]["w_e"] == 0.4
    assert told["entered"][0]["rank"] == pytest.approx(0.4 * 0.8 + 0.3)


def test_the_choice_by_marginal_relevance_as_computed_by_hand() -> None:
    # Ranks 0.62, 0.58 and 0.5; one and other share 4 of 6 words, and third none with either.
    one = record(1, "alpha beta gamma delta epsilon")
    other = record(2, "alpha beta gamma delta zeta", confidence=0.7)
    third = record(3, "eta theta iota kappa lambda", confidence=0.5)
    told = [other, third, one]
    costs = {candidate.id: count_tokens(label(candidate)) for candidate in told}
    two = Policy(budget=costs["f-1"] + max(costs.values()))
    # λ = 0.7: after one, other has 0.7·0.58 − 0.3·(4/6) = 0.206, and third 0.7·0.5 = 0.35.
    found = assemble(told, scopes=SCOPES, policy=two)
    assert [entered.candidate.id for entered in found.entered] == ["f-1", "f-3"]
    assert [(left.candidate.id, left.reason) for left in found.left_out] == [("f-2", Left.BUDGET)]
    # λ = 1: rank alone. λ = 0.9: 0.9·0.58 − 0.1·(4/6) = 0.455 against 0.9·0.5 = 0.45.
    for diversity, second in ((1.0, "f-2"), (0.9, "f-2"), (0.88, "f-3")):
        policy = dataclasses.replace(two, diversity=diversity)
        found = assemble(told, scopes=SCOPES, policy=policy)
        assert [entered.candidate.id for entered in found.entered] == ["f-1", second]
    # 5 of 6 words the same are 0.83, which is more than most_alike.
    same = record(4, "alpha beta gamma delta epsilon zeta")
    (left,) = assemble([one, same], scopes=SCOPES, policy=WIDE).left_out
    assert (left.by, left.figures["likeness"]) == ("f-1", 0.8333)


def prompt(told: list[Candidate], policy: Policy) -> list[str]:
    found = assemble(told, scopes=SCOPES, policy=policy)
    return [f"{one.text}\n" for one in found.entered]


@given(records(), st.data())
def test_a_record_more_keeps_the_prefix_up_to_its_place_byte_for_byte(
    told: list[Candidate], data: st.DataObject
) -> None:
    newest = max((one.order for one in told), default=0) + 1
    # It says something of its own, under no key, so that it is in nobody's place.
    more = record(newest, "quite new words", section=data.draw(st.sampled_from(Section)))
    before, after = prompt(told, WIDE), prompt([*told, more], WIDE)
    line = f"{label(more)}\n"
    at = after.index(line)
    assert "".join(after).encode().startswith("".join(before[:at]).encode())
    assert [*after[:at], *after[at + 1 :]] == before


@given(records(), policies)
def test_what_had_no_room_had_none_beside_all_that_is_kept_before_it(
    told: list[Candidate], policy: Policy
) -> None:
    found = assemble(told, scopes=SCOPES, policy=policy)
    for left in found.left_out:
        if left.reason is Left.BUDGET:
            first = KEEPING[: KEEPING.index(left.candidate.section) + 1]
            kept = [one.tokens for one in found.entered if one.candidate.section in first]
            assert sum(kept) + count_tokens(label(left.candidate)) > policy.budget


def given_line(order: int, text: str, origin: Origin, **more: Any) -> Candidate:
    section = {
        Origin.ROLE: Section.SYSTEM,
        Origin.PERCEPT: Section.SCRATCH,
        Origin.EPISODE: Section.EPISODES,
    }[origin]
    told = record(order, text, section=section, origin=origin, source="dom", **more)
    return dataclasses.replace(told, trust=Trust.UNVERIFIED, scope="", id=f"e-{order}")


def test_identity_percepts_facts_and_episodes_are_evicted_from_the_end() -> None:
    told = [
        given_line(0, "repairer", Origin.ROLE),
        record(7, "require a scroll bar", section=Section.SYSTEM),
        given_line(901, "the button is hidden", Origin.PERCEPT),
        record(3, "the cap is low"),
        given_line(900, "pytest failed", Origin.EPISODE),
    ]
    order = [entered.candidate.id for entered in assemble(told, scopes=SCOPES, policy=WIDE).entered]
    assert order == ["e-0", "f-7", "f-3", "e-900", "e-901"]
    keeping = [told[index] for index in range(5)]
    for count in range(5):
        room = sum(count_tokens(label(one)) for one in keeping[:count])
        found = assemble(told, scopes=SCOPES, policy=Policy(budget=room))
        assert {one.candidate.id for one in found.entered} == {one.id for one in keeping[:count]}
    assert label(told[0]) == "role: repairer"
    assert label(told[2]) == "the button is hidden [src:dom percept]"


def test_what_a_branch_saw_crowds_out_no_record() -> None:
    told = [given_line(9, "the cap is low", Origin.PERCEPT), record(1, "the cap is low")]
    assert len(assemble(told, scopes=SCOPES, policy=WIDE).entered) == 2


@pytest.mark.parametrize(
    ("change", "enters"),
    [({}, False), ({"trust": Trust.VERIFIED}, True)],
    ids=["what runs vouch for", "what a person let in"],
)
def test_an_order_over_two_lines_is_left_out_where_no_person_read_it(
    change: dict[str, Any], enters: bool
) -> None:
    def orders(text: str) -> list[str]:
        return ["orders"] if "please push" in text else []

    told = [record(1, "the cap, please"), record(2, "push now", **change)]
    found = assemble(told, scopes=SCOPES, policy=WIDE, orders=orders)
    assert len(found.entered) == 1 + enters
    assert found.tokens == sum(one.tokens for one in found.entered)
