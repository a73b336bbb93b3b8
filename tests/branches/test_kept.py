"""What PostgreSQL itself refuses: a change of what is kept, by whichever client."""

from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from branches.models import Event, Run
from branches.storage.payloads import payload_bytes
from tests.make import append, make_draft, make_message, make_project, make_run
from verel_site.access.actors import SYSTEM
from verel_site.audit.ledger import record_act
from verel_site.audit.models import AuditEntry

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        "connection.vendor != 'postgresql'", reason="SQLite has no user who is not its owner"
    ),
]


def run_sql(statement: str, *values: Any) -> None:
    """One statement, in a savepoint of its own."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


@pytest.fixture
def event() -> Event:
    _, trunk = make_run()
    append(trunk, make_message("user", "one"))
    return Event.objects.get(branch=trunk, seq=2)


@pytest.fixture
def archiving() -> Iterator[None]:
    run_sql("SET verel.archiving = 'on'")
    yield
    run_sql("SET verel.archiving = ''")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE branches_event SET payload = '' WHERE event_id = %s",
        "UPDATE branches_event SET seq = 9 WHERE event_id = %s",
        "UPDATE branches_event SET position = position WHERE event_id = %s",
        "DELETE FROM branches_event WHERE event_id = %s",
    ],
)
def test_an_event_is_neither_changed_nor_removed(event: Event, statement: str) -> None:
    with pytest.raises(DatabaseError, match="an event is never changed"):
        run_sql(statement, event.event_id)
    assert payload_bytes(Event.objects.get(event_id=event.event_id)) == b'{"content":"one"}'


@pytest.mark.usefixtures("archiving")
def test_the_archiver_may_put_another_envelope_and_nothing_else(event: Event) -> None:
    run_sql("UPDATE branches_event SET payload = '\\x00' WHERE event_id = %s", event.event_id)
    assert bytes(Event.objects.get(event_id=event.event_id).payload) == b"\x00"
    update = "UPDATE branches_event SET payload = '', {} = %s WHERE event_id = %s"
    for column, value in (("seq", 9), ("source", "x"), ("task_id", uuid4()), ("seal", b"")):
        with pytest.raises(DatabaseError, match="an event is never changed"):
            run_sql(update.format(column), value, event.event_id)
    with pytest.raises(DatabaseError, match="an event is never changed: DELETE"):
        run_sql("DELETE FROM branches_event WHERE event_id = %s", event.event_id)


@pytest.mark.parametrize("table", ["branches_event", "branches_event_0", "audit_auditentry"])
def test_a_ledger_is_not_emptied_outside_of_tests(event: Event, table: str) -> None:
    run_sql("SET LOCAL verel.truncating = ''")
    with pytest.raises(DatabaseError, match="never"):
        run_sql(f"TRUNCATE {table} CASCADE")
    assert Event.objects.filter(event_id=event.event_id).exists()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_auditentry SET reason = 'none'", "DELETE FROM audit_auditentry"],
)
@pytest.mark.usefixtures("archiving")
def test_an_audit_entry_is_neither_changed_nor_removed(statement: str) -> None:
    record_act(project_id=make_project().pk, actor=SYSTEM, action="run.start", subject="run:1")
    with pytest.raises(DatabaseError, match="an audit entry is never changed"):
        run_sql(statement)
    assert AuditEntry.objects.filter(reason="").exists()


def test_a_run_lies_in_one_partition_and_runs_in_many() -> None:
    project = make_project()
    for _ in range(24):
        _, trunk = make_run(project)
        append(trunk, make_draft())
    with connection.cursor() as cursor:
        cursor.execute("SELECT run_id, count(DISTINCT tableoid) FROM branches_event GROUP BY 1")
        assert {count for _, count in cursor.fetchall()} == {1}
        cursor.execute("SELECT count(DISTINCT tableoid) FROM branches_event")
        assert cursor.fetchone()[0] > 1
    assert Run.objects.count() == 24


def plan_of(rows: object) -> str:
    """The plan, for a table too large to be read through."""
    run_sql("SET LOCAL enable_seqscan = off")
    return str(rows.explain())  # type: ignore[attr-defined]


def test_every_way_into_the_journal_has_an_index(event: Event) -> None:
    found = Event.objects.filter
    ways = {
        "place": found(branch_id=event.branch_id, seq=2),
        "id": found(event_id=event.event_id),
        "of_run": found(run_id=event.run_id, position__gt=1).order_by("position")[:10],
        "of_project": found(project_id=event.project_id, position__gt=1).order_by("position")[:10],
        "position": found(pk=event.pk),
    }
    for name, rows in ways.items():
        plan = plan_of(rows)
        assert "Seq Scan" not in plan, (name, plan)
        assert name == "position" or f"_{name}" in plan, (name, plan)


def test_a_flat_table_becomes_partitions_with_its_rows_and_goes_on_counting(event: Event) -> None:
    """In a schema of its own: a table as the first release made it, with this database's rows."""
    module = import_module("branches.migrations.0004_event_partitions")
    for statement in (
        "CREATE SCHEMA before",
        "SET LOCAL search_path = before, public",
        "CREATE TABLE before.branches_event (LIKE public.branches_event)",
        "INSERT INTO before.branches_event SELECT * FROM public.branches_event",
        "ALTER TABLE before.branches_event ADD PRIMARY KEY (position)",
        "ALTER TABLE before.branches_event ALTER seq TYPE bigint",
        "ALTER TABLE before.branches_event ALTER position ADD GENERATED BY DEFAULT AS IDENTITY",
    ):
        run_sql(statement)
    before = list(Event.objects.order_by("position").values_list())
    for _ in range(2):  # a second time it finds nothing to do
        module.partition(None, SimpleNamespace(connection=connection))
    assert list(Event.objects.order_by("position").values_list()) == before
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('before.branches_event', 'position'))"
        )
        assert cursor.fetchone()[0] == before[-1][0] + 1
        cursor.execute("SELECT tableoid::regclass::text FROM branches_event LIMIT 1")
        assert cursor.fetchone()[0].startswith("branches_event_")
    with pytest.raises(DatabaseError, match="an event is never changed"):
        run_sql("DELETE FROM before.branches_event")
