"""One window of a step: what was looked at, and what is to be written of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from memory.consolidation_models import Consolidation

# Episodes of one window: enough for a percentile, little enough to be held.
WINDOW: Final = 500
# What one run of consolidation keeps of the episodes behind a claim, as a proposal takes them.
MAX_SOURCES: Final = 50


def nothing() -> Counter[str]:
    return Counter()


@dataclass(frozen=True)
class Window:
    """`cursor` is the last row of the window; None where the step has come to its end. `write`
    runs in the window's transaction, and adds to the counts what it finds out only then."""

    cursor: int | None
    looked: int = 0
    write: Callable[[], Counter[str]] = nothing
    counts: Counter[str] = field(default_factory=Counter)


# The end of a step.
OVER: Final = Window(None)

type Look = Callable[[Consolidation], Window]
type Size = Callable[[Consolidation], int]


@dataclass(frozen=True)
class Stage:
    """A step: its next window, and how many rows it has to go through."""

    look: Look
    size: Size
