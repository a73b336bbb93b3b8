import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts.domain.agreement import Weight
from verdicts.domain.pairing import PairRule, count_reviewers, find_split, is_drawn

digests = st.binary(min_size=32, max_size=32)
percents = st.integers(0, 100)


def pairs(count: int) -> Iterator[tuple[bytes, bytes]]:
    for n in range(count):
        yield hashlib.sha256(b"a%d" % n).digest(), hashlib.sha256(b"b%d" % n).digest()


@given(digests, digests, percents)
def test_a_pair_is_drawn_or_not_whichever_side_is_named_first(
    one: bytes, other: bytes, percent: int
) -> None:
    drawn = is_drawn(one, other, percent=percent, lot="sample")
    assert drawn == is_drawn(other, one, percent=percent, lot="sample")


@given(digests, digests, percents, percents)
def test_who_is_drawn_stays_drawn_when_the_rate_rises(
    one: bytes, other: bytes, low: int, high: int
) -> None:
    low, high = sorted((low, high))
    if is_drawn(one, other, percent=low, lot="sample"):
        assert is_drawn(one, other, percent=high, lot="sample")


@given(digests, digests)
def test_none_at_nought_and_all_at_a_hundred(one: bytes, other: bytes) -> None:
    assert not is_drawn(one, other, percent=0, lot="sample")
    assert is_drawn(one, other, percent=100, lot="sample")


def test_so_many_in_a_hundred_are_drawn_and_lots_draw_apart() -> None:
    drawn = [is_drawn(*pair, percent=20, lot="sample") for pair in pairs(5_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.2, abs=0.02)
    both = [
        one and is_drawn(*pair, percent=20, lot="overlap")
        for one, pair in zip(drawn, pairs(5_000), strict=True)
    ]
    assert sum(both) / len(both) == pytest.approx(0.04, abs=0.01)


def test_some_pairs_go_to_one_reviewer_more() -> None:
    rule = PairRule(reviewers=2, overlap_percent=50)
    counts = {count_reviewers(rule, *pair) for pair in pairs(50)}
    assert counts == {2, 3}
    assert {count_reviewers(PairRule(), *pair) for pair in pairs(50)} == {1}


def test_graders_are_split_where_two_speak_for_different_sides() -> None:
    good, bad = Weight(), Weight(error=1)
    assert find_split({"test": good, "llm_judge": bad}, {"test": bad, "llm_judge": good}) == (
        "test",
        "llm_judge",
    )
    assert find_split({"test": good, "llm_judge": good}, {"test": bad, "llm_judge": bad}) is None
    assert find_split({"test": good, "llm_judge": bad}, {"test": bad, "llm_judge": bad}) is None
    assert find_split({"test": good}, {"llm_judge": bad}) is None, "no grader saw both"
