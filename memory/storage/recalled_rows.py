"""Records as recall needs them, read and counted without an object or a compiled query for each: what
holds whatever the goal is, who else speaks under a key, and that some of them entered a context."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from branches.storage.rows import as_key, as_moment
from memory.domain.recalled import COLUMNS, Recalled
from verel_site.kit.inserts import marks_of

_VOUCHED: Final = (
    "SELECT * FROM (SELECT {columns} FROM memory_record WHERE project_id = %s AND trust = '{trust}' "
    "AND standing = 'live' AND scope IN ({scopes}) ORDER BY asserted_at DESC LIMIT %s) {trust}"
)
_RIVALS: Final = (
    "SELECT {columns} FROM memory_record WHERE project_id = %s AND key IN ({keys}) "
    "AND position NOT IN ({known}) ORDER BY position DESC LIMIT %s"
)
_RETRIEVED: Final = (
    "INSERT INTO memory_retrieval (project_id, assembly_id, at, record_id, age_days, retrievals) "
    "VALUES {rows}"
)


def read_vouched(*, project_id: UUID, scopes: Collection[str], limit: int) -> list[Recalled]:
    """What is verified, and then what is corroborated, so many of each: the last asserted ones."""
    columns, marks = columns_of(), marks_of(scopes)
    legs = [
        _VOUCHED.format(columns=columns, trust=trust, scopes=marks)
        for trust in ("verified", "corroborated")
    ]
    values = [as_key(project_id), *scopes, limit]
    return _read(" UNION ALL ".join(legs), values * len(legs))


def read_rivals(
    *, project_id: UUID, keys: Collection[str], known: Collection[int], limit: int
) -> list[Recalled]:
    """Others of these keys, whatever they are by now; the newest first."""
    sql = _RIVALS.format(columns=columns_of(), keys=marks_of(keys), known=marks_of(known))
    return _read(sql, [as_key(project_id), *keys, *known, limit])


def put_retrievals(
    *, project_id: UUID, assembly_id: UUID, at: datetime, taken: Sequence[Recalled]
) -> None:
    """Call in the transaction that stores the assembly."""
    if not taken:
        return
    shared = [as_key(project_id), as_key(assembly_id), as_moment(at)]
    values = [
        value
        for row in taken
        for value in (*shared, row.position, row.age_days(at), row.retrieval_count)
    ]
    rows = ", ".join(["(%s, %s, %s, %s, %s, %s)"] * len(taken))
    with connection.cursor() as cursor:
        cursor.execute(_RETRIEVED.format(rows=rows), values)


def columns_of(table: str = "") -> str:
    """What `read_rows` reads, in its order, of a table by this name in the statement."""
    names = [f"{table}.{name}" if table else name for name in COLUMNS]
    if connection.vendor == "sqlite":
        # As texts moments are read in a tenth of the time; SQLite keeps UTC, and does not say so.
        names = [f"{name} || '+00:00'" if name.endswith("_at") else name for name in names]
    return ", ".join(names)


def read_rows(rows: Iterable[Sequence[Any]]) -> list[Recalled]:
    """Records of rows as the database's driver told them."""
    read = Recalled._make if connection.vendor == "postgresql" else _read_sqlite
    return [read(row) for row in rows]


def _read(sql: str, values: Sequence[Any]) -> list[Recalled]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return read_rows(cursor.fetchall())


def _read_sqlite(row: Sequence[Any]) -> Recalled:
    position, record_id, *rest, retrieved, created = row
    when = datetime.fromisoformat(retrieved) if retrieved else None
    # Of the ways to write a UUID the number is read fastest.
    identity = UUID(int=int(record_id, 16))
    return Recalled._make((position, identity, *rest, when, datetime.fromisoformat(created)))
