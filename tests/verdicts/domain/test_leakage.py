import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts.domain.leakage import (
    Tally,
    add_up,
    count_retiring,
    has_leaked,
    pick_retiring,
    suite_digest,
)


@pytest.mark.parametrize(
    ("tally", "leaked"),
    [
        (Tally(95, 100, 10, 20), True),
        (Tally(95, 100, 19, 20), False),
        (Tally(95, 100, 17, 20), False),  # ten points apart: narrower than counts
        (Tally(95, 100, 5, 10), False),  # too few trials of the hold-out
        (Tally(9, 10, 14, 20), False),  # chance
        (Tally(900, 1000, 70, 100), True),
        (Tally(10, 100, 19, 20), False),  # the other way round is no leak
        (Tally(100, 100, 0, 20), True),
        (Tally(100, 100, 0, 0), False),
        (Tally(0, 0, 0, 20), False),
        (Tally(100, 100, 20, 20), False),
        (Tally(0, 100, 0, 20), False),
    ],
)
def test_a_suite_that_goes_better_than_its_hold_out_beyond_chance_has_leaked(
    tally: Tally, leaked: bool
) -> None:
    assert has_leaked(tally) == leaked


# Passed as a share, so that no draw is thrown away.
counts = st.tuples(st.integers(0, 500), st.floats(0, 1))
tallies = st.tuples(counts, counts).map(
    lambda two: Tally(int(two[0][0] * two[0][1]), two[0][0], int(two[1][0] * two[1][1]), two[1][0])
)


@given(tallies)
def test_any_counts_are_answered_and_more_passes_of_the_hold_out_never_trip(tally: Tally) -> None:
    better = Tally(tally.passed, tally.total, tally.holdout_total, tally.holdout_total)
    assert not has_leaked(better)
    assert has_leaked(tally) in (True, False)


@given(st.lists(tallies, max_size=5))
def test_results_add_up(told: list[Tally]) -> None:
    assert add_up(told).total == sum(one.total for one in told)


@pytest.mark.parametrize(("cases", "retiring"), [(0, 0), (1, 1), (5, 1), (6, 2), (100, 20)])
def test_a_fifth_rounded_up_retires(cases: int, retiring: int) -> None:
    assert count_retiring(cases) == retiring


@given(st.lists(st.floats(0, 9), max_size=20), st.integers(0, 25))
def test_those_in_use_longest_retire(since: list[float], count: int) -> None:
    picked = pick_retiring([(at, index) for index, at in enumerate(since)], count)
    kept = [at for index, at in enumerate(since) if index not in picked]
    assert len(picked) == min(count, len(since))
    assert all(since[index] <= at for index in picked for at in kept)


def test_every_part_of_a_suite_is_in_its_digest() -> None:
    digests = {
        suite_digest(grader="test", parts=[("case", b"a"), ("case", b"b")]),
        suite_digest(grader="lint", parts=[("case", b"a"), ("case", b"b")]),
        suite_digest(grader="test", parts=[("case", b"b"), ("case", b"a")]),
        suite_digest(grader="test", parts=[("case", b"a"), ("holdout", b"b")]),
        suite_digest(grader="test", parts=[("case", b"ab")]),
        suite_digest(grader="test", parts=[("case", b"a")]),
    }
    assert len(digests) == 6
