import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.domain.salience import Weighed, drop_rate, rank_at, spread, surprise, weigh

counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50), max_size=6)


@pytest.mark.parametrize(
    ("before", "after", "known", "nats"),
    [
        # Nothing known, nothing seen.
        ({}, {}, (), 0.0),
        ({"a": 3}, {"a": 3}, ("b",), 0.0),
        # p = (1/4, 3/4), q = (1/2, 1/2): ¼·ln ½ + ¾·ln 3/2
        ({}, {"b": 2}, ("a", "b"), 0.25 * math.log(0.5) + 0.75 * math.log(1.5)),
        # q = (4/5, 1/5), p = (1/2, 1/2): ½·ln 5/8 + ½·ln 5/2
        ({"a": 3}, {}, ("a", "b"), 0.5 * math.log(0.625) + 0.5 * math.log(2.5)),
        # A signature that nobody knew makes V three: q = (3/5, 1/5, 1/5), p = (1/5, 1/5, 3/5)
        ({"a": 2}, {"c": 2}, ("a", "b"), 0.2 * math.log(1 / 3) + 0.6 * math.log(3)),
    ],
)
def test_surprise_is_the_smoothed_divergence_worked_out_by_hand(
    before: dict[str, int], after: dict[str, int], known: tuple[str, ...], nats: float
) -> None:
    assert surprise(before, after, known) == pytest.approx(nats)


@given(counts, counts, st.sets(st.sampled_from("abcdefgh")))
def test_surprise_is_never_negative_and_always_finite(
    before: dict[str, int], after: dict[str, int], known: set[str]
) -> None:
    found = surprise(before, after, known)
    assert 0 <= found < math.inf


@given(counts, st.sets(st.sampled_from("abcdefgh")))
def test_no_change_is_no_surprise(before: dict[str, int], known: set[str]) -> None:
    assert surprise(before, before, known) == pytest.approx(0)


def test_a_soft_score_is_six_tenths_of_the_goal_and_four_of_the_cost() -> None:
    batch = [Weighed(0, False, 0.0, 100), Weighed(0, False, 1.0, 50), Weighed(0, False, 0.5, 0)]
    kept = weigh(batch, percentile=100)
    # Cost is spread to 1, ½ and 0.
    assert [one.score for one in kept] == pytest.approx([0.4, 0.8, 0.3])
    assert [one.kept for one in kept] == [False, True, False]
    assert drop_rate(kept) == pytest.approx(2 / 3)


def test_what_surprises_or_was_never_seen_is_kept_whatever_it_scores() -> None:
    batch = [
        Weighed(0.5, False, 0, 0),
        Weighed(0, True, 0, 0),
        Weighed(0.01, False, 1, 9),
        Weighed(0.01, False, 0, 0),
    ]
    kept = weigh(batch, percentile=100)
    assert [(one.kept, one.hard) for one in kept] == [
        (True, True),
        (True, True),
        (True, False),
        (False, False),
    ]


@pytest.mark.parametrize(
    ("batch", "scores", "kept"),
    [
        # Alone it has nothing to stand out from, and is not lost for that.
        ([(0.7, 900)], [0.0], [True]),
        # All alike: each is at the percentile, whatever that is.
        ([(0.5, 10)] * 3, [0.0] * 3, [True] * 3),
        ([(0.0, 0)] * 3, [0.0] * 3, [True] * 3),
        # Alike in one part only: the other one decides.
        ([(0.5, 0), (0.5, 10)], [0.0, 0.4], [False, True]),
        # Most of them score nothing: the bar is 0, and only what scores passes it.
        ([(0.0, 0)] * 9 + [(1.0, 0)], [0.0] * 9 + [0.6], [False] * 9 + [True]),
    ],
)
def test_the_soft_score_at_its_edges(
    batch: list[tuple[float, float]], scores: list[float], kept: list[bool]
) -> None:
    told = weigh([Weighed(0.0, False, near, cost) for near, cost in batch])
    assert [one.score for one in told] == pytest.approx(scores)
    assert [one.kept for one in told] == kept


@pytest.mark.parametrize(("nats", "hard"), [(0.2, True), (0.1999, False)])
def test_surprise_is_hard_from_its_threshold_on(nats: float, hard: bool) -> None:
    assert weigh([Weighed(nats, False, 0, 0)])[0].hard is hard


weighed = st.builds(Weighed, st.floats(0, 5), st.booleans(), st.floats(0, 1), st.floats(0, 1e6))


@given(st.lists(weighed, min_size=1, max_size=40), st.floats(0, 100))
def test_no_surprise_is_ever_dropped_and_no_batch_is_lost_whole(
    batch: list[Weighed], percentile: float
) -> None:
    kept = weigh(batch, percentile=percentile)
    assert all(k.kept for k, one in zip(kept, batch, strict=True) if one.unseen)
    assert any(k.kept for k in kept)
    assert all(0 <= k.score <= 1 + 1e-9 for k in kept)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_spread_keeps_order_within_zero_and_one(values: list[float]) -> None:
    told = spread(values)
    assert all(0 <= value <= 1 for value in told)
    for (a, x), (b, y) in zip(
        zip(values, told, strict=True), zip(values[1:], told[1:], strict=False), strict=False
    ):
        assert (a <= b and x <= y) or (a >= b and x >= y)


@pytest.mark.parametrize(
    ("percentile", "value"), [(0, 1), (25, 1), (26, 2), (50, 2), (75, 3), (100, 4)]
)
def test_a_percentile_is_a_value_of_the_batch(percentile: float, value: float) -> None:
    assert rank_at([4, 2, 1, 3], percentile) == value


def test_nothing_has_no_drop_rate() -> None:
    assert drop_rate([]) is None
    assert rank_at([], 50) == 0
