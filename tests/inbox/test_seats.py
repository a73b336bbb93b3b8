"""The rule of seats, on its own."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verel_site.inbox.seats import Filled, Free, Held, Seat, find_seat

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def at(*seconds: int) -> list[datetime]:
    return [NOW + timedelta(seconds=second) for second in seconds]


@pytest.mark.parametrize(
    ("required", "scored", "others", "seat"),
    [
        (1, 0, [], Free(1)),
        (1, 1, [], Filled()),
        (1, 0, [130], Held(1, NOW + timedelta(seconds=130))),
        (1, 0, [-1], Free(1)),
        (1, 0, [0], Free(1)),
        (3, 1, [5], Free(1)),
        (3, 1, [9, 5], Held(2, NOW + timedelta(seconds=5))),
        # An answer from elsewhere took a seat that somebody holds: two must lapse for one to free.
        (2, 1, [9, 5], Held(2, NOW + timedelta(seconds=9))),
    ],
)
def test_a_seat_is_free_while_answers_and_live_claims_are_fewer_than_required(
    required: int, scored: int, others: list[int], seat: Seat
) -> None:
    assert find_seat(required=required, scored=scored, others=at(*others), now=NOW) == seat


@given(
    st.integers(1, 5), st.integers(0, 5), st.lists(st.integers(-50, 50).filter(bool), max_size=8)
)
def test_a_held_item_is_free_at_the_moment_that_it_names_and_not_before(
    required: int, scored: int, others: list[int]
) -> None:
    expiries = at(*others)
    seat = find_seat(required=required, scored=scored, others=expiries, now=NOW)
    if isinstance(seat, Held):
        soon = seat.frees_at - timedelta(milliseconds=1)
        before = find_seat(required=required, scored=scored, others=expiries, now=soon)
        then = find_seat(required=required, scored=scored, others=expiries, now=seat.frees_at)
        assert isinstance(before, Held)
        assert isinstance(then, Free)
    else:
        live = sum(expiry > NOW for expiry in expiries)
        assert isinstance(seat, Free) == (scored + live < required and scored < required)
