"""Looking fingerprints up in a large failure ledger.

The limit of a lookup is the same question of the same table by its index, written as one statement
and read as plain tuples: for the fingerprints of a report that arrives, as many at once; for a
reader's list, its first page.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.db import connection

from branches.storage.rows import as_key
from verdicts.failure_models import Failure
from verdicts.failure_selectors import FailureFilter, list_failures
from verdicts.failures import AT_ONCE, known_fingerprints
from verdicts.models import Report
from verdicts.reports import file_report
from verel_site.access.actors import SYSTEM
from verel_site.bench.figures import AtMost, Case, Measure, median_seconds
from verel_site.bench.load import make_ground, make_trunk

MOST: Final = 2_000_000
PAGE: Final = 50
ROUNDS: Final = 30
# Rows made by the database itself: fingerprints as random as real ones.
_FILL: Final = {
    "sqlite": """
        INSERT INTO verdicts_failure (id, project_id, fingerprint, kind, source, message, scrubbed,
            locator, bug, first_report_id, first_at, last_report_id, last_at, sightings, runs, open,
            returns)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s)
        SELECT lower(hex(randomblob(16))), r.project_id, lower(hex(randomblob(8))), 'test_failure',
            'test', 'assert ' || i || ' == 4', 'assert <num> == <num>', 'tests/t_' || i || '.py',
            lower(hex(randomblob(8))), r.id, r.received_at, r.id,
            strftime('%%Y-%%m-%%d %%H:%%M:%%f', r.received_at, '+' || i || ' seconds'), 1, 1,
            i %% 2, 0
        FROM n, verdicts_report r WHERE r.id = %s
    """,
    "postgresql": """
        INSERT INTO verdicts_failure (id, project_id, fingerprint, kind, source, message, scrubbed,
            locator, bug, first_report_id, first_at, last_report_id, last_at, sightings, runs, open,
            returns)
        SELECT gen_random_uuid(), r.project_id, left(md5(i::text), 16), 'test_failure', 'test',
            'assert ' || i || ' == 4', 'assert <num> == <num>', 'tests/t_' || i || '.py',
            left(md5((-i)::text), 16), r.id, r.received_at, r.id,
            r.received_at + i * interval '1 second', 1, 1, i %% 2 = 1, 0
        FROM generate_series(1, %s) i, verdicts_report r WHERE r.id = %s
    """,
}
_PAGE_SQL: Final = (
    "SELECT id, fingerprint, kind, source, message, scrubbed, locator, sightings, runs, open, "
    "first_at, last_at FROM verdicts_failure WHERE project_id = %s AND open "
    "ORDER BY last_at DESC, id DESC LIMIT %s"
)


def measure_ledger(size: int) -> Iterator[Measure]:
    """A ledger of `size` fingerprints."""
    project = make_ground("ledger").project
    report = _report_on(make_trunk(project))
    with connection.cursor() as cursor:
        cursor.execute(_FILL[connection.vendor], [size, as_key(report.pk)])
        cursor.execute("ANALYZE verdicts_failure")
    key = as_key(project.pk)
    stored = list(Failure.objects.values_list("fingerprint", flat=True)[: AT_ONCE * 100])
    asked = random.Random(1).sample(stored, min(AT_ONCE, len(stored)))  # noqa: S311 - a sample

    def lookup() -> object:
        return known_fingerprints(project_id=project.pk, fingerprints=asked)

    def lookup_raw() -> object:
        marks = ", ".join(["%s"] * len(asked))
        sql = "SELECT fingerprint FROM verdicts_failure WHERE project_id = %s AND fingerprint IN"
        return {row[0] for row in _ask(f"{sql} ({marks})", [key, *asked])}

    def page() -> object:
        wanted = FailureFilter(state="open")
        return list_failures(actor=SYSTEM, project=project, wanted=wanted, after="", limit=PAGE)

    def page_raw() -> object:
        return _ask(_PAGE_SQL, [key, PAGE])

    each = 1_000_000 / len(asked)
    yield Measure(
        "ledger.lookup",
        median_seconds(lookup, ROUNDS) * each,
        "µs",
        median_seconds(lookup_raw, ROUNDS) * each,
        AtMost(2.0),
        growth=AtMost(2.0),
    )
    yield Measure(
        "ledger.page",
        median_seconds(page, ROUNDS) * 1000,
        "ms",
        median_seconds(page_raw, ROUNDS) * 1000,
        growth=AtMost(1.3),
    )


def _report_on(branch: Any) -> Report:
    body = {"grader": "test", "head_digest": bytes(branch.head_digest).hex(), "issues": []}
    return file_report(branch_id=branch.pk, actor=SYSTEM, report=body)


def _ask(statement: str, values: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


CASES: Final = (
    Case("ledger", measure_ledger, sizes=(10_000, 1_000_000), tiny=(20, 40), most=MOST),
)
