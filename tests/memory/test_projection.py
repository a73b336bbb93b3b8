"""What a rented store holds of our records: one entry each, whatever dies on the way."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.utils import timezone

from memory.domain.terms import Answer
from memory.edits import make_edit
from memory.models import Projection, Record
from memory.ports.failures import PortFailed
from memory.ports.rests import wake_all
from memory.ports.stores import Entry, owner_of
from memory.projection import CLAIM_SECONDS, deliver_record, entry_of, is_behind
from memory.storage import owed
from tests.make import make_person, make_project
from tests.memory.dying import POINTS, die_delivering, replay
from tests.memory.file_store import FileStore
from tests.memory.make import CAP, answer, deliver, make_corroborated, make_fact, make_verified
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.outbox.models import Promise

TEXT = "The bolus cap is 45 mg"


@pytest.fixture(autouse=True)
def awake() -> Iterator[None]:
    wake_all()
    yield
    wake_all()


def held(store: FileStore, project: Project) -> list[str]:
    return store.texts(owner_of(project.pk))


def test_a_record_is_owed_in_the_transaction_that_moves_it_and_not_before(
    project: Project, curator: Actor
) -> None:
    record = make_fact(project, TEXT)
    assert not Promise.objects.exists()
    with transaction.atomic():
        answer(record, curator, Answer.PROMOTE)
        assert Promise.objects.count() == 1
        transaction.set_rollback(True)
    assert not Promise.objects.exists()
    record.refresh_from_db()
    answer(record, curator, Answer.PROMOTE)
    assert [(one.kind, one.subject) for one in Promise.objects.all()] == [
        ("memory.record", record.record_id)
    ]


def test_whatever_writes_a_record_owes_it(project: Project) -> None:
    made = make_corroborated(project, TEXT)
    Promise.objects.all().delete()
    Record.objects.filter(pk=made.pk).update(confidence=0.9, retrieval_count=3)
    assert not Promise.objects.exists()
    Record.objects.filter(pk=made.pk).update(standing="buried")
    assert Promise.objects.get().subject == made.record_id


def test_the_database_owes_again_after_a_migration_remade_the_table(project: Project) -> None:
    # What SQLite does to a table's triggers when a migration changes a column.
    with connection.cursor() as cursor:
        for when in ("insert", "update"):
            on = " ON memory_record" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {owed.NAME}_{when}{on}")
    owed.install(using="default")
    owed.install(using="default")
    make_corroborated(project, TEXT)
    assert Promise.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL remakes no table")
def test_a_migration_may_remake_the_table_that_the_triggers_name() -> None:
    owed.lift(using="default")
    with connection.schema_editor() as editor:
        editor._remake_table(Promise)  # type: ignore[attr-defined]  # what a migration does
    owed.install(using="default")
    make_corroborated(make_project(), TEXT)
    assert Promise.objects.count() == 1


def test_an_entry_comes_with_trust_and_goes_with_it(
    project: Project, curator: Actor, store: FileStore
) -> None:
    record = make_fact(project, TEXT)
    deliver()
    assert held(store, project) == []
    answer(record, curator, Answer.PROMOTE)
    assert deliver() == 1
    assert deliver() == 0
    assert held(store, project) == [TEXT]
    answer(record, curator, Answer.DEMOTE, "x")
    answer(record, curator, Answer.DEMOTE, "x")
    deliver()
    assert held(store, project) == []
    answer(record, curator, Answer.PROMOTE)
    deliver()
    assert held(store, project) == [TEXT]
    answer(record, curator, Answer.BURY)
    deliver()
    assert held(store, project) == []


def test_a_new_version_takes_the_place_of_the_old_one(
    project: Project, curator: Actor, store: FileStore
) -> None:
    record = make_verified(project, TEXT, curator, **CAP, object="45 mg")
    deliver()
    edit = make_edit(record, text="The bolus cap is 40 mg", object="40 mg", expression="")
    answer(record, curator, Answer.EDIT, edit=edit)
    deliver()
    assert held(store, project) == ["The bolus cap is 40 mg"]


def test_a_suppressed_record_leaves_the_store(
    project: Project, curator: Actor, store: FileStore
) -> None:
    loser = make_corroborated(project, TEXT, **CAP, object="45 mg")
    deliver()
    into = make_verified(project, "The cap of a bolus is forty-five", curator)
    answer(loser, curator, Answer.MERGE, "x", into=into.record_id)
    deliver()
    assert held(store, project) == ["The cap of a bolus is forty-five"]


def test_what_moves_while_it_is_delivered_is_delivered_again(
    project: Project, curator: Actor, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_verified(project, TEXT, curator)
    add = store.add

    def bury_meanwhile(owner: str, entry: Entry) -> None:
        add(owner, entry)
        answer(record, curator, Answer.BURY)

    monkeypatch.setattr(store, "add", bury_meanwhile)
    deliver()
    assert held(store, project) == [TEXT]
    assert Promise.objects.get().state == "due"
    deliver()
    assert held(store, project) == []


def test_two_deliveries_of_one_record_at_once_add_one_entry(
    project: Project, curator: Actor, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = make_verified(project, TEXT, curator)
    add = store.add

    def deliver_meanwhile(owner: str, entry: Entry) -> None:
        with pytest.raises(PortFailed, match="under way"):
            deliver_record(record.record_id, "recall")
        add(owner, entry)

    monkeypatch.setattr(store, "add", deliver_meanwhile)
    deliver()
    assert held(store, project) == [TEXT]


def test_a_store_that_is_away_leaves_the_promise_due(
    project: Project, curator: Actor, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_verified(project, TEXT, curator)

    def refuse(owner: str, entry: Entry) -> None:
        raise PortFailed("nobody there")

    monkeypatch.setattr(store, "add", refuse)
    assert deliver() == 0
    promise = Promise.objects.get()
    assert (promise.state, promise.last_error) == ("due", "nobody there")
    monkeypatch.undo()
    replay()
    assert held(store, project) == [TEXT]


def test_a_store_that_fails_is_left_alone_for_a_while_and_loses_nothing(
    project: Project, curator: Actor, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["The cap is set", "A pump beeps twice", "Doors open at noon"]
    for text in texts:
        make_verified(project, text, curator)
    asked: list[str] = []

    def refuse(owner: str, record: str) -> None:
        asked.append(record)
        raise PortFailed("nobody there")

    monkeypatch.setattr(store, "find", refuse)
    assert deliver() == 0
    assert len(asked) == 1
    assert set(Promise.objects.values_list("state", "last_error")) == {("due", "nobody there")}
    assert is_behind()
    monkeypatch.undo()
    replay()
    assert held(store, project) == sorted(texts)
    assert not is_behind()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("act", ["add", "replace", "remove"])
def test_after_a_death_at_any_point_a_replay_leaves_no_duplicate_and_no_orphan(
    store: FileStore, tmp_path: Path, point: str, act: str
) -> None:
    project = make_project()
    curator = make_person(project, Role.CURATOR)
    record = make_verified(project, TEXT, curator)
    if act != "add":
        deliver()
        move = {"replace": (Answer.PROMOTE, {"scope": "global"}), "remove": (Answer.BURY, {})}
        told, more = move[act]
        answer(record, curator, told, **more)
    die_delivering(lambda: FileStore(tmp_path / "rented"), point)
    # Whoever died still holds the claim.
    Projection.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    replay()
    entry = entry_of(record)
    told_of = [one.digest for one in store.every(owner_of(project.pk))]
    assert told_of == ([entry.digest] if entry else [])


@pytest.mark.django_db(transaction=True)
def test_a_claim_of_the_dead_is_waited_for_and_no_longer(store: FileStore, tmp_path: Path) -> None:
    project = make_project()
    record = make_verified(project, TEXT, make_person(project, Role.CURATOR))
    die_delivering(lambda: FileStore(tmp_path / "rented"), "before act")
    with pytest.raises(PortFailed, match="under way"):
        deliver_record(record.record_id, "recall")
    until = Projection.objects.get().claimed_until
    assert until is not None
    assert until <= timezone.now() + timedelta(seconds=CLAIM_SECONDS)


def spoil(store: FileStore, project: Project, records: list[Record]) -> None:
    """One is missing, one is stale, one is double, and two are nobody's."""
    owner = owner_of(project.pk)
    missing, stale, double = records
    store.remove(owner, store.find(owner, str(missing.record_id))[0])
    old = store.find(owner, str(stale.record_id))[0]
    store.replace(owner, old, Entry(old.record, 1, "old", "old", {}))
    again = entry_of(double)
    assert again is not None
    store.add(owner, again)
    store.add(owner, Entry(str(uuid4()), 1, "x", "an orphan", {}))
    store.add(owner, Entry("no id", 1, "x", "another orphan", {}))


def test_the_command_lists_what_differs_and_mends_it(
    project: Project, curator: Actor, store: FileStore
) -> None:
    texts = ["The cap is set", "A pump beeps twice", "Doors open at noon"]
    records = [make_verified(project, text, curator) for text in texts]
    deliver()
    spoil(store, project, records)
    out = StringIO()
    with pytest.raises(CommandError, match="5 differences"):
        call_command("project_memory", "--check", project=project.slug, stdout=out)
    told = [line.split(": ")[1] for line in out.getvalue().splitlines()]
    assert sorted(told) == ["double", "missing", "orphan", "orphan", "stale"]
    call_command("project_memory", "--replay", stdout=out)
    assert out.getvalue().endswith(f"{project.slug}: 5 mended\n")
    assert held(store, project) == sorted(texts)
    out = StringIO()
    call_command("project_memory", "--check", stdout=out)
    assert out.getvalue() == "Nothing differs.\n"


def test_the_command_takes_one_of_two_words_and_a_project_that_is_there() -> None:
    with pytest.raises(CommandError, match="one of the arguments"):
        call_command("project_memory")
