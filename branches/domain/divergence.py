"""Where tellings of one story part: shared prefixes, and a tree out of separate trials.

Works on one digest per step. They may be digests of single steps or rolling ones; a step matches
only where all steps before it match too.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planned:
    """A branch to make for one trial.

    `trial` is the trial's index in the input, and this plan's own index too; `parent` is the
    index of the plan to fork from, `None` for a trial that shares no first step with any before
    it. `fork_at` counts the steps, from the root of the lineage on, that it shares with the
    parent's whole path. `own` are the indexes of the trial's steps that are its own suffix; it
    is empty where an earlier trial already tells all of it.
    """

    trial: int
    parent: int | None
    fork_at: int
    own: range


def shared_prefix(a: Sequence[bytes], b: Sequence[bytes]) -> int:
    """How many steps both begin with alike."""
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))


def build_trie(trials: Sequence[Sequence[bytes]]) -> tuple[Planned, ...]:
    """Plan one branch per trial, in order, each forking at its true divergence.

    The first trial is the trunk. A later one forks from the branch that owns its deepest shared
    step, so that two trials that part late from each other, but early from the trunk, share what
    they share. Time and memory are linear in the number of steps.
    """
    children: dict[tuple[int, bytes], int] = {}
    owners: list[int | None] = [None]  # by node; node 0 is the root, before any step
    plans: list[Planned] = []
    for trial, steps in enumerate(trials):
        node, depth = 0, 0
        while depth < len(steps) and (node, steps[depth]) in children:
            node = children[node, steps[depth]]
            depth += 1
        plans.append(Planned(trial, owners[node], depth, range(depth, len(steps))))
        for digest in steps[depth:]:
            owners.append(trial)
            children[node, digest] = len(owners) - 1
            node = len(owners) - 1
    return tuple(plans)
