"""What a proposal is held against and what it leaves, without an object or a compiled query for each:
near-duplicates by the signs that they share, whoever speaks under its key, the tokens that may stand
in nothing, and the next number."""

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

from branches.storage.rows import as_key
from memory.domain.terms import Standing
from verel_site.kit.inserts import marks_of

# So many that share a sign are compared word by word.
NEIGHBOURS: Final = 200
_NEAR: Final = (
    "SELECT position, kind, scope, object, text, standing, trust FROM memory_record "
    "WHERE position IN (SELECT record_id FROM memory_recordsign WHERE project_id = %s "
    "AND sign IN ({signs})) AND key = %s AND standing IN ({standings}) "
    # Whoever speaks comes before a flood of what does not.
    "ORDER BY CASE standing WHEN 'live' THEN 0 WHEN 'held' THEN 1 WHEN 'suppressed' THEN 2 "
    "ELSE 3 END, position LIMIT %s"
)
_SPEAKING: Final = (
    "SELECT position, kind, scope, object, text, standing, trust FROM memory_record "
    "WHERE project_id = %s AND key = %s AND standing = 'live' ORDER BY position"
)
_REFUSED_KEY: Final = (
    "SELECT id FROM memory_refusedvalue WHERE cleared_at IS NULL AND project_id = %s AND key = %s"
)
_REFUSED_SIGN: Final = (
    "SELECT id FROM memory_refusedvalue WHERE cleared_at IS NULL AND record_id IN "
    "(SELECT record_id FROM memory_recordsign WHERE project_id = %s AND sign IN ({signs}))"
)
_PUT_SIGNS: Final = "INSERT INTO memory_recordsign (project_id, record_id, sign) VALUES {rows}"
_LAST: Final = "SELECT max(number) FROM memory_record WHERE project_id = %s"


class Stood(NamedTuple):
    """A record, as far as a proposal is held against it."""

    position: int
    kind: str
    scope: str
    object: str
    text: str
    standing: str
    trust: str


def find_near(
    *, project_id: UUID, signs: Collection[str], key: str, standings: Sequence[Standing]
) -> list[Stood]:
    """Records under the key that share a sign, those that speak first: a look-up by equality, however
    many records there are."""
    sql = _NEAR.format(signs=marks_of(signs), standings=marks_of(standings))
    wanted = [standing.value for standing in standings]
    return _read(sql, [as_key(project_id), *signs, key, *wanted, NEIGHBOURS])


def find_speaking(*, project_id: UUID, key: str) -> list[Stood]:
    """Who is live under a key, in whatever scope."""
    return _read(_SPEAKING, [as_key(project_id), key]) if key else []


def find_refused(*, project_id: UUID, key: str, signs: Collection[str]) -> list[int]:
    """Refusals that stand under a key, or of a record that bears one of the signs."""
    project = as_key(project_id)
    told = [(_REFUSED_KEY, [project, key])] if key else []
    told += [(_REFUSED_SIGN.format(signs=marks_of(signs)), [project, *signs])] if signs else []
    if not told:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ".join(sql for sql, _ in told), [one for _, values in told for one in values]
        )
        return [row[0] for row in cursor.fetchall()]


def put_signs(*, project_id: UUID, position: int, signs: Collection[str]) -> None:
    """Call in the transaction that makes the record."""
    rows = ", ".join(["(%s, %s, %s)"] * len(signs))
    values = [value for sign in sorted(signs) for value in (as_key(project_id), position, sign)]
    with connection.cursor() as cursor:
        cursor.execute(_PUT_SIGNS.format(rows=rows), values)


def next_number(project_id: UUID) -> int:
    """Call under the project's lock."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST, [as_key(project_id)])
        return int(cursor.fetchone()[0] or 0) + 1


def _read(sql: str, values: Sequence[Any]) -> list[Stood]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [Stood(*row) for row in cursor.fetchall()]
