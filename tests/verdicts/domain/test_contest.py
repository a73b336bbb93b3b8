from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts.domain.contest import Course, Neutral, Round, play

type Said = dict[frozenset[str], str | Neutral]

EQUAL, BOTH_BAD = Neutral.EQUAL, Neutral.BOTH_BAD


def pair(one: str, other: str) -> frozenset[str]:
    return frozenset((one, other))


@pytest.mark.parametrize(
    ("said", "rounds", "pending", "winner"),
    [
        ({}, [], ("a", "b"), None),
        ({pair("a", "b"): "a"}, [Round("a", "b", "a")], ("a", "c"), None),
        ({pair("a", "b"): "b"}, [Round("a", "b", "b")], ("b", "c"), None),
        (
            {pair("a", "b"): "b", pair("b", "c"): "b"},
            [Round("a", "b", "b"), Round("b", "c", "b")],
            None,
            "b",
        ),
        # An equal challenger was not better.
        (
            {pair("a", "b"): EQUAL, pair("a", "c"): "a"},
            [Round("a", "b", EQUAL), Round("a", "c", "a")],
            None,
            "a",
        ),
        # Who was called bad wins nothing, even over what is worse.
        (
            {pair("a", "b"): BOTH_BAD, pair("a", "c"): "a"},
            [Round("a", "b", BOTH_BAD), Round("a", "c", "a")],
            None,
            None,
        ),
        (
            {pair("a", "b"): BOTH_BAD, pair("a", "c"): "c"},
            [Round("a", "b", BOTH_BAD), Round("a", "c", "c")],
            None,
            "c",
        ),
    ],
)
def test_the_winner_of_a_round_meets_the_next(
    said: Said, rounds: list[Round[str]], pending: tuple[str, str] | None, winner: str | None
) -> None:
    assert play("abc", said) == Course(tuple(rounds), pending, winner)


@pytest.mark.parametrize("order", ["", "a"])
def test_of_fewer_than_two_nobody_wins(order: str) -> None:
    assert play(order, {}) == Course(())


@st.composite
def contests(draw: st.DrawFn) -> tuple[list[str], Said]:
    order = draw(st.permutations("abcdefg"))[: draw(st.integers(2, 7))]
    said: Said = {}
    for one, other in combinations(order, 2):
        options: list[str | Neutral] = [one, other, EQUAL, BOTH_BAD]
        said[pair(one, other)] = draw(st.sampled_from(options))
    return order, said


@given(contests())
def test_there_is_one_round_less_than_contenders_and_each_challenges_once(
    contest: tuple[list[str], Said],
) -> None:
    order, said = contest
    course = play(order, said)
    assert course.pending is None
    assert [one.challenger for one in course.rounds] == order[1:]
    if course.winner is not None:
        met = [one for one in course.rounds if course.winner in (one.champion, one.challenger)]
        assert all(one.won in (course.winner, EQUAL) for one in met)


@given(contests(), st.data())
def test_a_word_taken_back_takes_back_what_followed_and_nothing_before(
    contest: tuple[list[str], Said], data: st.DataObject
) -> None:
    order, said = contest
    course = play(order, said)
    at = data.draw(st.integers(0, len(course.rounds) - 1))
    lost = course.rounds[at]
    left = {key: won for key, won in said.items() if key != pair(lost.champion, lost.challenger)}
    again = play(order, left)
    assert again.rounds == course.rounds[:at]
    assert again.pending == (lost.champion, lost.challenger)
