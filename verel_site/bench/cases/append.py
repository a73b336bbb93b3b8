"""Appending over HTTP: batches of 1,000 and of 100, and single events.

The limit of batches is the same rows stored by one connection with nothing else to do: commit by
commit, each row once by its id, as bytes that were ready before. That of single events is what the
same server does on an address that only authenticates.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db import connection, transaction

from branches.models import Branch
from verel_site.bench.figures import AtLeast, Case, Measure
from verel_site.bench.load import (
    NOON,
    Ground,
    make_batches,
    make_ground,
    make_trunk,
    make_wire_events,
)
from verel_site.bench.served import Served, serving
from verel_site.kit.strict_json import encode

CLIENTS: Final = 8
COLUMNS: Final = (
    "position", "event_id", "project_id", "run_id", "branch_id", "seq", "type", "source", "ts",
    "received_at", "payload", "digest", "seal",
)  # fmt: skip


def measure_append(size: int) -> Iterator[Measure]:
    ground = make_ground("append")
    with serving(ground.agent_key) as served:
        _push(served, ground, clients=1, count=min(size, 1000), rows=100)
        raw = _raw_rate(size, rows=1000)
        told = _push(served, ground, clients=1, count=size, rows=1000)
        yield Measure("append.1000", told, "events/s", raw, AtLeast(0.5))
        told = _push(served, ground, clients=CLIENTS, count=size, rows=1000)
        yield Measure("append.1000.clients", told, "events/s", raw, AtLeast(0.35))
        aim = AtLeast(0.35 if connection.vendor == "postgresql" else 0.2)
        told = _push(served, ground, clients=CLIENTS, count=size, rows=100)
        yield Measure("append.100", told, "events/s", _raw_rate(size, rows=100), aim)
        count = max(CLIENTS, size // 20)
        empty = _ask_empty(served, count)
        told = _push(served, ground, clients=CLIENTS, count=count, rows=1)
        yield Measure("append.1", told, "events/s", empty, AtLeast(0.6))


def _push(served: Served, ground: Ground, *, clients: int, count: int, rows: int) -> float:
    """Events a second; each client pushes to a branch of its own."""
    share = max(rows, count // clients)
    work = [
        make_batches(make_trunk(ground.project), share, rows=rows, seed=index)
        for index in range(_fresh_seed(), _fresh_seed() + clients)
    ]
    return share * clients / served.seconds_of(work)


def _fresh_seed() -> int:
    """Seeds that no earlier push used: equal ones would push equal ids."""
    return Branch.objects.count() * 1000


def _ask_empty(served: Served, count: int) -> float:
    calls = [("GET", "/api/v1/bench-empty", b"")] * max(1, count // CLIENTS)
    return len(calls) * CLIENTS / served.seconds_of([calls] * CLIENTS)


def _raw_rate(count: int, *, rows: int) -> float:
    make_raw_table()
    values = _raw_values(count)
    store = _copy_rows if connection.vendor == "postgresql" else _insert_rows
    started = time.perf_counter()
    for start in range(0, count, rows):
        with transaction.atomic():
            store(values[start : start + rows])
    return count / (time.perf_counter() - started)


def make_raw_table() -> None:
    """A table with the columns of events, unique by id and by place."""
    blob, key = ("bytea", "uuid") if connection.vendor == "postgresql" else ("blob", "char(32)")
    moment = "timestamptz" if connection.vendor == "postgresql" else "datetime"
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_raw")
        cursor.execute(
            f"CREATE TABLE bench_raw (position bigint PRIMARY KEY, event_id {key} UNIQUE, "
            f"project_id {key}, run_id {key}, branch_id {key}, seq integer, type text, "
            f"source text, ts {moment}, received_at {moment}, payload {blob}, digest {blob}, "
            f"seal {blob})"
        )
        cursor.execute("CREATE UNIQUE INDEX bench_raw_place ON bench_raw (branch_id, seq)")
        if connection.vendor == "postgresql":
            cursor.execute("CREATE TEMP TABLE IF NOT EXISTS bench_stage (LIKE bench_raw)")


def _raw_values(count: int) -> list[tuple[Any, ...]]:
    key = "7f3c" * 8
    moment = NOON if connection.vendor == "postgresql" else "2026-11-20 12:00:00"
    return [
        (
            position, event["event_id"].replace("-", ""), key, key, key, position, event["type"],
            event["source"], moment, moment, b"\x00" + encode(event["payload"]), bytes(32),
            bytes(32),
        )
        for position, event in enumerate(make_wire_events(count, seed=7), start=1)
    ]  # fmt: skip


def _copy_rows(values: Sequence[tuple[Any, ...]]) -> None:
    columns = ", ".join(COLUMNS)
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY bench_stage ({columns}) FROM STDIN") as copy:
            for row in values:
                copy.write_row(row)
        cursor.execute("INSERT INTO bench_raw SELECT * FROM bench_stage ON CONFLICT DO NOTHING")
        cursor.execute("TRUNCATE bench_stage")


def _insert_rows(values: Sequence[tuple[Any, ...]]) -> None:
    marks = ", ".join(["%s"] * len(COLUMNS))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT OR IGNORE INTO bench_raw ({', '.join(COLUMNS)}) VALUES ({marks})", values
        )


CASES: Final = (
    Case("append", measure_append, sizes=(16_000, 64_000), tiny=(40, 80), most=1_000_000),
)
