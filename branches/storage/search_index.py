"""The table behind the search: words by position, in what each database searches best.

Callers give words and clauses of `branches.domain`; only here they become SQL. Every value is a
parameter, and every query text is put together from words alone, so that none has a syntax to
break.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from django.db import connection

from branches.domain.search_query import Clause, Term
from branches.domain.words import BREAK, Document

# `(position, document, scope words)`
type Entry = tuple[int, Document, Sequence[str]]

_FIND: Final = {
    ("postgresql", False): (
        "SELECT position FROM branches_search WHERE project_id = %s AND words @@ %s::tsquery "
        "AND position > %s AND position < %s ORDER BY position DESC LIMIT %s"
    ),
    ("postgresql", True): (
        "SELECT position FROM branches_search WHERE project_id = %s AND words @@ %s::tsquery "
        "AND position > %s AND position < %s ORDER BY position LIMIT %s"
    ),
    ("sqlite", False): (
        "SELECT rowid FROM branches_search WHERE branches_search MATCH %s "
        "AND rowid > %s AND rowid < %s ORDER BY rowid DESC LIMIT %s"
    ),
    ("sqlite", True): (
        "SELECT rowid FROM branches_search WHERE branches_search MATCH %s "
        "AND rowid > %s AND rowid < %s ORDER BY rowid LIMIT %s"
    ),
}


def _is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def put_entries(project_id: UUID, entries: Iterable[Entry]) -> None:
    """Adds entries; each position once, unless the project was cleared before."""
    with connection.cursor() as cursor:
        if _is_postgresql():
            cursor.executemany(
                "INSERT INTO branches_search (project_id, position, words) "
                "VALUES (%s, %s, %s::tsvector) "
                "ON CONFLICT (project_id, position) DO UPDATE SET words = EXCLUDED.words",
                [(project_id, at, as_vector(doc, scope)) for at, doc, scope in entries],
            )
        else:
            cursor.executemany(
                "INSERT INTO branches_search (rowid, words) VALUES (%s, %s)",
                [(at, as_text(doc, scope)) for at, doc, scope in entries],
            )


def clear_entries(project_id: UUID | None) -> bool:
    """Empties the index of a project, or of all; says whether it was that of all.

    SQLite's index keeps no text, and so cannot take one project out of it: it is emptied whole.
    """
    with connection.cursor() as cursor:
        if not _is_postgresql():
            cursor.execute("INSERT INTO branches_search (branches_search) VALUES ('delete-all')")
        elif project_id is None:
            cursor.execute("TRUNCATE branches_search")
        else:
            cursor.execute("DELETE FROM branches_search WHERE project_id = %s", [project_id])
    return project_id is None or not _is_postgresql()


def find_positions(
    project_id: UUID,
    clauses: Sequence[Clause],
    *,
    after: int = 0,
    before: int,
    limit: int,
    ascending: bool = False,
) -> list[int]:
    """Positions of matching events between two others, newest first unless `ascending`.

    The clauses begin with one that names the project.
    """
    sql = _FIND[connection.vendor, ascending]
    matched: list[Any] = (
        [project_id, as_tsquery(clauses)] if _is_postgresql() else [as_match(clauses)]
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*matched, after, before, limit])
        return [row[0] for row in cursor.fetchall()]


def as_text(document: Document, scope: Sequence[str]) -> str:
    """What FTS5 is given."""
    return " ".join([*scope, BREAK, *document.sequence, *_apart(document.loose)])


def _apart(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        yield BREAK
        yield word


def as_vector(document: Document, scope: Sequence[str]) -> str:
    """A `tsvector` in text."""
    places: dict[str, list[str]] = {}
    for at, word in enumerate(document.sequence, start=1):
        if word != BREAK:
            places.setdefault(word, []).append(str(at))
    return " ".join(
        [
            *(f"'{word}'" for word in (*scope, *document.loose)),
            *(f"'{word}':{','.join(numbers)}" for word, numbers in places.items()),
        ]
    )


def as_match(clauses: Sequence[Clause]) -> str:
    """In FTS5's words. NOT takes two sides there, so those without come last, as one."""
    wanted = [_any_of(clause, _fts_term, " OR ") for clause in clauses if not clause.negated]
    refused = [_any_of(clause, _fts_term, " OR ") for clause in clauses if clause.negated]
    matched = " AND ".join(wanted)
    return f"({matched}) NOT ({' OR '.join(refused)})" if refused else matched


def as_tsquery(clauses: Sequence[Clause]) -> str:
    """In PostgreSQL's words."""
    return " & ".join(
        ("!" if clause.negated else "") + _any_of(clause, _ts_term, " | ") for clause in clauses
    )


def _any_of(clause: Clause, spell: Any, joint: str) -> str:
    return f"({joint.join(spell(term) for term in clause.any_of)})"


def _fts_term(term: Term) -> str:
    return f'"{" ".join(term.words)}"{" *" if term.prefix else ""}'


def _ts_term(term: Term) -> str:
    spelled = [f"'{word}'" for word in term.words]
    return f"({' <-> '.join(spelled)}{':*' if term.prefix else ''})"
