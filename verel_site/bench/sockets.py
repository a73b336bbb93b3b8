"""Listeners on a run's socket: enough of RFC 6455 to open one and to read what a server tells."""

import asyncio
import base64
import json
import os
import time
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from verel_site.bench.served import ServerFailed

TEXT: Final = 1
CLOSE: Final = 8
OPEN_SECONDS: Final = 20


@dataclass
class Listener:
    """`heard` has the time of arrival, by `time.perf_counter`, and the seq of each announcement."""

    heard: list[tuple[float, int]] = field(default_factory=list)

    async def listen(self, host: str, port: int, run: UUID, cookie: str, opened: Any) -> None:
        """Reads until it is cancelled. `opened` is an asyncio barrier that all listeners meet at."""
        reader, writer = await asyncio.open_connection(host, port)
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            head = (
                f"GET /ws/runs/{run}/ HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                f"Origin: http://{host}:{port}\r\nCookie: {cookie}\r\n\r\n"
            )
            writer.write(head.encode())
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), OPEN_SECONDS)
            if b" 101 " not in answer.split(b"\r\n", 1)[0]:
                raise ServerFailed(answer.decode(errors="replace"))
            # The first one tells the head as it is: from then on the run is listened to.
            await self._read(reader)
            await opened.wait()
            while True:
                await self._read(reader)
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        first, second = await reader.readexactly(2)
        size = second & 127
        if size > 125:
            size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
        body = await reader.readexactly(size)
        if first & 15 == CLOSE:
            raise ServerFailed(f"the socket was closed: {body!r}")
        if first & 15 == TEXT:
            self.heard.append((time.perf_counter(), json.loads(body)["seq"]))
