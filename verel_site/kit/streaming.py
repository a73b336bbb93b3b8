"""Answers that are sent in pieces, so that none is ever whole in memory."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

KINDS: Final = {
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
}


def stream_attachment(
    request: HttpRequest, pieces: Iterator[bytes], *, filename: str
) -> StreamingHttpResponse:
    """A download that no browser shows or runs. `filename` is the server's own word."""
    # Under ASGI Django would gather what a plain iterator gives before it sends any.
    body = _in_threads(pieces) if isinstance(request, ASGIRequest) else pieces
    kind = KINDS.get(filename.rpartition(".")[2], "application/octet-stream")
    return StreamingHttpResponse(
        body,
        content_type=kind,
        headers={
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Content-Security-Policy": "sandbox",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    take = sync_to_async(lambda: next(pieces, b""), thread_sensitive=False)
    while piece := await take():
        yield piece
