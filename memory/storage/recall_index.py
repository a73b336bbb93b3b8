"""The table behind recall: the words of records, in what each database searches best.

What a record says never changes, so entries are only ever added. Who may be recalled does change,
and is asked of the records themselves: a flood of what may not be recalled displaces nothing.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connection

from branches.domain.search_query import Clause, Term, scope_word
from branches.domain.words import make_document, split_words
from branches.storage.search_index import as_match, as_text, as_tsquery, as_vector
from memory.domain.recalled import Recalled
from memory.storage.recalled_rows import columns_of, read_rows
from verel_site.kit.inserts import marks_of

_PUT: Final = {
    "postgresql": (
        "INSERT INTO memory_search (project_id, position, words) VALUES (%s, %s, %s::tsvector) "
        "ON CONFLICT (position) DO UPDATE SET words = EXCLUDED.words"
    ),
    "sqlite": "INSERT INTO memory_search (rowid, words) VALUES (%s, %s)",
}
_FIND: Final = {
    "postgresql": (
        "SELECT position FROM memory_search WHERE project_id = %s AND words @@ %s::tsquery "
        "ORDER BY ts_rank(words, %s::tsquery) DESC, position LIMIT %s"
    ),
    "sqlite": (
        "SELECT rowid FROM memory_search WHERE memory_search MATCH %s "
        "ORDER BY bm25(memory_search), rowid LIMIT %s"
    ),
}
# Ranked first, and only the best are held against what their records are: reading a record for each
# that has a word of the question takes many times as long as ranking them. `seen` tells whether the
# ranking went on behind the last one.
_RANKED: Final = {
    "postgresql": (
        "SELECT position AS at, -ts_rank(words, %s::tsquery) AS away FROM memory_search "
        "WHERE project_id = %s AND words @@ %s::tsquery ORDER BY away, position LIMIT %s"
    ),
    "sqlite": (
        "SELECT rowid AS at, bm25(memory_search) AS away FROM memory_search "
        "WHERE memory_search MATCH %s ORDER BY away, rowid LIMIT %s"
    ),
}
# SQLite goes through a cross join from left to right, and so in the order of the ranking: it stops at
# the last row that is wanted. PostgreSQL promises no order that it is not told.
_RECALL: Final = {
    "postgresql": (
        "WITH s AS MATERIALIZED ({ranked}) SELECT (SELECT count(*) FROM s) AS seen, {columns} "
        "FROM s JOIN memory_record r ON r.position = s.at WHERE {fits} "
        "ORDER BY s.away, s.at LIMIT %s"
    ),
    "sqlite": (
        "WITH s AS MATERIALIZED ({ranked}) SELECT (SELECT count(*) FROM s) AS seen, {columns} "
        "FROM s CROSS JOIN memory_record r ON r.position = s.at WHERE {fits} LIMIT %s"
    ),
}
_FITS: Final = (
    "r.project_id = %s AND r.standing = 'live' AND r.trust <> 'unverified' AND r.scope IN ({marks})"
)
_ALL: Final = 2**31 - 1
# So many times what is asked for is ranked, until enough of it may be recalled. SQLite's ranking has
# other projects in it; where the first was not enough, a project's next question begins farther.
_REACHES: Final = {"postgresql": (2, _ALL), "sqlite": (2, 20, _ALL)}
_REMEMBERED: Final = 10_000
MAX_WORDS: Final = 24
_begin_at: dict[UUID, int] = {}
# What one step of tidying rewrites at most, in pages; and how many steps there are in one go.
_TIDIED_PAGES: Final = 256
_TIDY_STEPS: Final = 400


def put_words(*, project_id: UUID, position: int, texts: Sequence[str]) -> None:
    """Call in the transaction that makes the record."""
    document, scope = make_document(texts), (_project_word(project_id),)
    values: list[Any] = [position, as_text(document, scope)]
    if connection.vendor == "postgresql":
        values = [project_id, position, as_vector(document, scope)]
    with connection.cursor() as cursor:
        cursor.execute(_PUT[connection.vendor], values)


def tidy_words() -> None:
    """Joins what single writes left in pieces, some pages at a time: a question reads each piece. On
    SQLite alone; PostgreSQL's own housekeeping does it. Call outside of transactions."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT segid) FROM memory_search_idx")
        if cursor.fetchone()[0] < 2:
            return
        # Negative, it takes up all pieces, and after that goes on with them.
        pages = -_TIDIED_PAGES
        for _ in range(_TIDY_STEPS):
            cursor.execute("SELECT total_changes()")
            before = cursor.fetchone()[0]
            cursor.execute(
                "INSERT INTO memory_search (memory_search, rank) VALUES ('merge', %s)", [pages]
            )
            cursor.execute("SELECT total_changes()")
            if cursor.fetchone()[0] - before < 2:
                return
            pages = _TIDIED_PAGES


def clauses_of(text: str) -> list[Clause]:
    """What has any of the text's first MAX_WORDS words; nothing for a text without any."""
    words = list(dict.fromkeys(split_words(text)))[:MAX_WORDS]
    return [Clause(tuple(Term((word,)) for word in words))] if words else []


def find_words(*, project_id: UUID, clauses: Sequence[Clause], limit: int) -> list[int]:
    """Positions of a project's records that match, whatever they are by now; the best first."""
    if connection.vendor == "postgresql":
        query = as_tsquery(clauses)
        values: list[Any] = [project_id, query, query, limit]
    else:
        values = [as_match([_of_project(project_id), *clauses]), limit]
    with connection.cursor() as cursor:
        cursor.execute(_FIND[connection.vendor], values)
        return [row[0] for row in cursor.fetchall()]


def find_recallable(
    *, project_id: UUID, clauses: Sequence[Clause], scopes: Sequence[str], limit: int
) -> list[Recalled]:
    """Records that match and may enter a context of these scopes, the best first. What may not be
    recalled displaces nothing: where it fills the front of the ranking, all of it is read."""
    vendor = connection.vendor
    reaches = _REACHES[vendor]
    begin = _begin_at.get(project_id, 0)
    for number, reach in enumerate(reaches[begin:], start=begin):
        among = min(_ALL, reach * limit)
        seen, found = _recall(vendor, project_id, clauses, scopes, limit, among=among)
        # Without a row nothing tells how far the ranking went.
        if len(found) == limit or 0 < seen < among or among == _ALL:
            break
        # All of it is for a question that finds little, and not where the next one begins.
        if number + 1 < len(reaches) - 1:
            _remember_reach(project_id, number + 1)
    return found


def _remember_reach(project_id: UUID, number: int) -> None:
    if len(_begin_at) >= _REMEMBERED:
        _begin_at.clear()
    _begin_at[project_id] = number


def _recall(
    vendor: str,
    project_id: UUID,
    clauses: Sequence[Clause],
    scopes: Sequence[str],
    limit: int,
    *,
    among: int,
) -> tuple[int, list[Recalled]]:
    if vendor == "postgresql":
        query = as_tsquery(clauses)
        ranked: list[Any] = [query, project_id, query, among]
    else:
        # The project's own word stands in every row: to rank by it costs as much as there is stored.
        told = clauses if among < _ALL else [_of_project(project_id), *clauses]
        ranked = [as_match(told), among]
    project = project_id if vendor == "postgresql" else project_id.hex
    sql = _RECALL[vendor].format(
        ranked=_RANKED[vendor],
        columns=columns_of("r"),
        fits=_FITS.format(marks=marks_of(scopes)),
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*ranked, project, *scopes, limit])
        rows = cursor.fetchall()
    return (rows[0][0] if rows else 0), read_rows(row[1:] for row in rows)


def _of_project(project_id: UUID) -> Clause:
    return Clause((Term((_project_word(project_id),)),))


def _project_word(project_id: UUID) -> str:
    return scope_word("p", project_id.hex)
