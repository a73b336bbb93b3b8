"""The served product, killed and stopped for real: a process of its own on a data directory of its own."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 60
STOP_SECONDS = 20


class Server:
    """`manage.py serve` under a fresh VEREL_HOME; the port is its own choice."""

    def __init__(self, home: Path) -> None:
        self.env = {
            **os.environ,
            "VEREL_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "verel_site.settings",
        }
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def manage(self, *args: str) -> str:
        command = [sys.executable, "manage.py", *args]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://\S+", line):
                self.url = found[0]
            if "Listening on" in line:
                threading.Thread(target=self.process.stdout.read, daemon=True).start()
                return
        raise AssertionError("the server ended before it listened")

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(STOP_SECONDS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "home")
    server.manage("migrate", "-v0")
    yield server
    if server.process is not None and server.process.poll() is None:
        server.end(signal.SIGKILL)


def make_batch(number: int) -> dict[str, Any]:
    event = {
        "event_id": str(uuid4()),
        "type": "data.percept",
        "source": "crash-test",
        "ts": "2026-11-20T12:00:00Z",
        "payload": {"n": number},
    }
    return {"events": [event]}


def test_what_was_acknowledged_before_a_kill_is_there_after_it_once(server: Server) -> None:
    server.manage("create_project", "crash")
    key = server.manage("create_api_key", "--project", "crash", "--scopes", "events:write")
    server.start()
    headers = {"Authorization": f"Bearer {key}"}
    acknowledged: list[tuple[dict[str, Any], dict[str, Any]]] = []
    sent: list[dict[str, Any]] = []
    enough = threading.Event()

    with httpx.Client(base_url=f"{server.url}api/v1/", headers=headers) as client:
        run = client.post("projects/crash/runs", json={"goal": "survive"}).raise_for_status().json()
        address = f"branches/{run['branch']}/events"

        def push() -> None:
            try:
                for number in range(10_000):
                    batch = make_batch(number)
                    sent.append(batch)
                    answer = client.post(address, json=batch).raise_for_status().json()
                    acknowledged.append((batch, answer["results"][0]))
                    if number == 30:
                        enough.set()
            except httpx.HTTPError:
                enough.set()

        pusher = threading.Thread(target=push)
        pusher.start()
        assert enough.wait(START_SECONDS)
        server.end(signal.SIGKILL)
        pusher.join(START_SECONDS)

    assert len(acknowledged) >= 30
    server.start()
    with httpx.Client(base_url=f"{server.url}api/v1/", headers=headers) as client:
        for batch, first in acknowledged:
            again = client.post(address, json=batch).raise_for_status().json()["results"][0]
            assert again == {**first, "duplicate": True}
        client.post(address, json=sent[-1]).raise_for_status()
        events = client.get("events", params={"branch": run["branch"], "limit": 1000}).json()
        seqs = [event["seq"] for event in events["results"]]
        assert seqs == list(range(1, len(seqs) + 1))
        told = [event["event_id"] for event in events["results"][1:]]
        assert told == [batch["events"][0]["event_id"] for batch in sent]


def test_sigterm_stops_the_server_cleanly(server: Server) -> None:
    server.start()
    assert httpx.get(f"{server.url}healthz").json() == {"status": "alive"}
    assert httpx.get(f"{server.url}readyz").json()["status"] == "ready"
    assert server.end(signal.SIGTERM) == 0
