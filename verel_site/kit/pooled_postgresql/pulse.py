"""Whether a PostgreSQL server answers at all, asked of the server and not of a connection.

libpq has a ping of its own, which holds the interpreter still until it has its answer: for seconds
where a server is frozen, and with it every other request of the process.
"""

import socket
import struct
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Final

PROBE_SECONDS: Final = 3.0
PROTOCOL: Final = 3 << 16
# Its error while it starts, stops or recovers; with any other it is there, and only says no.
CANNOT_CONNECT_NOW: Final = b"57P03"
_HEAD: Final = 5
_MAX_ANSWER: Final = 10_000


def ask_server(host: str, port: str, user: str) -> bool:
    """One greeting, as every client begins with; no password is needed to be answered."""
    told = b"".join(part.encode() + b"\0" for part in ("user", user, "database", user)) + b"\0"
    greeting = struct.pack("!ii", len(told) + 8, PROTOCOL) + told
    deadline = monotonic() + PROBE_SECONDS
    try:
        with _connect(host, port) as wire:
            wire.settimeout(PROBE_SECONDS)
            wire.sendall(greeting)
            kind, size = struct.unpack("!ci", _receive(wire, _HEAD, deadline))
            if kind != b"E":
                return bool(kind == b"R")
            said = _receive(wire, min(size - 4, _MAX_ANSWER), deadline)
    except OSError:
        return False
    return b"C" + CANNOT_CONNECT_NOW not in said.split(b"\0")


def _connect(host: str, port: str) -> socket.socket:
    if host.startswith(("/", "@")):
        wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        wire.settimeout(PROBE_SECONDS)
        try:
            wire.connect(f"{host}/.s.PGSQL.{port}".replace("@", "\0", 1))
        except OSError:
            wire.close()
            raise
        return wire
    return socket.create_connection((host or "localhost", int(port)), PROBE_SECONDS)


def _receive(wire: socket.socket, count: int, deadline: float) -> bytes:
    told = b""
    while len(told) < count:
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        wire.settimeout(left)
        part = wire.recv(count - len(told))
        if not part:
            raise ConnectionResetError
        told += part
    return told


@dataclass
class Pulse:
    """One server's. Of many threads that ask at once one looks, and all have its answer."""

    host: str
    port: str
    user: str
    _lock: Lock = field(default_factory=Lock)
    _looked_at: float = 0.0
    _answers: bool = False

    def answers(self, since: float) -> bool:
        """As it was at that time (of `time.monotonic`) or later."""
        with self._lock:
            if self._looked_at < since:
                self._answers = ask_server(self.host, self.port, self.user)
                self._looked_at = monotonic()
            return self._answers
