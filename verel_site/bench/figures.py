"""What a benchmark measures, and how it is held against its limit."""

import importlib
import pkgutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from verel_site.bench import cases


@dataclass(frozen=True)
class AtLeast:
    ratio: float

    def met(self, ratio: float) -> bool:
        return ratio >= self.ratio

    def __str__(self) -> str:
        return f"≥ {self.ratio:g}"


@dataclass(frozen=True)
class AtMost:
    ratio: float

    def met(self, ratio: float) -> bool:
        return ratio <= self.ratio

    def __str__(self) -> str:
        return f"≤ {self.ratio:g}"


type Target = AtLeast | AtMost


@dataclass(frozen=True)
class Measure:
    """`figure` and `limit` are of one unit and of one run; `target` is about figure ÷ limit.

    `growth` is about the figure at a larger size ÷ that at the first one.
    """

    name: str
    figure: float
    unit: str
    limit: float
    target: Target | None = None
    growth: Target | None = None


@dataclass(frozen=True)
class Case:
    """`measure(size)` yields figures; it runs in a database of its own, once for each size.

    `sizes` rise, and say how much is stored or asked for; `tiny` is for a test of the case. More
    than `most` is not asked of it.
    """

    name: str
    measure: Callable[[int], Iterator[Measure]]
    sizes: tuple[int, int]
    tiny: tuple[int, int]
    most: int = 10_000_000

    @property
    def quick(self) -> tuple[int, int]:
        """A quarter of the sizes: enough to see what grows."""
        first = max(self.tiny[0], self.sizes[0] // 4)
        return first, max(first + 1, self.sizes[1] // 4)


def all_cases() -> dict[str, Case]:
    """Every case by name, in the order of names."""
    found: dict[str, Case] = {}
    for module in pkgutil.iter_modules(cases.__path__, f"{cases.__name__}."):
        for case in importlib.import_module(module.name).CASES:
            found[case.name] = case
    return dict(sorted(found.items()))


def run_case(case: Case, sizes: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """One object for each figure and size, as `bench --json` prints them."""
    first: dict[str, float] = {}
    for size in sizes:
        for one in case.measure(size):
            start = first.setdefault(one.name, one.figure)
            yield _as_line(one, size, one.figure / start if start and size != sizes[0] else None)


def _as_line(one: Measure, size: int, growth: float | None) -> dict[str, Any]:
    ratio = one.figure / one.limit
    holds = [one.target.met(ratio)] if one.target else []
    if one.growth and growth is not None:
        holds.append(one.growth.met(growth))
    targets = [str(one.target)] if one.target else []
    targets += [f"growth {one.growth}"] if one.growth else []
    return {
        "name": one.name,
        "database": connection.vendor,
        "size": size,
        "figure": round(one.figure, 4),
        "unit": one.unit,
        "limit": round(one.limit, 4),
        "ratio": round(ratio, 3),
        "target": ", ".join(targets),
        "met": all(holds) if holds else None,
        "growth": None if growth is None else round(growth, 3),
    }


def median_seconds(act: Callable[[], object], times: int) -> float:
    """The median time of one call, after one that does not count."""
    act()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def medians_in_turns(acts: Sequence[Callable[[], object]], times: int) -> list[float]:
    """The median time of each, taken in turns after one round that does not count: what slows the
    machine down for a while slows all of them."""
    taken: list[list[float]] = [[] for _ in acts]
    for _ in range(times + 1):
        for one, act in zip(taken, acts, strict=True):
            started = time.perf_counter()
            act()
            one.append(time.perf_counter() - started)
    return [statistics.median(one[1:]) for one in taken]
