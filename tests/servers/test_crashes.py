"""Processes of the production profile killed for real, at a time and at named points."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.crash.pushing import Pusher, start_pushers
from tests.crash.served import Served
from tests.migrated import copy_static
from verel_site.servers.places import LOOPBACK
from verel_site.servers.postgresql import PostgreSQL
from verel_site.servers.valkey import Valkey

COMMIT = b"COMMIT\x00"
CHUNK = 65_536


@pytest.fixture(scope="module")
def product_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    copy_static(home / "static")
    return home


@pytest.fixture
def served(
    product_home: Path, postgresql: PostgreSQL, valkey: Valkey
) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def make(database: str = "") -> Served:
        made.append(
            Served(
                product_home,
                VEREL_DATABASE_URL=database or postgresql.url,
                VEREL_REDIS_URL=valkey.url,
                VEREL_LOG="json",
            )
        )
        return made[-1]

    yield make
    for each in made:
        each.clear_away()


def kill(postgresql: PostgreSQL) -> None:
    assert postgresql.process is not None
    postgresql.process.kill()


def test_postgresql_killed_under_load_loses_nothing_and_is_found_again(
    postgresql: PostgreSQL, served: Callable[..., Served]
) -> None:
    server = served()
    server.start()
    pushers = start_pushers(server, "database-killed")
    for pusher in pushers:
        pusher.wait_for(acknowledged=15)
    kill(postgresql)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgresql.url, connect_timeout=5)
    postgresql.start()
    for pusher in pushers:
        pusher.wait_for(acknowledged=len(pusher.acknowledged) + 5)
        pusher.stop()
        pusher.check()


def test_several_processes_share_the_socket_and_one_that_dies_is_replaced(
    served: Callable[..., Served],
) -> None:
    server = served()
    server.start("--processes", "2", listeners=2)
    first = listening_processes(server)
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)
    pushers = start_pushers(server, "shared")
    for pusher in pushers:
        pusher.wait_for(acknowledged=5)
        pusher.stop()
        pusher.check()
    server.wait_until_said("Listening on", times=3)
    assert len(set(listening_processes(server))) == 3
    assert server.end(signal.SIGTERM) == 0
    for process in listening_processes(server):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def listening_processes(server: Served) -> list[int]:
    lines = [json.loads(line) for line in server.said if line.startswith("{")]
    return [line["process"] for line in lines if "Listening on" in line["message"]]


class Interposed:
    """A PostgreSQL behind a wire that ends it at one COMMIT of an append, before or after it."""

    def __init__(self, postgresql: PostgreSQL, point: str) -> None:
        self._postgresql = postgresql
        self._point = point
        self._armed = threading.Event()
        self.struck = threading.Event()
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return self._postgresql.url.replace(f":{self._postgresql.port}/", f":{self.port}/")

    def arm(self) -> None:
        self._armed.set()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection((LOOPBACK, self._postgresql.port))
            except OSError:
                client.close()
                continue
            wire = _Wire(client, server, self._look)
            for pump in (wire.pump_asked, wire.pump_answered):
                threading.Thread(target=pump, daemon=True).start()

    def _look(self, point: str, appending: bool) -> bool:
        """Strikes, and says so, where this is the point that was armed."""
        if point != self._point or not appending or not self._armed.is_set():
            return False
        self._armed.clear()
        kill(self._postgresql)
        self.struck.set()
        return True


class _Wire:
    """One connection, both ways; it ends at both ends when it ends at one."""

    def __init__(
        self, client: socket.socket, server: socket.socket, look: Callable[[str, bool], bool]
    ) -> None:
        self._client, self._server, self._look = client, server, look
        self._appending = self._committing = False

    def pump_asked(self) -> None:
        def strikes(data: bytes) -> bool:
            if b"branches_event" in data and b"insert" in data.lower():
                self._appending = True
            if COMMIT not in data:
                return False
            self._committing = self._appending
            return self._look("before the commit", self._appending)

        self._pump(self._client, self._server, strikes)

    def pump_answered(self) -> None:
        def strikes(data: bytes) -> bool:
            if not self._committing or COMMIT not in data:
                return False
            struck = self._look("after the commit", True)
            self._appending = self._committing = False
            return struck

        self._pump(self._server, self._client, strikes)

    def _pump(
        self, source: socket.socket, sink: socket.socket, strikes: Callable[[bytes], bool]
    ) -> None:
        try:
            while (data := source.recv(CHUNK)) and not strikes(data):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                # Closing alone says nothing to the peer while the other thread reads from it.
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


@pytest.mark.parametrize("point", ["before the commit", "after the commit"])
def test_postgresql_killed_at_a_commit_stores_what_is_sent_again_once(
    postgresql: PostgreSQL, served: Callable[..., Served], point: str
) -> None:
    wire = Interposed(postgresql, point)
    server = served(wire.url)
    server.start("--no-worker")
    project = point.replace(" ", "-")
    (key,) = server.let_in(project, "events:write")
    pusher = Pusher(server, project, key)
    pusher.start()
    pusher.wait_for(acknowledged=5)
    wire.arm()
    assert wire.struck.wait(60)
    before = len(pusher.acknowledged)
    postgresql.start()
    pusher.wait_for(acknowledged=before + 5)
    pusher.stop()
    pusher.check()
    # What was sent at the point is stored in both cases; only in one it had been already.
    assert pusher.acknowledged[before][1]["duplicate"] is (point == "after the commit")
    assert pusher.failures >= 1
    wire.close()


def test_the_page_and_the_append_of_a_database_that_is_away_say_so_and_do_not_hang(
    postgresql: PostgreSQL, served: Callable[..., Served]
) -> None:
    server = served()
    server.start("--no-worker")
    kill(postgresql)
    ready = httpx.get(f"{server.url}readyz", timeout=30)
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] == "down"
    assert httpx.get(f"{server.url}healthz", timeout=30).status_code == 200
    postgresql.start()
    while httpx.get(f"{server.url}readyz", timeout=30).status_code != 200:
        assert server.process is not None
        assert server.process.poll() is None
