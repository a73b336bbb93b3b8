"""A server away: everything says so, each in its own form, and goes on when it is back."""

import base64
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import FLAGS
from tests.crash.pushing import event_id, make_batch, read_all
from tests.crash.served import Served
from tests.migrated import copy_static
from verel_site import health
from verel_site.servers.postgresql import PostgreSQL
from verel_site.servers.seaweedfs import SeaweedFS
from verel_site.servers.valkey import Valkey

# Below the 20 seconds that a request may wait for a busy pool, with room for a busy machine.
PROMPT_SECONDS: Final = 15.0
# Of a server that says nothing it takes some seconds to know, more on a busy machine; a request
# would wait for ever.
FROZEN_SECONDS: Final = 30.0
AT_ONCE: Final = 12
# Twice what the bar may be behind, and a busy machine.
BAR_SECONDS: Final = 60.0
CLOSE_FRAME: Final = 0x88
CLOSED_FOR_OUTAGE: Final = 4503
# One process instead of one for each command: starting it is the most of what they cost.
LET_IN: Final = """
from tests.make import make_key, make_project, make_user
from verel_site.access.links import create_link
project = make_project("away")
print(make_key(project, "events:write"), create_link(user=make_user(project)))
"""


class Client:
    """An agent and a person of one project, on a served product."""

    def __init__(self, served: Served) -> None:
        key, link = served.manage("shell", "-v0", "-c", LET_IN).split()
        self.agent = httpx.Client(
            base_url=f"{served.url}api/v1/",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        )
        self.person = httpx.Client(base_url=served.url, timeout=60)
        assert self.person.get(f"sign-in/{link}/").status_code == 302
        made = self.agent.post("projects/away/runs", json={"goal": "outlive"}).json()
        self.run, self.branch = made["run"], made["branch"]

    def push(self, batch: dict[str, object]) -> httpx.Response:
        return self.agent.post(f"branches/{self.branch}/events", json=batch)

    def open_socket(self) -> int:
        """The first byte and the close code of what the run's socket says; 0 if it announces."""
        place = self.person.base_url
        cookies = "; ".join(f"{name}={value}" for name, value in self.person.cookies.items())
        head = (
            f"GET /ws/runs/{self.run}/ HTTP/1.1\r\nHost: {place.host}:{place.port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            f"Origin: http://{place.host}:{place.port}\r\nCookie: {cookies}\r\n\r\n"
        )
        with socket.create_connection((place.host, place.port or 80), timeout=60) as wire:
            wire.sendall(head.encode())
            stream = wire.makefile("rb")
            assert b" 101 " in stream.readline()
            while stream.readline().strip():
                pass
            first, size = stream.read(2)
            body = stream.read(size & 127)
        return int.from_bytes(body[:2]) if first == CLOSE_FRAME else 0


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory,
    postgresql: PostgreSQL,
    valkey: Valkey,
    seaweedfs: SeaweedFS,
) -> Iterator[Client]:
    home = tmp_path_factory.mktemp("served")
    copy_static(home / "static")
    server = Served(
        home,
        VEREL_DATABASE_URL=postgresql.url,
        VEREL_REDIS_URL=valkey.url,
        **seaweedfs.environment,
    )
    try:
        server.start()
        yield Client(server)
    finally:
        server.clear_away()


def prompt[T](ask: Callable[[], T], within: float = PROMPT_SECONDS) -> T:
    """What it gives, which it gave in time."""
    started = time.monotonic()
    given = ask()
    assert time.monotonic() - started < within
    return given


def at_once(ask: Callable[[], httpx.Response]) -> list[int]:
    """The statuses of many such requests under way together."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return [done.result().status_code for done in [threads.submit(ask) for _ in range(AT_ONCE)]]


def test_while_postgresql_is_away_all_say_so_at_once_and_go_on_when_it_is_back(
    client: Client, postgresql: PostgreSQL
) -> None:
    page = f"runs/{client.run}/"
    # Many connections lie in the pool, all of which the stop will break.
    assert set(at_once(lambda: client.person.get(page))) == {200}
    assert client.open_socket() == 0
    postgresql.stop()

    batch = make_batch(1)
    for answer in (
        prompt(lambda: client.push(batch)),
        prompt(lambda: client.agent.get("events", params={"branch": client.branch})),
    ):
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "database_away"
        assert int(answer.headers["Retry-After"]) > 0
    for headers in ({}, {"HX-Request": "true"}):
        shown = prompt(partial(client.person.get, page, headers=headers))
        assert shown.status_code == 503
        assert int(shown.headers["Retry-After"]) > 0
        assert shown.text.count("The database does not answer") == (1 if headers else 2)
        assert ("<html" in shown.text) is (not headers)
    assert prompt(client.open_socket) == CLOSED_FOR_OUTAGE
    assert set(prompt(lambda: at_once(lambda: client.push(batch)))) == {503}

    postgresql.start()
    # The first request already, although every connection that was there is broken.
    stored = prompt(lambda: client.push(batch))
    assert stored.status_code == 201
    assert stored.json()["results"][0]["duplicate"] is False
    assert set(prompt(lambda: at_once(lambda: client.person.get(page)))) == {200}
    assert client.open_socket() == 0
    told = [event["event_id"] for event in read_all(client.agent, client.branch)]
    assert told.count(event_id(batch)) == 1
    assert len(told) == len(set(told))


def test_connections_that_a_restart_broke_cost_nobody_a_wait(
    client: Client, postgresql: PostgreSQL
) -> None:
    page = f"runs/{client.run}/"
    assert set(at_once(lambda: client.person.get(page))) == {200}
    postgresql.stop()
    postgresql.start()
    assert set(prompt(lambda: at_once(lambda: client.person.get(page)))) == {200}


@contextmanager
def frozen(server: PostgreSQL) -> Iterator[None]:
    """The server and everything that it started, stopped where they are. It holds its connections
    and its port, and says nothing."""
    assert server.process is not None
    # The one that would start others first.
    os.kill(server.process.pid, signal.SIGSTOP)
    pids = descendants(server.process.pid)
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def descendants(pid: int) -> list[int]:
    """The process and all below it, from the top down."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
    found = [pid]
    for one in found:
        found += [child for child, parent in pairs if parent == one]
    return found


def test_a_frozen_postgresql_is_told_of_in_time_and_serves_on_when_it_thaws(
    client: Client, postgresql: PostgreSQL
) -> None:
    page = f"runs/{client.run}/"
    assert set(at_once(lambda: client.person.get(page))) == {200}
    batch = make_batch(3)
    with frozen(postgresql):
        answer = prompt(lambda: client.push(batch), FROZEN_SECONDS)
        assert (answer.status_code, answer.json()["code"]) == (503, "database_away")
        many = prompt(lambda: at_once(lambda: client.person.get(page)), FROZEN_SECONDS)
        assert set(many) == {503}
    stored = prompt(lambda: client.push(batch))
    assert stored.status_code == 201
    assert set(prompt(lambda: at_once(lambda: client.person.get(page)))) == {200}
    told = [event["event_id"] for event in read_all(client.agent, client.branch)]
    assert told.count(event_id(batch)) == 1


@pytest.fixture
def page(client: Client, chromium: str) -> Iterator[Page]:
    """The run's page in a browser, with the person's session."""
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    address = str(client.person.base_url)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *sandbox])
        context = browser.new_context()
        context.add_cookies(
            [
                {"name": name, "value": value, "url": address}
                for name, value in client.person.cookies.items()
            ]
        )
        page = context.new_page()
        page.goto(f"{address}runs/{client.run}/")
        yield page
        browser.close()


def reload_until(page: Page, told: list[str]) -> None:
    """Each page tells what was known when it was made, and has it asked for anew."""
    deadline = time.monotonic() + BAR_SECONDS
    while page.locator(".status-bar .degraded").all_text_contents() != told:
        assert time.monotonic() < deadline
        page.reload()


def test_the_bar_of_a_page_says_what_is_away_until_it_is_back(
    client: Client, page: Page, valkey: Valkey, seaweedfs: SeaweedFS
) -> None:
    reload_until(page, [])
    valkey.stop()
    reload_until(page, [health.REDIS_FAULT.words])
    expect(page.locator(".status-bar .degraded")).to_be_in_viewport()
    expect(page.locator("[data-live-state].live-state")).to_have_text("Live")
    batch = make_batch(2)
    assert client.push(batch).status_code == 201
    # Announced and shown without a broker.
    expect(page.get_by_role("tree")).to_contain_text('{"n":2}', timeout=30_000)
    seaweedfs.stop()
    reload_until(page, [health.REDIS_FAULT.words, health.ARCHIVE_FAULT.words])
    if shots := os.environ.get("VEREL_TEST_SHOTS"):
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=f"{shots}/degraded-{width}.png")
    valkey.start()
    seaweedfs.start()
    reload_until(page, [])
