"""Clients that push events until they are told to stop, and remember what was acknowledged."""

import threading
from itertools import count
from typing import Any
from uuid import uuid4

import httpx

from tests.crash.served import Served

WAIT_SECONDS = 180
PAUSE_SECONDS = 0.1
CLIENTS = 4


def make_batch(number: int) -> dict[str, Any]:
    event = {
        "event_id": str(uuid4()),
        "type": "data.percept",
        "source": "crash-test",
        "ts": "2026-11-20T12:00:00Z",
        "payload": {"n": number},
    }
    return {"events": [event]}


def event_id(batch: dict[str, Any]) -> str:
    return str(batch["events"][0]["event_id"])


class Pusher:
    """One client on one branch. It sends a batch again until it is acknowledged, as agents do."""

    def __init__(self, served: Served, project: str, key: str) -> None:
        self._served = served
        self._headers = {"Authorization": f"Bearer {key}"}
        with self.client() as client:
            made = client.post(f"projects/{project}/runs", json={"goal": "survive"})
            self.branch = str(made.raise_for_status().json()["branch"])
        self.address = f"branches/{self.branch}/events"
        self.acknowledged: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.failures = 0
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._push, daemon=True)

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self._served.url}api/v1/", headers=self._headers, timeout=WAIT_SECONDS
        )

    def start(self) -> None:
        self._thread.start()

    def wait_for(self, acknowledged: int) -> None:
        with self._news:
            enough = self._news.wait_for(
                lambda: len(self.acknowledged) >= acknowledged, WAIT_SECONDS
            )
        assert enough, f"{len(self.acknowledged)} of {acknowledged}"

    def stop(self) -> None:
        """Returns when the batch that is under way has been acknowledged."""
        self._stop.set()
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()

    def _push(self) -> None:
        for number in count():
            if self._stop.is_set():
                return
            self._push_until_acknowledged(make_batch(number))

    def _push_until_acknowledged(self, batch: dict[str, Any]) -> None:
        while True:
            try:
                with self.client() as client:
                    answer = client.post(self.address, json=batch).raise_for_status().json()
            except httpx.HTTPError:
                self.failures += 1
                # Between tries, as any client does; nothing is waited for by this.
                threading.Event().wait(PAUSE_SECONDS)
                continue
            with self._news:
                self.acknowledged.append((batch, answer["results"][0]))
                self._news.notify_all()
            return

    def check(self) -> None:
        """Every acknowledged event is there once, in order, with the seq that was told."""
        with self.client() as client:
            stored = read_all(client, self.branch)
            assert [event["seq"] for event in stored] == list(range(1, len(stored) + 1))
            told = [event["event_id"] for event in stored[1:]]
            assert told == [event_id(batch) for batch, _ in self.acknowledged]
            places = {event["event_id"]: event["seq"] for event in stored}
            for batch, first in self.acknowledged:
                assert places[event_id(batch)] == first["seq"]
            for batch, first in self.acknowledged[-3:]:
                again = client.post(self.address, json=batch).raise_for_status().json()
                assert again["results"][0] == {**first, "duplicate": True}


def start_pushers(served: Served, project: str) -> list[Pusher]:
    """Clients at work, each on a branch of its own in a new project."""
    (key,) = served.let_in(project, "events:write")
    pushers = [Pusher(served, project, key) for _ in range(CLIENTS)]
    for pusher in pushers:
        pusher.start()
    return pushers


def read_all(client: httpx.Client, branch: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        asked = {"branch": branch, "limit": "1000", **({"after": after} if after else {})}
        page = client.get("events", params=asked).raise_for_status().json()
        events += page["results"]
        after = page["next"]
        if after is None:
            return events
