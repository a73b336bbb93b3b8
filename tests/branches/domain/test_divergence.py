"""Prefixes, and a tree of branches out of separate trials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branches.domain.divergence import Planned, build_trie, shared_prefix

trials = st.lists(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=6), max_size=7)


def steps(text: str) -> list[bytes]:
    return [letter.encode() for letter in text]


def full_path(plans: tuple[Planned, ...], given: list[list[bytes]], index: int) -> list[bytes]:
    plan = plans[index]
    shared = [] if plan.parent is None else full_path(plans, given, plan.parent)[: plan.fork_at]
    return shared + [given[plan.trial][i] for i in plan.own]


@pytest.mark.parametrize(
    ("a", "b", "shared"),
    [("", "", 0), ("abc", "", 0), ("abc", "abd", 2), ("abc", "abc", 3), ("abc", "abcd", 3)],
)
def test_the_shared_prefix_is_counted_in_steps(a: str, b: str, shared: int) -> None:
    assert shared_prefix(steps(a), steps(b)) == shared


def test_no_trials_make_no_branches() -> None:
    assert build_trie([]) == ()


def test_each_trial_forks_from_the_branch_that_owns_its_deepest_shared_step() -> None:
    plans = build_trie([steps("abcd"), steps("abxyz"), steps("abxyq"), steps("abcq")])
    assert plans == (
        Planned(0, None, 0, range(0, 4)),
        Planned(1, 0, 2, range(2, 5)),
        Planned(2, 1, 4, range(4, 5)),
        Planned(3, 0, 3, range(3, 4)),
    )


@pytest.mark.parametrize("later", ["abcd", "ab"])
def test_a_trial_told_already_owns_nothing(later: str) -> None:
    assert build_trie([steps("abcd"), steps(later)])[1] == Planned(
        1, 0, len(later), range(len(later), len(later))
    )


def test_a_trial_without_a_shared_step_has_no_parent() -> None:
    assert build_trie([steps("ab"), steps("xy")])[1] == Planned(1, None, 0, range(0, 2))


def test_a_trial_longer_than_the_trunk_forks_at_its_end() -> None:
    assert build_trie([steps("ab"), steps("abc")])[1] == Planned(1, 0, 2, range(2, 3))


def test_deep_trials_are_planned_without_recursion() -> None:
    long = [str(n).encode() for n in range(50_000)]
    assert build_trie([long, [*long, b"more"]])[1] == Planned(1, 0, 50_000, range(50_000, 50_001))


@given(trials)
def test_the_parents_path_and_the_own_steps_give_back_every_trial(given: list[list[bytes]]) -> None:
    plans = build_trie(given)
    assert [full_path(plans, given, n) for n in range(len(given))] == given


@given(trials)
def test_no_earlier_trial_shares_more_than_the_plan_does(given: list[list[bytes]]) -> None:
    for n, plan in enumerate(build_trie(given)):
        assert plan.trial == n
        assert plan.fork_at == max(
            (shared_prefix(earlier, given[n]) for earlier in given[:n]), default=0
        )
