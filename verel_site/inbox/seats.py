"""The rule of seats: an item takes `required` answers, and no more people work on it than that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Free:
    """A seat may be taken; `seats` are left, this one with them."""

    seats: int


@dataclass(frozen=True, slots=True)
class Held:
    """Every seat that is left is held by somebody else; the next frees at `frees_at`."""

    by: int
    frees_at: datetime


@dataclass(frozen=True, slots=True)
class Filled:
    """There are as many answers as were asked for."""


type Seat = Free | Held | Filled


def find_seat(*, required: int, scored: int, others: Sequence[datetime], now: datetime) -> Seat:
    """Whether one more person may work on an item: `scored + live claims < required`.

    `others` are the times at which other people's claims expire; one that has expired holds
    nothing, and whoever asks is not among them.
    """
    if scored >= required:
        return Filled()
    live = sorted(expiry for expiry in others if expiry > now)
    left = required - scored - len(live)
    if left > 0:
        return Free(left)
    # With more claims than seats (there was an answer from elsewhere) several must lapse.
    return Held(len(live), live[-left])
