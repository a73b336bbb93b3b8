"""Servers that this product starts: what they keep, and that they never outlive their owner."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
import pytest

from tests.profile import throwaway_directory
from verel_site.servers.places import ServerUnavailable
from verel_site.servers.postgresql import PostgreSQL
from verel_site.servers.process import ServerProcess
from verel_site.servers.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
END_SECONDS = 90.0


def ends(pid: int) -> bool:
    """Whether a process that is not ours to wait for ends in time."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/status")
        if status.exists() and "State:\tZ" in status.read_text():
            return True
        time.sleep(0.02)
    return False


def test_what_postgresql_committed_before_a_kill_is_there_after_a_restart_on_the_same_port(
    postgresql: PostgreSQL,
) -> None:
    with psycopg.connect(postgresql.url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    url = postgresql.url
    assert postgresql.process is not None
    postgresql.process.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5)
    postgresql.start()
    assert postgresql.url == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_nobody_enters_postgresql_without_the_password(postgresql: PostgreSQL) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgresql.url, password="guessed", connect_timeout=5)


def test_a_server_ends_with_an_owner_that_was_killed(valkey: Valkey) -> None:
    code = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from verel_site.servers.valkey import Valkey
        server = Valkey(Path(sys.argv[1]), Path(sys.argv[2]))
        server.start()
        print(server.process.pid, flush=True)
        time.sleep(600)
        """
    )
    place = throwaway_directory()
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(place), str(valkey._binary)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    server = int(owner.stdout.readline())
    os.kill(server, 0)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert ends(server)


def test_a_server_that_ends_at_once_says_why() -> None:
    place = throwaway_directory()
    process = ServerProcess("Sleeper", ["/bin/sh", "-c", "echo no room >&2"], log=place / "log.txt")
    with pytest.raises(ServerUnavailable, match="no room"):
        process.start(lambda: False)
