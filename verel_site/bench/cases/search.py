"""Searching a project, and keeping its index.

The limit of a search is what the database does by itself with a full-text table of the bare texts:
the same words, the newest fifty, no project and no reader; for a page of hits it makes the snippets
too. That of indexing is filling such a table with texts that were ready before.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from django.db import connection, transaction

from branches.api.search import hit_json
from branches.domain.search_query import parse_query
from branches.domain.words import payload_texts
from branches.indexing import BATCH, index_batch
from branches.selectors.search import MAX_POSITION, find_events, resolve_query
from branches.storage.search_index import find_positions
from verel_site.access.models import Project
from verel_site.bench.figures import AtMost, Case, Measure
from verel_site.bench.load import fill_branch, make_ground, make_trunk, make_wire_events

# One word that many events have, pairs, a phrase, a rare word, and one that is nowhere.
QUERIES: Final = (
    "class", "import module", '"the following"', "tarinfo", "iterator exception", "unheardof",
    "self archive", '"return value"', "lambda", "coroutine",
)  # fmt: skip
PAGE: Final = 50
ROUNDS: Final = 12
_FILL: Final = {
    "sqlite": "INSERT INTO bench_words (rowid, told) VALUES (%s, %s)",
    "postgresql": (
        "INSERT INTO bench_words (position, told, words) VALUES (%s, %s, to_tsvector('simple', %s))"
    ),
}
_FIND: Final = {
    "sqlite": (
        "SELECT rowid FROM bench_words WHERE bench_words MATCH %s ORDER BY rowid DESC LIMIT %s"
    ),
    "postgresql": (
        "SELECT position FROM bench_words WHERE words @@ websearch_to_tsquery('simple', %s) "
        "ORDER BY position DESC LIMIT %s"
    ),
}
_TELL: Final = {
    "sqlite": (
        "SELECT rowid, snippet(bench_words, 0, '[', ']', '…', 32) FROM bench_words "
        "WHERE bench_words MATCH %s ORDER BY rowid DESC LIMIT %s"
    ),
    "postgresql": (
        "SELECT position, ts_headline('simple', told, q) FROM (SELECT position, told, q "
        "FROM bench_words, websearch_to_tsquery('simple', %s) q WHERE words @@ q "
        "ORDER BY position DESC LIMIT %s) newest"
    ),
}


def measure_search(size: int) -> Iterator[Measure]:
    ground = make_ground("search")
    raw_rate = _fill_raw(size)
    trunk = make_trunk(ground.project)
    fill_branch(trunk, size)
    started = time.perf_counter()
    while index_batch(project_id=ground.project.pk):
        pass
    rate = size / (time.perf_counter() - started)
    _settle()
    raw = _p95_ms(lambda text: _ask_raw(_FIND, text))
    told = _p95_ms(lambda text: _find(ground.project, text))
    yield Measure("search", told, "ms", raw, AtMost(1.3))
    raw = _p95_ms(lambda text: _ask_raw(_TELL, text))
    told = _p95_ms(lambda text: _tell(ground.project, text))
    yield Measure("search.page", told, "ms", raw)
    yield Measure("search.index", rate, "events/s", raw_rate)


def _fill_raw(size: int) -> float:
    """Rows a second."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_words")
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE TABLE bench_words (position bigint PRIMARY KEY, told text, words tsvector)"
            )
            cursor.execute("CREATE INDEX bench_words_gin ON bench_words USING gin (words)")
        else:
            cursor.execute("CREATE VIRTUAL TABLE bench_words USING fts5(told)")
    rows: list[tuple[Any, ...]] = []
    for position, event in enumerate(make_wire_events(size), start=1):
        text = "\n".join(payload_texts(event["payload"]))
        rows.append(
            (position, text, text) if connection.vendor == "postgresql" else (position, text)
        )
    started = time.perf_counter()
    for start in range(0, size, BATCH):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(_FILL[connection.vendor], rows[start : start + BATCH])
    return size / (time.perf_counter() - started)


def _settle() -> None:
    """What the databases do by themselves before long."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for table in ("bench_words", "branches_search", "branches_event"):
                cursor.execute(f"VACUUM ANALYZE {table}")


def _ask_raw(questions: Mapping[str, str], text: str) -> Sequence[Any]:
    with connection.cursor() as cursor:
        cursor.execute(questions[connection.vendor], [text, PAGE + 1])
        return list(cursor.fetchall())


def _find(project: Project, text: str) -> Sequence[int]:
    clauses, _ = resolve_query(project, parse_query(text))
    return find_positions(project.pk, clauses, before=MAX_POSITION, limit=PAGE + 1)


def _tell(project: Project, text: str) -> bytes:
    query = parse_query(text)
    hits = find_events(project=project, query=query, before=None, limit=PAGE)
    return json.dumps([hit_json(row, query) for row in hits.rows]).encode()


def _p95_ms(ask: Callable[[str], object]) -> float:
    taken = []
    for number in range(ROUNDS + 1):
        for text in QUERIES:
            started = time.perf_counter()
            ask(text)
            if number:
                taken.append(time.perf_counter() - started)
    return sorted(taken)[int(len(taken) * 0.95)] * 1000


CASES: Final = (
    Case("search", measure_search, sizes=(10_000, 50_000), tiny=(40, 80), most=1_000_000),
)
