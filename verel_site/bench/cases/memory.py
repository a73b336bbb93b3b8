"""Recall among many facts, a context of them, and writing one more.

The limit of recall is the database's own ranked full-text query over a table of the bare texts,
the limit of a write is one row and its words in a transaction.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from django.db import connection, transaction

from memory.facts import propose_fact
from memory.models import Record
from memory.recall import assemble_context, recall
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.bench.figures import AtLeast, AtMost, Case, Measure
from verel_site.bench.load import make_ground

WORDS: Final = 4_000
TEXT_WORDS: Final = 12
FOUND: Final = 50
GOALS: Final = 12
ROUNDS: Final = 4
WRITES: Final = 60
BATCH: Final = 1_000
_FILL: Final = {
    "sqlite": "INSERT INTO bench_facts (rowid, told) VALUES (%s, %s)",
    "postgresql": (
        "INSERT INTO bench_facts (position, words) VALUES (%s, to_tsvector('simple', %s))"
    ),
}
_FIND: Final = {
    "sqlite": (
        "SELECT rowid FROM bench_facts WHERE bench_facts MATCH %s "
        "ORDER BY bm25(bench_facts) LIMIT %s"
    ),
    "postgresql": (
        "SELECT position FROM bench_facts, to_tsquery('simple', %s) q WHERE words @@ q "
        "ORDER BY ts_rank(words, q) DESC LIMIT %s"
    ),
}


def measure_memory(size: int) -> Iterator[Measure]:
    ground = make_ground("memory")
    dice = random.Random(7)  # noqa: S311 - texts of a benchmark
    texts = [_say(dice, number) for number in range(size)]
    _fill_raw(texts)
    _fill(ground.project, texts)
    goals = [" ".join(dice.sample(_VOCABULARY, 5)) for _ in range(GOALS)]
    raw = _taken(goals, _ask_raw)
    told = _taken(
        goals,
        lambda goal: recall(project_id=ground.project.pk, goal=goal, scopes=["team"], limit=FOUND),
    )
    yield Measure("memory.recall.p50", _at(told, 0.5), "ms", _at(raw, 0.5))
    yield Measure("memory.recall.p95", _at(told, 0.95), "ms", _at(raw, 0.95), AtMost(1.3))
    made = _taken(
        goals, lambda goal: assemble_context(project_id=ground.project.pk, actor=SYSTEM, goal=goal)
    )
    yield Measure("memory.context", _at(made, 0.5), "ms", _at(raw, 0.5))
    rate = _write(ground.project, dice, size)
    yield Measure("memory.writes", rate, "facts/s", _write_raw(dice, size), growth=AtLeast(0.5))


_VOCABULARY: Final = [f"word{number}" for number in range(WORDS)]


def _say(dice: random.Random, number: int) -> str:
    # A few words are common and most are rare, as in any text.
    told = [_VOCABULARY[int(WORDS * dice.random() ** 3)] for _ in range(TEXT_WORDS)]
    return f"{' '.join(told)} of pump {number}"


def _fill_raw(texts: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_facts")
        if connection.vendor == "postgresql":
            cursor.execute("CREATE TABLE bench_facts (position bigint PRIMARY KEY, words tsvector)")
            cursor.execute("CREATE INDEX bench_facts_gin ON bench_facts USING gin (words)")
        else:
            cursor.execute("CREATE VIRTUAL TABLE bench_facts USING fts5(told)")
        with transaction.atomic():
            cursor.executemany(_FILL[connection.vendor], list(enumerate(texts, start=1)))


def _fill(project: Project, texts: Sequence[str]) -> None:
    for start in range(0, len(texts), BATCH):
        with transaction.atomic():
            for text in texts[start : start + BATCH]:
                propose_fact(project_id=project.pk, actor=SYSTEM, text=text)
    Record.objects.filter(project=project).update(trust="corroborated", confidence=0.7)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for table in ("bench_facts", "memory_search", "memory_record"):
                cursor.execute(f"VACUUM ANALYZE {table}")


def _ask_raw(goal: str) -> list[Any]:
    joint = " | " if connection.vendor == "postgresql" else " OR "
    with connection.cursor() as cursor:
        cursor.execute(_FIND[connection.vendor], [joint.join(goal.split()), FOUND])
        return list(cursor.fetchall())


def _taken(goals: Sequence[str], ask: Callable[[str], object]) -> list[float]:
    taken = []
    for number in range(ROUNDS + 1):
        for goal in goals:
            started = time.perf_counter()
            ask(goal)
            if number:
                taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)


def _at(taken: Sequence[float], share: float) -> float:
    return taken[int(len(taken) * share)]


def _write(project: Project, dice: random.Random, size: int) -> float:
    started = time.perf_counter()
    for number in range(WRITES):
        propose_fact(project_id=project.pk, actor=SYSTEM, text=_say(dice, size + number))
    return WRITES / (time.perf_counter() - started)


def _write_raw(dice: random.Random, size: int) -> float:
    started = time.perf_counter()
    for number in range(WRITES):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_FILL[connection.vendor], [2 * size + number, _say(dice, number)])
    return WRITES / (time.perf_counter() - started)


CASES: Final = (Case("memory", measure_memory, sizes=(1_000, 10_000), tiny=(30, 60), most=200_000),)
