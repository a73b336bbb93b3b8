"""What the product stands on, and how each part of it is: for probes, and for the status bar.

A look never waits longer than it says, and never piles up: each part is asked by one thread at a
time, whose answer is shared for a moment. A part that does not answer in time is as good as down.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

import redis
from django.conf import settings
from django.db import close_old_connections, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from branches.storage.cold import cold_store
from memory.projection import is_behind
from memory.rented import why_store_rests
from memory.vectors import why_embedder_rests

WAIT_SECONDS: Final = 2.0
FRESH_SECONDS: Final = 2.0
# The bar on a page may be so much behind: it never waits, and asks again in the background.
BAR_SECONDS: Final = 5.0
REDIS_SECONDS: Final = 1.5


class State(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"


@dataclass(frozen=True)
class Finding:
    """`words` say what does not work meanwhile, and what goes on; empty when all is well."""

    state: State
    words: str = ""


UP: Final = Finding(State.UP)


class Part:
    """One dependency. `look` may block and may raise; `fault` is what its failure means."""

    def __init__(self, name: str, look: Callable[[], Finding], fault: Finding) -> None:
        self.name = name
        self._look = look
        self._fault = fault
        self._lock = threading.Lock()
        self._running: threading.Event | None = None
        self._asked_at = 0.0
        self._known = UP
        self._known_at = float("-inf")

    def finding(self, *, wait: float, fresh: float) -> Finding:
        """What is known and no older than `fresh` seconds; asks, and waits so long, if need be."""
        with self._lock:
            if time.monotonic() - self._known_at <= fresh:
                return self._known
            answered = self._running or self._ask()
        answered.wait(wait)
        with self._lock:
            late = self._running is not None and time.monotonic() - self._asked_at >= WAIT_SECONDS
            return self._fault if late else self._known

    def forget(self) -> None:
        """The next look asks anew."""
        with self._lock:
            self._known, self._known_at = UP, float("-inf")

    def _ask(self) -> threading.Event:
        answered = self._running = threading.Event()
        self._asked_at = time.monotonic()
        name = f"look at the {self.name}"
        threading.Thread(target=self._run, args=(answered,), name=name, daemon=True).start()
        return answered

    def _run(self, answered: threading.Event) -> None:
        try:
            found = self._look()
        except Exception:
            # Whatever it is, the part does not do its work; who runs it reads its own log.
            found = self._fault
        finally:
            close_old_connections()
        with self._lock:
            self._known, self._known_at, self._running = found, time.monotonic(), None
        answered.set()


@cache
def _needed_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).disk_migrations)


def look_at_database() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return UP


def look_at_migrations() -> Finding:
    missing = sorted(_needed_migrations() - set(MigrationRecorder(connection).applied_migrations()))
    if not missing:
        return UP
    named = ", ".join(f"{app}.{name}" for app, name in missing[:3])
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    return Finding(State.DOWN, f"The database lacks the migrations {named}{more}.")


def look_at_redis() -> Finding:
    if not settings.VEREL_REDIS_URL:
        return Finding(State.ABSENT)
    client = redis.Redis.from_url(
        settings.VEREL_REDIS_URL,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
    )
    with client:
        client.ping()
    return UP


def look_at_archive() -> Finding:
    cold_store().probe()
    return UP


def look_at_embedder() -> Finding:
    """As this process's questions found it: it is not asked for the sake of a probe."""
    if settings.VEREL_EMBEDDER == "none":
        return Finding(State.ABSENT)
    return EMBEDDER_FAULT if why_embedder_rests() else UP


def look_at_store() -> Finding:
    """As this process's questions found it, and as the deliveries of any process did."""
    if settings.VEREL_MEMORY_STORE == "none":
        return Finding(State.ABSENT)
    if why_store_rests():
        return STORE_FAULT
    return STORE_BEHIND if is_behind() else UP


EMBEDDER_FAULT: Final = Finding(
    State.DEGRADED, "The embedder does not answer. Memory recalls by words meanwhile."
)
STORE_FAULT: Final = Finding(
    State.DEGRADED, "The rented memory store does not answer. Memory recalls without it meanwhile."
)
STORE_BEHIND: Final = Finding(
    State.DEGRADED,
    "Records that changed could not be shown to the rented memory store yet; they are tried again. "
    "Memory takes nothing on its word meanwhile.",
)
REDIS_FAULT: Final = Finding(
    State.DEGRADED, "Redis does not answer. Events are stored and read without it."
)
ARCHIVE_FAULT: Final = Finding(
    State.DEGRADED,
    "The archive does not answer. Deliveries, dataset files and archived payloads wait for it; "
    "all else goes on.",
)
PARTS: Final = (
    Part(
        "database",
        look_at_database,
        Finding(State.DOWN, "The database does not answer: nothing can be read or stored."),
    ),
    Part(
        "migrations",
        look_at_migrations,
        # Where the database is down, that is said already.
        Finding(State.DEGRADED, "Whether the database is migrated could not be read in time."),
    ),
    Part("redis", look_at_redis, REDIS_FAULT),
    Part("archive", look_at_archive, ARCHIVE_FAULT),
    Part("embedder", look_at_embedder, EMBEDDER_FAULT),
    Part("memory_store", look_at_store, STORE_FAULT),
)
# A page is made from the database: where that is down there is no bar to say so.
ON_THE_BAR: Final = tuple(part for part in PARTS if part.name not in {"database", "migrations"})


def look_at_all() -> dict[str, Finding]:
    """Every part by name, asked now or a moment ago."""
    deadline = time.monotonic() + WAIT_SECONDS
    return {
        part.name: part.finding(wait=max(0.0, deadline - time.monotonic()), fresh=FRESH_SECONDS)
        for part in PARTS
    }


def sum_up(findings: dict[str, Finding]) -> State:
    states = {finding.state for finding in findings.values()}
    return next((state for state in (State.DOWN, State.DEGRADED) if state in states), State.UP)


def degraded_words() -> list[str]:
    """For the bar: what is known to be degraded, without waiting for it."""
    findings = (part.finding(wait=0, fresh=BAR_SECONDS) for part in ON_THE_BAR)
    return [finding.words for finding in findings if finding.words]
