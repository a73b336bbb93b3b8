"""A pushed body read fast where it is clean, which almost all are, and strictly where it is not.

`read_clean` only ever says yes: what it returns is what `strict_json.decode` and `read_batch` would
have made of the body, bytes of the payloads included, and for everything else it returns None, so
that those two find the fault and its pointer. What it does not see by itself it proves:

- repeated keys: a decoder keeps one of them, so that writing the value again gives fewer quotation
  marks; with every mark that is part of a text written as `\\"`, equal counts mean equal keys;
- NUL and quotation marks in their six-character spelling send the body the strict way;
- NaN, lone surrogates, control characters and bytes beyond UTF-8 fail in msgspec; infinities do
  here.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.utils import timezone
from msgspec import UNSET, UnsetType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from branches.domain.terms import PREFIXES, SERVER_SOURCE
from branches.intake.batches import MAX_EVENT_BYTES, MAX_EVENTS, MAX_SOURCE, MAX_TYPE, Batch
from branches.journal import Draft
from verel_site.access.idempotency import HEADER
from verel_site.kit.parsers import (
    ENVELOPE_DEPTH,
    JSONLinesParser,
    StrictJSONParser,
    decode_lines,
)
from verel_site.kit.strict_json import MAX_DEPTH, decode, encode

_HIDDEN: Final = (b"\\u0000", b"\\u0022")
_MOST: Final = 2**62


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    event_id: UUID
    type: str
    source: str
    ts: str
    payload: msgspec.Raw
    branch: UUID | UnsetType | None = UNSET
    task_id: UUID | UnsetType | None = UNSET
    parent_id: UUID | UnsetType | None = UNSET
    schema_version: int | UnsetType = UNSET


class _Batch(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    events: list[_Event]
    expected_seq: int | UnsetType | None = UNSET
    lease_epoch: int | UnsetType | None = UNSET


_BATCH: Final = msgspec.json.Decoder(_Batch)
_EVENT: Final = msgspec.json.Decoder(_Event)


class _Unclean(Exception):
    """Something that the strict way must look at."""


@dataclass(frozen=True)
class Pushed:
    """A body that nobody has decoded yet."""

    raw: bytes
    lines: bool

    def value(self) -> Any:
        """The strict way; raises MalformedJson."""
        if self.lines:
            return {"events": decode_lines(self.raw)}
        if not self.raw.strip():
            return {}
        return decode(self.raw, max_depth=MAX_DEPTH + ENVELOPE_DEPTH)


class PushedJSONParser(StrictJSONParser):
    """`application/json`, left undecoded unless the request is to be remembered by its value."""

    lines = False

    def understand(self, raw: bytes, request: Request) -> Any:
        pushed = Pushed(raw, self.lines)
        return pushed.value() if HEADER in request.headers else pushed


class PushedLinesParser(PushedJSONParser):
    media_type = JSONLinesParser.media_type
    lines = True


class PushedNDJSONParser(PushedLinesParser):
    media_type = "application/x-ndjson"


PARSERS: Final[list[type[BaseParser]]] = [
    PushedJSONParser,
    PushedLinesParser,
    PushedNDJSONParser,
]


def read_clean(pushed: Pushed, *, branch_id: UUID) -> Batch | None:
    """The batch, where the body is clean beyond doubt."""
    raw = pushed.raw
    if any(spelling in raw for spelling in _HIDDEN):
        return None
    try:
        batch = _read_lines(raw) if pushed.lines else _read_whole(raw)
        if not 0 < len(batch.events) <= MAX_EVENTS:
            return None
        reader = _Reader(branch_id)
        drafts = tuple(reader.read(event) for event in batch.events)
        return Batch(drafts, _count(batch.expected_seq), _count(batch.lease_epoch))
    except (_Unclean, msgspec.MsgspecError, UnicodeError, ValueError, RecursionError):
        return None


def _read_whole(raw: bytes) -> _Batch:
    batch = _BATCH.decode(raw)
    _prove_whole(batch, raw)
    return batch


def _read_lines(raw: bytes) -> _Batch:
    events = []
    for line in raw.split(b"\n"):
        if line.strip():
            events.append(_EVENT.decode(line))
            _prove_whole(events[-1], line)
    return _Batch(events)


def _prove_whole(value: Any, raw: bytes) -> bytes:
    """The value's bytes, which hold every key that the raw bytes hold."""
    written = msgspec.json.encode(value)
    if written.count(b'"') != raw.count(b'"'):
        raise _Unclean
    return written


class _Reader:
    """Reads the events of one batch."""

    def __init__(self, branch_id: UUID) -> None:
        self._branch_id = branch_id
        self._zone = timezone.get_default_timezone()
        self._floats = 0
        self._source: str | None = None
        self._payloads = msgspec.json.Decoder(dict[str, Any], float_hook=self._read_float)

    def read(self, event: _Event) -> Draft:
        if event.branch and event.branch != self._branch_id:
            raise _Unclean
        if event.schema_version is not UNSET and event.schema_version != 1:
            raise _Unclean
        payload, encoded = self._read_payload(bytes(event.payload))
        if event.source != self._source:
            # Nearly every event of a batch has the source of the one before.
            self._source = _check_source(event.source)
        return Draft(
            _check_type(event.type),
            event.source,
            self._read_time(event.ts),
            payload,
            event.event_id,
            event.task_id or None,
            event.parent_id or None,
            1,
            encoded,
        )

    def _read_payload(self, raw: bytes) -> tuple[dict[str, Any], bytes]:
        seen = self._floats
        payload = self._payloads.decode(raw)
        encoded = _prove_whole(payload, raw)
        if self._floats != seen:
            # Floats have more than one spelling; one encoder settles the bytes that are hashed.
            encoded = encode(payload)
        if len(encoded) > MAX_EVENT_BYTES:
            raise _Unclean
        if encoded.count(b"{") + encoded.count(b"[") > MAX_DEPTH and not _is_shallow(payload):
            raise _Unclean
        return payload, encoded

    def _read_float(self, text: str) -> float:
        self._floats += 1
        value = float(text)
        if not math.isfinite(value):
            raise _Unclean
        return value

    def _read_time(self, text: str) -> datetime:
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is None:
            raise _Unclean
        try:
            return moment.astimezone(self._zone)
        except OverflowError as error:
            raise _Unclean from error


def _check_type(text: str) -> str:
    if not text.startswith(PREFIXES) or len(text) > MAX_TYPE:
        raise _Unclean
    return text


def _check_source(text: str) -> str:
    stripped = text.strip()
    if not stripped or len(text) > MAX_SOURCE or stripped.casefold() == SERVER_SOURCE:
        raise _Unclean
    return text


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for node in level:
            inner += node.values() if isinstance(node, dict) else node
        level = [node for node in inner if isinstance(node, dict | list)]
        if not level:
            return True
    return False


def _count(value: int | UnsetType | None) -> int | None:
    if value is None or value is UNSET:
        return None
    if not 0 <= value < _MOST:
        raise _Unclean
    return value
