"""Bytes stored for a byte of payload, with every index, under each codec."""

import os
import zlib
from collections.abc import Iterator
from typing import Final

from django.db import connection
from django.test.utils import override_settings

from branches.models import Event
from branches.storage.payloads import payload_bytes
from verel_site.bench.figures import AtMost, Case, Measure
from verel_site.bench.load import fill_branch, make_ground, make_trunk

BRANCHES: Final = 8
TARGETS: Final = {"plain": AtMost(1.3), "zstd": AtMost(0.6)}


def measure_bytes(size: int) -> Iterator[Measure]:
    for name, target in TARGETS.items():
        with override_settings(VEREL_EVENT_CODEC=name):
            project = make_ground("bytes").project
            before = stored_bytes()
            for seed in range(BRANCHES):
                share = max(1, size // BRANCHES)
                fill_branch(
                    make_trunk(project), share, seed=zlib.crc32(f"{name} {size} {seed}".encode())
                )
            rows = Event.objects.filter(project=project).iterator(chunk_size=1000)
            told = sum(len(payload_bytes(row)) for row in rows)
            grown = max(1, stored_bytes() - before)
        yield Measure(f"bytes.{name}", grown / told, "bytes/byte", 1.0, target, growth=AtMost(1.1))


def stored_bytes() -> int:
    """What events take up: their table and indexes, or the whole file of SQLite."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('branches_event')"
            )
            return int(cursor.fetchone()[0])
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.fetchall()
    return os.path.getsize(connection.settings_dict["NAME"])


CASES: Final = (
    Case("bytes", measure_bytes, sizes=(8_000, 32_000), tiny=(64, 128), most=1_000_000),
)
