"""A server that is slow, and one that is not there, are told apart by asking the server itself."""

from collections.abc import Iterator
from socket import create_server
from urllib.parse import urlsplit

import pytest

from verel_site.kit.pooled_postgresql import base, pulse
from verel_site.kit.pooled_postgresql.base import Connection
from verel_site.kit.pooled_postgresql.pulse import ask_server
from verel_site.servers.postgresql import PostgreSQL


@pytest.fixture
def connection(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setattr(base, "SILENT_SECONDS", 0.1)
    with Connection.connect(postgresql.url) as connection:
        yield connection


def test_a_query_that_takes_long_is_waited_for(connection: Connection) -> None:
    query = "SELECT n, pg_sleep(0.2) FROM generate_series(1, 3) AS n"
    assert [row[0] for row in connection.execute(query)] == [1, 2, 3]
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY (SELECT pg_sleep(0.5)) TO STDOUT") as copy,
    ):
        assert list(copy.rows()) == [("",)]


def test_a_server_is_asked_whatever_it_says_to_the_greeting(postgresql: PostgreSQL) -> None:
    place = urlsplit(postgresql.url)
    assert ask_server("127.0.0.1", str(place.port), "verel")
    assert ask_server("127.0.0.1", str(place.port), "nobody-of-that-name")


def test_who_accepts_and_says_nothing_or_is_not_there_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulse, "PROBE_SECONDS", 0.2)
    with create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        assert not ask_server("127.0.0.1", port, "verel")
    assert not ask_server("127.0.0.1", port, "verel")
    assert not ask_server("/nowhere", "5432", "verel")
