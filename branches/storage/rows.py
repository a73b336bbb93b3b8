"""Storing event rows without an object for each: one COPY on PostgreSQL, one executemany on SQLite.

Rows come sealed, from the journal alone. Model instances cost more than the database does.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection

from verel_site.access.projects import lock_project
from verel_site.kit.inserts import marks_of

# Below this an INSERT is one round trip where a COPY is two.
COPIED_ROWS: Final = 4
COLUMNS: Final = (
    "position", "ts", "received_at", "seq", "schema_version", "event_id", "project_id", "run_id",
    "branch_id", "parent_id", "task_id", "type", "source", "digest", "seal", "payload",
)  # fmt: skip
_NAMES: Final = ", ".join(COLUMNS)
_INSERT: Final = f"INSERT INTO branches_event ({_NAMES}) VALUES ({marks_of(COLUMNS)})"
_COPY: Final = f"COPY branches_event ({_NAMES}) FROM STDIN (FORMAT BINARY)"


class Row(NamedTuple):
    """An event's row, in the order of COLUMNS. `payload` is the envelope; times are aware."""

    position: int
    ts: datetime
    received_at: datetime
    seq: int
    schema_version: int
    event_id: UUID
    project_id: UUID
    run_id: UUID
    branch_id: UUID
    parent_id: UUID | None
    task_id: UUID | None
    type: str
    source: str
    digest: bytes
    seal: bytes
    payload: bytes


def insert_rows(rows: Sequence[Row]) -> None:
    """Stores the rows, in the caller's transaction."""
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, list(_as_sqlite(rows)))
    elif len(rows) < COPIED_ROWS:
        with connection.cursor() as cursor:
            for row in rows:
                cursor.execute(_INSERT, row)
    else:
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.write(_as_binary(rows))


def find_stored(project_id: UUID, event_ids: Sequence[UUID]) -> list[UUID]:
    """Those of the ids that the project has stored already."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT event_id FROM branches_event WHERE event_id = ANY(%s) AND project_id = %s",
                [list(event_ids), project_id],
            )
            return [row[0] for row in cursor.fetchall()]
        found = []
        for start in range(0, len(event_ids), 500):
            chunk = [event_id.hex for event_id in event_ids[start : start + 500]]
            cursor.execute(
                "SELECT event_id FROM branches_event "
                f"WHERE project_id = %s AND event_id IN ({marks_of(chunk)})",
                [project_id.hex, *chunk],
            )
            found += [UUID(row[0]) for row in cursor.fetchall()]
    return found


def take_positions(project_id: UUID, count: int) -> list[int]:
    """Positions for rows to come, rising; known before the rows are sealed.

    The project's lock makes the order of positions the order of commits within a project, so that
    a reader's cursor never jumps over a row that commits late.
    """
    lock_project(project_id=project_id)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT array_agg(nextval(pg_get_serial_sequence('branches_event', 'position'))) "
                "FROM generate_series(1, %s)",
                [count],
            )
            return sorted(cursor.fetchone()[0] or ())
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = 'branches_event'")
        row = cursor.fetchone()
    last = int(row[0]) if row else 0
    return list(range(last + 1, last + 1 + count))


def as_key(key: UUID) -> UUID | str:
    """As a statement of this database takes it."""
    return key if connection.vendor == "postgresql" else key.hex


def as_moment(moment: datetime) -> datetime | str:
    """As a statement of this database takes it: SQLite keeps UTC without a zone."""
    if connection.vendor == "postgresql":
        return moment
    return _as_text(moment)


def _as_sqlite(rows: Sequence[Row]) -> Iterator[tuple[int | str | bytes | None, ...]]:
    """As Django's own adapters would store them: UUIDs in hex, times in UTC without a zone."""
    project = run = branch = received = None
    for row in rows:
        # A batch shares these objects, so each is written out once.
        if row.branch_id is not branch or row.run_id is not run or row.project_id is not project:
            project, run, branch = row.project_id, row.run_id, row.branch_id
            ids = project.hex, run.hex, branch.hex
        if row.received_at is not received:
            received = row.received_at
            received_text = _as_text(received)
        yield (
            row.position, _as_text(row.ts), received_text, row.seq, row.schema_version,
            row.event_id.hex, *ids, row.parent_id.hex if row.parent_id else None,
            row.task_id.hex if row.task_id else None, row.type, row.source, row.digest, row.seal,
            row.payload,
        )  # fmt: skip


def _as_text(moment: datetime) -> str:
    text = moment.isoformat(" ")
    if not text.endswith("+00:00"):
        text = moment.astimezone(UTC).isoformat(" ")
    return text.removesuffix("+00:00")


# PostgreSQL's binary COPY: a head, rows, a tail. A row is its count of fields, then each field
# after its length; -1 is the length of null.
_HEAD: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TAIL: Final = b"\xff\xff"
_FIXED: Final = struct.Struct(">h iq iq iq ii ih i16s i16s i16s i16s".replace(" ", ""))
_LENGTH: Final = struct.Struct(">i").pack
_NULL: Final = _LENGTH(-1)
_SIXTEEN: Final = _LENGTH(16)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _as_binary(rows: Sequence[Row]) -> bytes:
    parts = [_HEAD]
    for row in rows:
        parts.append(
            _FIXED.pack(
                len(COLUMNS),
                8, row.position,
                8, (row.ts - _EPOCH) // _MICROSECOND,
                8, (row.received_at - _EPOCH) // _MICROSECOND,
                4, row.seq,
                2, row.schema_version,
                16, row.event_id.bytes,
                16, row.project_id.bytes,
                16, row.run_id.bytes,
                16, row.branch_id.bytes,
            )
        )  # fmt: skip
        for key in (row.parent_id, row.task_id):
            parts += (_SIXTEEN, key.bytes) if key else (_NULL,)
        for field in (row.type.encode(), row.source.encode(), row.digest, row.seal, row.payload):
            parts += (_LENGTH(len(field)), field)
    parts.append(_TAIL)
    return b"".join(parts)
