"""Threads that write to one SQLite file stand in line for it."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from django.db import OperationalError, connections, transaction
from pytest_django import DjangoDbBlocker

from verel_site.kit.env import SQLITE
from verel_site.kit.queued_sqlite.base import turns_of
from verel_site.kit.queued_sqlite.turns import Turns

SOON = 20.0
QUEUE = "queue"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """A file of its own, beside the database of the tests."""
    file = tmp_path / "queue.sqlite3"
    options = {"transaction_mode": "IMMEDIATE", "timeout": SOON}
    ours = {"default": {}, QUEUE: {"ENGINE": SQLITE, "NAME": file, "OPTIONS": options}}
    connections.settings[QUEUE] = connections.configure_settings(ours)[QUEUE]
    with django_db_blocker.unblock():
        run("PRAGMA journal_mode=WAL")
        run("CREATE TABLE came (who INTEGER)")
        yield file
        connections[QUEUE].close()
    del connections[QUEUE]
    del connections.settings[QUEUE]


def run(statement: str, *values: int) -> list[int]:
    with connections[QUEUE].cursor() as cursor:
        cursor.execute(statement, values)
        return [each for (each,) in cursor.fetchall()]


def note(who: int) -> None:
    with transaction.atomic(using=QUEUE):
        run("INSERT INTO came VALUES (%s)", who)


def came() -> list[int]:
    return run("SELECT who FROM came ORDER BY rowid")


def beside(act: Callable[[], object]) -> threading.Thread:
    """Begun in a thread with a connection of its own."""

    def work() -> None:
        try:
            act()
        finally:
            connections[QUEUE].close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_for_line(turns: Turns, length: int) -> None:
    until = time.monotonic() + SOON
    while turns.waiting < length:
        assert time.monotonic() < until, "nobody stands in line"
        threading.Event().wait(0.001)


def test_writers_go_in_the_order_in_which_they_came(file: Path) -> None:
    turns = turns_of(str(file))
    threads = []
    with transaction.atomic(using=QUEUE):
        for who in range(1, 11):
            threads.append(beside(partial(note, who)))
            wait_for_line(turns, who)
        run("INSERT INTO came VALUES (0)")
    for thread in threads:
        thread.join(SOON)
    assert came() == list(range(11))


@pytest.mark.parametrize("fault", [ValueError, OperationalError, KeyboardInterrupt])
def test_who_fails_in_a_transaction_gives_the_turn_back(fault: type[BaseException]) -> None:
    def fail() -> None:
        with transaction.atomic(using=QUEUE):
            run("INSERT INTO came VALUES (1)")
            raise fault

    with pytest.raises(fault):
        fail()
    beside(lambda: note(2)).join(SOON)
    assert came() == [2]


def test_who_closes_within_a_transaction_gives_the_turn_back() -> None:
    with transaction.atomic(using=QUEUE):
        connections[QUEUE].close()
    beside(lambda: note(1)).join(SOON)
    assert came() == [1]


def test_who_waits_too_long_is_told_what_sqlite_tells_and_holds_nobody_up() -> None:
    told: list[Exception] = []

    def write() -> None:
        try:
            note(1)
        except OperationalError as error:
            told.append(error)

    connections.settings[QUEUE]["OPTIONS"]["timeout"] = 0.05
    with transaction.atomic(using=QUEUE):
        beside(write).join(SOON)
    assert [str(each) for each in told] == ["database is locked"]
    beside(lambda: note(2)).join(SOON)
    assert came() == [2]


def test_a_reader_waits_for_no_writer() -> None:
    read: list[list[int]] = []
    with transaction.atomic(using=QUEUE):
        run("INSERT INTO came VALUES (1)")
        beside(lambda: read.append(came())).join(SOON)
    assert read == [[]]
