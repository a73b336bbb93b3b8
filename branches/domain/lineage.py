"""Lineages as values: a branch's ancestors, root first, each cut where the next one forks."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Segment:
    """`upto` events of `branch`'s own suffix; `base` events of the lineage come before them."""

    branch: UUID
    base: int
    upto: int


@dataclass(frozen=True, slots=True)
class Point:
    """After event `seq` of `branch`; `step` counts the lineage's events up to and with it."""

    branch: UUID
    seq: int
    step: int


def last_shared_point(left: Sequence[Segment], right: Sequence[Segment]) -> Point | None:
    """The last point that both lineages share; None when they have no common root."""
    shared: Point | None = None
    for a, b in zip(left, right, strict=False):
        if a.branch != b.branch:
            break
        upto = min(a.upto, b.upto)
        shared = Point(a.branch, upto, a.base + upto)
        if a.upto != b.upto:
            break
    return shared
