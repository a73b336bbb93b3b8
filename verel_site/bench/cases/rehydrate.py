"""Rehydration: a lineage over nested forks as the HTTP answer of its context.

Each answer follows a step of its agent, one more event. `anew`: by a server that keeps nothing of
the answers before. `step`: by the server as it is, which goes on from its last answer. The limit of
both is the range scan of the same payloads, kept plain, and the decoding of each, in process and
with nothing made of them; the stretch limit is the same rows joined to one body. Figures are
microseconds an event, so that growth shows what is more than linear.
"""

import statistics
import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from django.db import connection

from branches.forks import fork_branch
from branches.models import Branch, Event
from branches.querysets import read_lineage_rows
from branches.storage.codec import codec
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.bench.figures import AtMost, Case, Measure, median_seconds
from verel_site.bench.load import fill_branch, make_batches, make_ground, make_trunk
from verel_site.bench.served import Served, serving

FORKS: Final = 20
DEEP_FORKS: Final = 1000
TIMES: Final = 7
UNIT: Final = "µs/event"
# Beyond the seeds of the events that lie there already: equal ones would push equal ids.
STEP_SEED: Final = 10**9


def measure_rehydrate(size: int) -> Iterator[Measure]:
    ground = make_ground("rehydrate")
    flat = _nest(ground.project, size, forks=min(FORKS, size // 4))
    deep = _nest(ground.project, size, forks=min(DEEP_FORKS, size // 4))
    _keep_plain(flat)
    for name, kept in (("anew", "0"), ("step", "128")):
        with serving(ground.agent_key, VEREL_CONTEXT_CACHE_MB=kept) as served:
            told, nested = (_ask(served, branch) / size for branch in (flat, deep))
        scan = median_seconds(_scan_and_decode, TIMES) * 1e6 / size
        join = median_seconds(_scan_and_join, TIMES) * 1e6 / size
        yield Measure(f"rehydrate.20.{name}", told, UNIT, scan, AtMost(2), AtMost(1.2))
        yield Measure(f"rehydrate.20.{name}.encoded", told, UNIT, join)
        yield Measure(f"rehydrate.1000.{name}", nested, UNIT, told, AtMost(1.1), AtMost(1.2))


def _nest(project: Project, size: int, *, forks: int) -> Branch:
    """The last of `forks` branches, each forked at its parent's head; `size` events together, those
    that the forks bring with them aside."""
    branch = make_trunk(project)
    share, rest = divmod(size, forks + 1)
    seed = Branch.objects.count() * 1000
    fill_branch(branch, share + rest, seed=seed)
    for number in range(forks):
        branch.refresh_from_db()
        fork = fork_branch(
            parent_id=branch.pk, fork_seq=branch.head_seq, actor=SYSTEM, note="deeper"
        )
        branch = fork.branch
        fill_branch(branch, share, seed=seed + number + 1)
    branch.refresh_from_db()
    return branch


def _ask(served: Served, branch: Branch) -> float:
    """Microseconds of one answer after a step: the median of some, the first aside."""
    ask = ("GET", f"/api/v1/branches/{branch.pk}/context?format=openai", b"")
    taken = []
    for step in make_batches(branch, TIMES + 1, rows=1, seed=STEP_SEED + Event.objects.count()):
        served.send([step])
        started = time.perf_counter()
        served.send([ask])
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:]) * 1e6


def _keep_plain(branch: Branch) -> None:
    """The lineage's payloads as plain bytes in a table of their own, in order."""
    kind = "bytea" if connection.vendor == "postgresql" else "blob"
    rows = read_lineage_rows(branch, upto=branch.head_seq, after_step=0, columns=("e.payload",))
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_plain")
        cursor.execute(f"CREATE TABLE bench_plain (position bigint PRIMARY KEY, payload {kind})")
        cursor.executemany(
            "INSERT INTO bench_plain VALUES (%s, %s)",
            [(position, codec().open(payload, b"")) for position, payload in rows],
        )


def _scan() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload FROM bench_plain WHERE position > 0 ORDER BY position")
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _scan_and_decode() -> list[Any]:
    decode = msgspec.json.decode
    return [decode(payload) for (payload,) in _scan()]


def _scan_and_join() -> bytes:
    return b",".join([payload for (payload,) in _scan()])


CASES: Final = (
    Case("rehydrate", measure_rehydrate, sizes=(10_000, 20_000), tiny=(40, 80), most=200_000),
)
