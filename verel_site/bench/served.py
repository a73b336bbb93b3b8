"""The served product in a process of its own, and clients that keep it busy."""

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from threading import Thread
from urllib.parse import urlsplit

from django.conf import settings

STOP_SECONDS = 20

type Call = tuple[str, str, bytes]


class ServerFailed(Exception):
    """It did not start, or it answered what no benchmark asks for."""


@dataclass(frozen=True)
class Served:
    host: str
    port: int
    key: str

    def send(self, calls: Sequence[Call]) -> None:
        """`(method, path, body)` one after the other over one connection; raises ServerFailed."""
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=120)) as client:
            for method, path, body in calls:
                client.request(method, path, body, self._headers())
                answer = client.getresponse()
                told = answer.read()
                if answer.status not in (200, 201):
                    raise ServerFailed(f"{method} {path}: {answer.status} {told[:300]!r}")

    def seconds_of(self, clients: Sequence[Sequence[Call]]) -> float:
        """How long all clients take side by side, each its own calls."""
        with ThreadPoolExecutor(len(clients)) as pool:
            started = time.perf_counter()
            list(pool.map(self.send, clients))
            return time.perf_counter() - started

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}


type Address = tuple[str, int]

_kept: "KeptServers | None" = None


class KeptServers:
    """While it is entered, a server is started once for each environment, and serves on for every
    `serving`: to see that benchmarks run. For a measurement each needs a fresh one."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._known: dict[frozenset[tuple[str, str]], Address] = {}

    def __enter__(self) -> None:
        global _kept
        _kept = self

    def __exit__(self, *error: object) -> None:
        global _kept
        _kept = None
        self._stack.close()

    def find(self, variables: dict[str, str]) -> Address:
        named = frozenset(variables.items())
        if named not in self._known:
            self._known[named] = self._stack.enter_context(_started(variables))
        return self._known[named]


@contextmanager
def serving(key: str, **variables: str) -> Iterator[Served]:
    """`manage.py serve` on the database of this process; `key` is sent with every request.

    `variables` are its environment's, over those of this process.
    """
    if _kept is not None:
        yield Served(*_kept.find(variables), key)
        return
    with _started(variables) as address:
        yield Served(*address, key)


@contextmanager
def _started(variables: dict[str, str]) -> Iterator[Address]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--no-worker"],
        cwd=settings.BASE_DIR,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = _wait_for_address(process.stdout.readline)
        # What it goes on to print must be taken, or it would stop with the pipe full.
        Thread(target=process.stdout.read, daemon=True).start()
        yield address
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_address(read_line: Callable[[], str]) -> Address:
    told, address = [], None
    while line := read_line():
        told.append(line)
        if found := re.search(r"http://\S+", line):
            parts = urlsplit(found[0])
            address = parts.hostname or "127.0.0.1", parts.port or 80
        if "Listening on" in line and address is not None:
            return address
    raise ServerFailed("".join(told[-20:]))
