"""A fork in the middle of a branch, over HTTP: as dear as a small write, however long the branch.

Empty writes, forks of a short branch and forks of the long one take turns, so that what slows the
machine down slows all three: their medians are compared within one run.
"""

import json
import statistics
import time
from collections.abc import Iterator
from typing import Final

from verel_site.bench.figures import AtMost, Case, Measure
from verel_site.bench.load import fill_branch, make_ground, make_trunk
from verel_site.bench.served import Call, Served, serving

TIMES: Final = 60
SHORT: Final = 100


def measure_fork(size: int) -> Iterator[Measure]:
    ground = make_ground("fork")
    calls: list[Call] = [("POST", "/api/v1/bench-empty", b'{"told": 1}')]
    for length in (min(SHORT, size), size):
        trunk = make_trunk(ground.project)
        fill_branch(trunk, length, seed=length + len(calls))
        body = json.dumps({"fork_seq": max(1, length // 2), "override": "Dose = 50mg"}).encode()
        calls.append(("POST", f"/api/v1/branches/{trunk.pk}/forks", body))
    with serving(ground.steering_key) as served:
        empty, short, told = _median_ms(served, calls)
    yield Measure("fork", told, "ms", empty, AtMost(6))
    yield Measure("fork.length", told, "ms", short, AtMost(1.2))


def _median_ms(served: Served, calls: list[Call]) -> list[float]:
    """The median of each call, the first round aside."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(TIMES + 1):
        for times, call in zip(taken, calls, strict=True):
            started = time.perf_counter()
            served.send([call])
            times.append(time.perf_counter() - started)
    return [statistics.median(times[1:]) * 1000 for times in taken]


CASES: Final = (Case("fork", measure_fork, sizes=(100, 10_000), tiny=(4, 8), most=1_000_000),)
