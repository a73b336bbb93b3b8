"""What a worker and its mind agree on: one step at a time, chosen from the lineage alone.

A mind keeps nothing between steps, so that a worker may die after any of them and another one
goes on from the journal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from branches.domain.context import Context
from branches.domain.events import StoredEvent


@dataclass(frozen=True)
class Step:
    """Events to append in one batch, each `(type, payload)`; `last` says that the work ends."""

    events: tuple[tuple[str, dict[str, Any]], ...]
    last: bool = False


class Mind(Protocol):
    """`name` becomes the events' source."""

    name: str

    def next_step(self, events: Sequence[StoredEvent], context: Context) -> Step: ...


class MindFailed(Exception):
    """The mind could not think, in words; the branch is left for a later try."""
