"""A fork in the middle of a branch, over HTTP: as dear as a small write, however long the branch."""

import json
from collections.abc import Iterator
from typing import Final

from verel_site.bench.figures import AtMost, Case, Measure, median_seconds
from verel_site.bench.load import fill_branch, make_ground, make_trunk
from verel_site.bench.served import Call, Served, serving

TIMES: Final = 40


def measure_fork(size: int) -> Iterator[Measure]:
    ground = make_ground("fork")
    trunk = make_trunk(ground.project)
    fill_branch(trunk, size, seed=size)
    body = json.dumps({"fork_seq": max(1, size // 2), "override": "Dose = 50mg"}).encode()
    with serving(ground.steering_key) as served:
        empty = _median_ms(served, ("POST", "/api/v1/bench-empty", b'{"told": 1}'))
        told = _median_ms(served, ("POST", f"/api/v1/branches/{trunk.pk}/forks", body))
    yield Measure("fork", told, "ms", empty, AtMost(6), growth=AtMost(1.2))


def _median_ms(served: Served, call: Call) -> float:
    return median_seconds(lambda: served.send([call]), TIMES) * 1000


CASES: Final = (Case("fork", measure_fork, sizes=(100, 10_000), tiny=(4, 8)),)
