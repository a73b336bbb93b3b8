"""Recall among many facts, a context of them, and writing one more.

The limit of recall is the database's own ranked full-text query over a table of the bare texts, which
answers the texts of the best; the limit of a write is one row and its words in a transaction. Goals
have words as the texts have them: a few that many facts share. Of `recall.rare` every word is as
likely as another, so that the fixed cost of a question shows.

Ours and the limit are asked in turn, goal by goal, and each goal counts with the median of its rounds:
p95 is then the time of a hard question, and not that of a moment in which the machine was busy.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from django.db import connection, transaction

from memory.domain.content import content_digest
from memory.domain.likeness import signs_of
from memory.facts import make_fact
from memory.models import Record, RecordSign
from memory.proposals import propose
from memory.recall import assemble_context, recall
from memory.records import text_digest
from memory.storage.recall_index import put_words, tidy_words
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.bench.figures import AtLeast, AtMost, Case, Measure
from verel_site.bench.load import make_ground
from verel_site.outbox.models import Promise

WORDS: Final = 4_000
TEXT_WORDS: Final = 12
FOUND: Final = 50
GOAL_WORDS: Final = 5
GOALS: Final = 40
CONTEXTS: Final = 12
ROUNDS: Final = 5
WRITES: Final = 60
BATCH: Final = 1_000
_FILL: Final = {
    "sqlite": "INSERT INTO bench_facts (rowid, told) VALUES (%(at)s, %(told)s)",
    "postgresql": (
        "INSERT INTO bench_facts (position, told, words) "
        "VALUES (%(at)s, %(told)s, to_tsvector('simple', %(told)s))"
    ),
}
_FIND: Final = {
    "sqlite": (
        "SELECT rowid, told FROM bench_facts WHERE bench_facts MATCH %s "
        "ORDER BY bm25(bench_facts) LIMIT %s"
    ),
    "postgresql": (
        "SELECT position, told FROM bench_facts, to_tsquery('simple', %s) q WHERE words @@ q "
        "ORDER BY ts_rank(words, q) DESC LIMIT %s"
    ),
}


def measure_recall(size: int) -> Iterator[Measure]:
    project, dice = _make_facts(size)

    def ask(goal: str) -> object:
        return recall(project_id=project.pk, goal=goal, scopes=["team"], limit=FOUND)

    def put_together(goal: str) -> object:
        return assemble_context(project_id=project.pk, actor=SYSTEM, goal=goal)

    asked = range(min(GOALS, size // 10))
    rare = [" ".join(dice.sample(_VOCABULARY, GOAL_WORDS)) for _ in asked]
    raw, told = _taken(rare, _ask_raw, ask)
    yield Measure("memory.recall.rare.p95", _at(told, 0.95), "ms", _at(raw, 0.95))
    goals = [" ".join(_say(dice, 0).split()[:GOAL_WORDS]) for _ in asked]
    raw, told = _taken(goals, _ask_raw, ask)
    yield Measure("memory.recall.p50", _at(told, 0.5), "ms", _at(raw, 0.5))
    yield Measure("memory.recall.p95", _at(told, 0.95), "ms", _at(raw, 0.95), AtMost(1.3))
    raw, made = _taken(goals[:CONTEXTS], _ask_raw, put_together)
    yield Measure("memory.context", _at(made, 0.5), "ms", _at(raw, 0.5))


def measure_writes(size: int) -> Iterator[Measure]:
    project, dice = _make_facts(size)
    rate = _write(project, dice, size)
    yield Measure("memory.writes", rate, "facts/s", _write_raw(dice, size), growth=AtLeast(0.5))


def _make_facts(size: int) -> tuple[Project, random.Random]:
    """So many of them in a project, and the same texts in the table of the limit."""
    dice = random.Random(7)  # noqa: S311 - texts of a benchmark
    texts = [_say(dice, number) for number in range(size)]
    project = make_ground("memory").project
    _fill_raw(texts)
    _fill(project, texts)
    return project, dice


_VOCABULARY: Final = [f"word{number}" for number in range(WORDS)]


def _say(dice: random.Random, number: int) -> str:
    # A few words are common and most are rare, as in any text.
    told = [_VOCABULARY[int(WORDS * dice.random() ** 3)] for _ in range(TEXT_WORDS)]
    return f"{' '.join(told)} of pump {number}"


def _fill_raw(texts: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_facts")
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE TABLE bench_facts (position bigint PRIMARY KEY, told text, words tsvector)"
            )
            cursor.execute("CREATE INDEX bench_facts_gin ON bench_facts USING gin (words)")
        else:
            cursor.execute("CREATE VIRTUAL TABLE bench_facts USING fts5(told)")
        with transaction.atomic():
            cursor.executemany(
                _FILL[connection.vendor],
                [{"at": at, "told": text} for at, text in enumerate(texts, start=1)],
            )


def _fill(project: Project, texts: Sequence[str]) -> None:
    """Facts that three runs corroborated: the first through the door, the rest as copies of its row,
    with what is their own, their words and their signs."""
    first = propose(project_id=project.pk, actor=SYSTEM, proposal=make_fact(text=texts[0])).record
    for start in range(1, len(texts), BATCH):
        with transaction.atomic():
            _copy(first, texts[start : start + BATCH], start + 1)
    Record.objects.filter(project=project).update(trust="corroborated", confidence=0.7)
    # Nobody delivers here, and what is owed is none of what is measured.
    Promise.objects.filter(project=project).delete()
    _tidy()


def _tidy() -> None:
    """What PostgreSQL does by itself, and on SQLite each consolidation; for the limit's table too."""
    tidy_words()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("INSERT INTO bench_facts (bench_facts) VALUES ('optimize')")
            return
        for table in ("bench_facts", "memory_search", "memory_record", "memory_recordsign"):
            cursor.execute(f"VACUUM ANALYZE {table}")


def _copy(first: Record, texts: Sequence[str], number: int) -> None:
    own = ("record_id", "number", "text", "digest", "same_text")
    rest = [
        field.column
        for field in Record._meta.concrete_fields
        if field.column not in own and not field.primary_key
    ]
    quoted = ", ".join(f'"{name}"' for name in rest)
    statement = (
        f"INSERT INTO memory_record ({', '.join(own)}, {quoted}) "
        f"SELECT %s, %s, %s, %s, %s, {quoted} FROM memory_record WHERE position = %s"
    )
    ids = [uuid4() for _ in texts]
    with connection.cursor() as cursor:
        cursor.executemany(
            statement,
            [
                (
                    made if connection.vendor == "postgresql" else made.hex,
                    at,
                    text,
                    content_digest(first.kind, (("text", text),)),
                    text_digest(text),
                    first.position,
                )
                for at, (made, text) in enumerate(zip(ids, texts, strict=True), start=number)
            ],
        )
    _index(first, ids)


def _index(first: Record, ids: Sequence[UUID]) -> None:
    rows = Record.objects.filter(record_id__in=ids).values_list("position", "text")
    about = (first.kind, first.scope, first.key, first.object)
    signs = []
    for position, text in rows:
        put_words(project_id=first.project_id, position=position, texts=[text, "", "", ""])
        signs += [
            RecordSign(project_id=first.project_id, record_id=position, sign=sign)
            for sign in signs_of(text, about=about)
        ]
    RecordSign.objects.bulk_create(signs)


def _ask_raw(goal: str) -> list[Any]:
    joint = " | " if connection.vendor == "postgresql" else " OR "
    with connection.cursor() as cursor:
        cursor.execute(_FIND[connection.vendor], [joint.join(goal.split()), FOUND])
        return list(cursor.fetchall())


def _taken(goals: Sequence[str], *asks: Callable[[str], object]) -> tuple[list[float], ...]:
    """Of each that is asked, the milliseconds of every goal, the least first."""
    taken: list[list[list[float]]] = [[[] for _ in goals] for _ in asks]
    for number in range(ROUNDS + 1):
        for at, goal in enumerate(goals):
            for ask, times in zip(asks, taken, strict=True):
                started = time.perf_counter()
                ask(goal)
                if number:
                    times[at].append((time.perf_counter() - started) * 1000)
    return tuple(sorted(statistics.median(goal) for goal in times) for times in taken)


def _at(taken: Sequence[float], share: float) -> float:
    return taken[int(len(taken) * share)]


def _write(project: Project, dice: random.Random, size: int) -> float:
    started = time.perf_counter()
    for number in range(WRITES):
        told = make_fact(text=_say(dice, size + number))
        propose(project_id=project.pk, actor=SYSTEM, proposal=told)
    return WRITES / (time.perf_counter() - started)


def _write_raw(dice: random.Random, size: int) -> float:
    started = time.perf_counter()
    for number in range(WRITES):
        with transaction.atomic(), connection.cursor() as cursor:
            told: dict[str, int | str] = {"at": 2 * size + number, "told": _say(dice, number)}
            cursor.execute(_FILL[connection.vendor], told)
    return WRITES / (time.perf_counter() - started)


CASES: Final = (
    Case("memory.recall", measure_recall, sizes=(10_000, 100_000), tiny=(30, 60), most=200_000),
    Case("memory.writes", measure_writes, sizes=(1_000, 100_000), tiny=(30, 60), most=200_000),
)
