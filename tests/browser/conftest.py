"""A real Chromium against a real Daphne process, on the database of the test.

The server is a subprocess with the product's own settings (hashed static files, strict CSP), on a
free port, started once a session. Rows that a test commits are seen by it at once, so browser
tests take `transactional_db`, which every fixture here that touches rows asks for. When a test
fails, its report has the end of the server's log and what each thread of the server stood at.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

from tests.browser.daphne_told import TOLD
from tests.make import make_project, make_user
from tests.migrated import copy_static
from verel_site.access.models import Project

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
]

# A busy machine answers slowly; that says nothing about the page. Nothing waits so long when it works.
NAVIGATION_MS = 90_000
STATE_MS = 20_000
expect.set_options(timeout=STATE_MS)

APPLICATION = "verel_site.asgi:application"
TOLD_SECONDS = 5.0
SERVER = pytest.StashKey[tuple[int, Path]]()

type OpenAs = Callable[[User], Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser, and is marked so."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed tells where its server was."""
    report = yield
    known = item.config.stash.get(SERVER, None)
    if report.failed and known is not None:
        report.sections.append(("The server", _ask_for_stacks(*known)))
    return report


def _ask_for_stacks(server: int, log: Path) -> str:
    """The end of the server's log, with its stacks."""
    before = log.stat().st_size
    try:
        os.kill(server, signal.SIGUSR1)
    except ProcessLookupError:
        return f"It has ended.\n{log.read_text()[-4000:]}"
    deadline = time.monotonic() + TOLD_SECONDS
    while time.monotonic() < deadline and TOLD not in log.read_text()[before:]:
        time.sleep(0.05)
    return log.read_text()[-8000:]


# Playwright's own fixtures last a session, and its event loop with them: an async test that came
# after them in the same process could not run. These end with the module.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    launched = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *sandbox])
    yield launched
    launched.close()


def _database_url() -> str:
    """The database of this test session, as the server's environment names it."""
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{known['NAME']}"
    place = f"{known['HOST'] or 'localhost'}:{known['PORT'] or 5432}"
    return f"postgresql://{known['USER']}:{known['PASSWORD']}@{place}/{known['NAME']}"


def _wait_until_alive(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"{address}/healthz", timeout=10):  # noqa: S310 - an address of our own
                return
        except (URLError, OSError):
            time.sleep(0.05)
    pytest.fail(f"The server did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="session")
def address(
    request: pytest.FixtureRequest,
    django_db_setup: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Where the server answers, without a slash at the end."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "verel_site.settings",
        "VEREL_HOME": str(settings.VEREL_HOME),
        "VEREL_DATABASE_URL": _database_url(),
    }
    copy_static(settings.STATIC_ROOT)
    # Bound before the server starts: a port that is only chosen may be another's by then.
    with log.open("wb") as output, socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        port = listening.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "tests.browser.daphne_told",
            "--fd",
            str(listening.fileno()),
            APPLICATION,
        ]
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(listening.fileno(),),
        )
        # Its own from here on: were it held here as well, a server that ended would seem to hang.
        listening.close()
        request.config.stash[SERVER] = (server.pid, log)
        try:
            _wait_until_alive(f"http://127.0.0.1:{port}", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


@pytest.fixture
def project(transactional_db: None) -> Project:
    return make_project("pump")


@pytest.fixture
def ada(project: Project) -> User:
    """A reviewer."""
    return make_user(project, name="ada")


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, object]:
    return {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture
def context(transactional_db: None, context: BrowserContext) -> BrowserContext:
    """Closed before the database is emptied: no page of a test asks for anything after it."""
    return context


@pytest.fixture
def open_as(context: BrowserContext, address: str, transactional_db: None) -> Iterator[OpenAs]:
    """A page with the session of a person. A script error or a CSP fault on it fails the test."""
    faults: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        # A page that is left gives up what it was fetching, and htmx says so in two lines.
        given_up = message.text.startswith(("htmx:sendAbort", "htmx:afterRequest"))
        if message.type == "error" and "status of 4" not in message.text and not given_up:
            faults.append(message.text)

    def open_page(user: User) -> Page:
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.clear_cookies()
        context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": address}]
        )
        page = context.new_page()
        page.set_default_navigation_timeout(NAVIGATION_MS)
        page.on("console", listen)
        page.on("pageerror", lambda error: faults.append(str(error)))
        return page

    yield open_page
    assert not faults, faults
