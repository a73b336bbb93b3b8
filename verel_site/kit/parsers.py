"""Request bodies: counted while they are read, decompressed under a limit, decoded strictly."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from verel_site.kit import strict_json
from verel_site.kit.refusals import Refusal
from verel_site.kit.unpacking import DEFLATE, GZIP, ZSTD, iter_unpacked

MAX_BODY_BYTES = 32 * 1024 * 1024
# An envelope around a payload: {"events": [{"payload": …}]}.
ENVELOPE_DEPTH = 3
ENCODINGS = (GZIP, DEFLATE, ZSTD)


class BodyTooLarge(Refusal):
    status = 413
    code = "too_large"
    title = "The body is too large"


class EncodingRefused(Refusal):
    status = 415
    code = "content_encoding"
    title = "The content encoding is not supported"


def read_body(stream: IO[bytes], encoding: str) -> bytes:
    """The decompressed body; raises before much more than the limit is held in memory."""
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    names = [name for name in names if name != "identity"]
    if not names:
        return _read_plain(stream)
    if len(names) > 1 or names[0] not in ENCODINGS:
        raise EncodingRefused(
            f"Send the body plain, or with one content encoding: {', '.join(ENCODINGS)}."
        )
    return _read_packed(stream, names[0])


def _read_plain(stream: IO[bytes]) -> bytes:
    body = stream.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"A body takes at most {MAX_BODY_BYTES} bytes.")
    return body


def _read_packed(stream: IO[bytes], encoding: str) -> bytes:
    body = bytearray()
    for piece in iter_unpacked(stream, encoding):
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"A body takes at most {MAX_BODY_BYTES} bytes decompressed.")
    return bytes(body)


class BodyParser(BaseParser):
    """Reads a body whole, decompressed, and leaves to each media type what it makes of it."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        request = (parser_context or {})["request"]
        raw = read_body(stream, request.META.get("HTTP_CONTENT_ENCODING", ""))
        return self.understand(raw, request)

    def understand(self, raw: bytes, request: Request) -> Any:
        raise NotImplementedError


class StrictJSONParser(BodyParser):
    """`application/json`; an empty body is an empty object."""

    media_type = "application/json"

    def understand(self, raw: bytes, request: Request) -> Any:
        if not raw.strip():
            return {}
        return strict_json.decode(raw, max_depth=strict_json.MAX_DEPTH + ENVELOPE_DEPTH)


class RawParser(BodyParser):
    """Any media type: the body as bytes, decompressed, for formats that are read elsewhere."""

    media_type = "*/*"

    def understand(self, raw: bytes, request: Request) -> Any:
        return raw


def decode_lines(raw: bytes) -> list[Any]:
    """The events of a body of JSON lines; raises MalformedJson with a pointer into them."""
    lines = [line for line in raw.split(b"\n") if line.strip()]
    depth = strict_json.MAX_DEPTH + ENVELOPE_DEPTH
    return [
        strict_json.decode(line, max_depth=depth, at=f"/events/{index}")
        for index, line in enumerate(lines)
    ]


class JSONLinesParser(BodyParser):
    """`application/jsonl`: one event a line; the same value as a JSON body `{"events": [...]}`."""

    media_type = "application/jsonl"

    def understand(self, raw: bytes, request: Request) -> Any:
        return {"events": decode_lines(raw)}


class NDJSONParser(JSONLinesParser):
    media_type = "application/x-ndjson"
