"""The table behind recall: the words of records, in what each database searches best.

What a record says never changes, so entries are only ever added. Who may be recalled does change,
and is asked of the records themselves: a flood of what may not be recalled displaces nothing.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connection

from branches.domain.search_query import Clause, Term, scope_word
from branches.domain.words import make_document
from branches.storage.search_index import as_match, as_text, as_tsquery, as_vector

_PUT: Final = {
    "postgresql": (
        "INSERT INTO memory_search (project_id, position, words) VALUES (%s, %s, %s::tsvector) "
        "ON CONFLICT (position) DO UPDATE SET words = EXCLUDED.words"
    ),
    "sqlite": "INSERT INTO memory_search (rowid, words) VALUES (%s, %s)",
}
_FIND: Final = {
    "postgresql": (
        "SELECT r.position FROM memory_search s JOIN memory_record r ON r.position = s.position "
        "WHERE s.project_id = %s AND s.words @@ %s::tsquery {where} "
        "ORDER BY ts_rank(s.words, %s::tsquery) DESC, r.position LIMIT %s"
    ),
    "sqlite": (
        "SELECT r.position FROM memory_search s JOIN memory_record r ON r.position = s.rowid "
        "WHERE memory_search MATCH %s {where} ORDER BY bm25(memory_search), r.position LIMIT %s"
    ),
}
_RECALLABLE: Final = "AND r.standing = 'live' AND r.trust <> 'unverified' AND r.scope IN ({marks})"


def put_words(*, project_id: UUID, position: int, texts: Sequence[str]) -> None:
    """Call in the transaction that makes the record."""
    document, scope = make_document(texts), (_project_word(project_id),)
    values: list[Any] = [position, as_text(document, scope)]
    if connection.vendor == "postgresql":
        values = [project_id, position, as_vector(document, scope)]
    with connection.cursor() as cursor:
        cursor.execute(_PUT[connection.vendor], values)


def find_words(
    *,
    project_id: UUID,
    clauses: Sequence[Clause],
    limit: int,
    recallable_in: Sequence[str] | None = None,
) -> list[int]:
    """Positions of records that match, the best first; with `recallable_in` only of those that
    may enter a context of these scopes."""
    of_project = Clause((Term((_project_word(project_id),)),))
    wanted = [of_project, *clauses]
    where, scopes = "", list(recallable_in or ())
    if recallable_in is not None:
        where = _RECALLABLE.format(marks=", ".join(["%s"] * len(scopes)))
    values: list[Any] = [as_match(wanted), *scopes, limit]
    if connection.vendor == "postgresql":
        query = as_tsquery(wanted)
        values = [project_id, query, *scopes, query, limit]
    with connection.cursor() as cursor:
        cursor.execute(_FIND[connection.vendor].format(where=where), values)
        return [row[0] for row in cursor.fetchall()]


def _project_word(project_id: UUID) -> str:
    return scope_word("p", project_id.hex)
