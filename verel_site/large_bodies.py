"""A body that no endpoint takes is refused before it is handed to the application.

Twisted puts a large body into a file, and Daphne would then queue all of it in memory before a
line of ours runs. Nothing here reads it.
"""

import io
import json
import time
from typing import Any, Final

from daphne import http_protocol

from verel_site.kit.parsers import MAX_BODY_BYTES, BodyTooLarge
from verel_site.kit.problems import PROBLEM_TYPE

# Pages take files as large as their own forms say, and stream them.
BOUNDED: Final = (b"/api/", b"/otlp/", b"/compat/")


class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]  # Daphne is untyped
    def process(self) -> Any:
        if self.path.startswith(BOUNDED) and self._body_bytes() > MAX_BODY_BYTES:
            return self._refuse()
        return super().process()

    def _body_bytes(self) -> int:
        size: int = self.content.seek(0, io.SEEK_END)
        self.content.seek(0)
        return size

    def _refuse(self) -> None:
        refusal = BodyTooLarge(f"A body takes at most {MAX_BODY_BYTES} bytes.")
        body = json.dumps(refusal.as_problem()).encode()
        headers = [
            (b"Content-Type", PROBLEM_TYPE.encode()),
            (b"Content-Length", str(len(body)).encode()),
        ]
        self.request_start = time.time()
        start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
        self.handle_reply(start)
        self.handle_reply({"type": "http.response.body", "body": body})


def bound_bodies() -> None:
    """For every server that this process starts from now on."""
    # Daphne takes no class of its requests: its factory names this one.
    http_protocol.WebRequest = BoundedRequest
