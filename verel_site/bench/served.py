"""The served product in a process of its own, and clients that keep it busy."""

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
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


@contextmanager
def serving(key: str, **variables: str) -> Iterator[Served]:
    """`manage.py serve` on the database of this process; `key` is sent with every request.

    `variables` are its environment's, over those of this process.
    """
    command = [sys.executable, "manage.py", "serve", "--no-worker"]
    process = subprocess.Popen(
        command,
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
        yield Served(address[0], address[1], key)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_address(read_line: Callable[[], str]) -> tuple[str, int]:
    told, address = [], None
    while line := read_line():
        told.append(line)
        if found := re.search(r"http://\S+", line):
            parts = urlsplit(found[0])
            address = parts.hostname or "127.0.0.1", parts.port or 80
        if "Listening on" in line and address is not None:
            return address
    raise ServerFailed("".join(told[-20:]))
