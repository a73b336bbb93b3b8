"""Prompts that repeat or resemble an earlier one, and runs that are held out."""

import random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branches.domain.holdout import Sides, held_out_by_rank
from branches.domain.likeness import MAX_NEAR, NEAR, Likeness, Prompts, sign

WORDS = [f"word{number}" for number in range(2_000)]


def prompt(text: str, system: str = "You are an agent.") -> list[dict[str, Any]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def text(seed: int, length: int = 300) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def see(prompts: Prompts, said: str, number: int, held_out: bool = False) -> Likeness | None:
    return prompts.see(prompt(said), digest=said, number=number, held_out=held_out)


def test_the_same_prompt_is_exact_and_told_by_its_first() -> None:
    prompts = Prompts()
    assert see(prompts, text(1), 1) is None
    assert see(prompts, text(1), 2) == Likeness(1, 1.0, True, False)
    assert see(prompts, text(1), 3, held_out=True) == Likeness(1, 1.0, True, True)


def test_a_prompt_with_one_word_changed_is_near_and_another_one_is_not() -> None:
    prompts = Prompts()
    see(prompts, text(1), 1)
    found = see(prompts, text(1).replace(text(1).split()[150], "changed", 1), 2, held_out=True)
    assert found is not None
    assert (found.number, found.exact, found.across) == (1, False, True)
    assert found.similarity >= NEAR
    assert see(prompts, text(2), 3) is None


def test_one_system_message_does_not_make_all_prompts_alike() -> None:
    prompts = Prompts()
    long = text(9, 3_000)
    for number in range(5):
        said = prompt(text(number, 40), long)
        assert prompts.see(said, digest=str(number), number=number, held_out=False) is None


def test_the_other_side_of_the_split_is_told_before_its_own() -> None:
    prompts = Prompts()
    see(prompts, text(1), 1, held_out=True)
    see(prompts, f"{text(1)} and a little more", 2)
    found = see(prompts, f"{text(1)} and a little", 3)
    assert found is not None
    assert (found.number, found.across) == (1, True)


def test_memory_is_bounded_and_forgetting_is_told() -> None:
    prompts = Prompts(max_exact=3, max_near=2)
    for number in range(3):
        see(prompts, text(number), number)
    assert prompts.forgot
    assert see(prompts, text(2), 9) is not None
    assert len(prompts._near) == 2
    assert {number for alike in prompts._bands.values() for number in alike} <= set(prompts._near)


def test_many_prompts_that_are_all_alike_cost_no_more_each() -> None:
    prompts = Prompts()
    for number in range(300):
        see(prompts, f"{text(1)} {number}", number)
    assert max(map(len, prompts._bands.values())) <= 16
    assert len(prompts._near) == 300 <= MAX_NEAR


@given(st.text(max_size=400))
def test_a_text_of_any_kind_is_like_itself(said: str) -> None:
    prompts = Prompts()
    assert sign(said) == sign(said)
    assert prompts.see(prompt(said), digest="a", number=1, held_out=False) is None
    found = prompts.see(prompt(said), digest="b", number=2, held_out=False)
    assert found is not None
    assert found.similarity == 1.0


@given(st.lists(st.uuids(), min_size=1, max_size=40))
def test_two_runs_or_more_give_two_sides_and_the_choice_does_not_hang_on_order(
    runs: list[UUID],
) -> None:
    def split(order: list[UUID]) -> set[UUID]:
        sides = Sides()
        for run in order:
            sides.see(run, held_out_by_rank(run))
        held_out = sides.better() or held_out_by_rank
        return {run for run in order if held_out(run)}

    held = split(runs)
    assert held == split(sorted(runs)) == split(runs[::-1])
    if len(set(runs)) > 1:
        assert 0 < len(held) < len(set(runs))


@pytest.mark.parametrize("count", [1_000])
def test_about_one_run_in_ten_is_held_out_whatever_ids_clients_choose(count: int) -> None:
    held = sum(held_out_by_rank(UUID(int=number)) for number in range(count))
    assert 70 <= held <= 130
