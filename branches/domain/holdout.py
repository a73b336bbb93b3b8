"""Which runs are held out: the same ones every time, and never a run on both sides."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from uuid import UUID

HOLDOUT_EVERY: Final = 10
RULE: Final = (
    "by run: one in ten by the SHA-256 of its id; where that leaves a side empty, the run with the "
    "lowest (or highest) hash is moved, so that two runs or more always give two sides"
)

type HeldOut = Callable[[UUID], bool]


def rank(run: UUID) -> int:
    """A run's place among all runs; clients choose ids, so the id itself is no fair one."""
    return int.from_bytes(sha256(run.bytes).digest())


def held_out_by_rank(run: UUID) -> bool:
    return rank(run) % HOLDOUT_EVERY == 0


@dataclass(slots=True)
class Sides:
    """A fold over the runs that gave rows, of constant size."""

    held: bool = False
    kept: bool = False
    lowest: UUID | None = None
    highest: UUID | None = None
    _seen: UUID | None = field(default=None, repr=False)

    def see(self, run: UUID, held_out: bool) -> None:
        if run == self._seen:
            return
        self._seen = run
        self.held, self.kept = self.held or held_out, self.kept or not held_out
        if self.lowest is None or rank(run) < rank(self.lowest):
            self.lowest = run
        if self.highest is None or rank(run) > rank(self.highest):
            self.highest = run

    def better(self) -> HeldOut | None:
        """The split to write instead, where a side stayed empty though there are two runs."""
        lowest, highest = self.lowest, self.highest
        if lowest == highest or (self.held and self.kept):
            return None
        if not self.held:
            return lambda run: run == lowest
        return lambda run: run != highest
