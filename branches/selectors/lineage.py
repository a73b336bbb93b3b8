"""A lineage's events as values, read without an object of the ORM for each."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypedDict
from uuid import UUID

import msgspec
from django.conf import settings

from branches.blobs import inline_many
from branches.domain import terms
from branches.domain.context import READ_TYPES
from branches.domain.events import StoredEvent
from branches.domain.lineage import Segment
from branches.models import Branch
from branches.querysets import read_lineage_rows, read_segments
from branches.storage.codec import Unreadable, open_all_unbound
from branches.storage.payloads import payload_bytes

READ_AT_ONCE: Final = 500
_TOLD: Final = ("l.height", "e.type", "e.payload")
_BOUND: Final = ("e.source", "e.event_id", "e.branch_id", "e.seq", "e.parent_id")
_REST: Final = ("e.ts", "e.digest", "e.task_id")

decode_json = msgspec.json.Decoder().decode


class _Row(NamedTuple):
    """A row as the database gave it: ids may be text, and times too."""

    position: int
    height: int
    type: str
    payload: bytes
    source: str = ""
    told_event_id: Any = None
    told_branch_id: Any = None
    seq: int = 0
    told_parent_id: Any = None
    told_ts: Any = None
    digest: bytes = b""
    told_task_id: Any = None

    @property
    def event_id(self) -> UUID:
        return _as_uuid(self.told_event_id)

    @property
    def branch_id(self) -> UUID:
        return _as_uuid(self.told_branch_id)

    @property
    def parent_id(self) -> UUID | None:
        return None if self.told_parent_id is None else _as_uuid(self.told_parent_id)


class ChatEvent(msgspec.Struct, gc=False):
    """What a chat needs of an event: `branch` is the height of its branch in the lineage, and of
    the payload stands there what a chat looks into, texts and arguments as their JSON text."""

    branch: int
    type: str
    payload: Mapping[str, Any]


class _ReadCall(TypedDict, total=False):
    id: Any
    name: Any
    arguments: msgspec.Raw


class _Read(TypedDict, total=False):
    """What a chat reads of messages, calls and results. The rest is passed over, undecoded."""

    content: msgspec.Raw
    text: msgspec.Raw
    arguments: msgspec.Raw
    name: Any
    call_id: Any
    is_error: Any
    tool_calls: list[_ReadCall]


# Types of which a chat reads no more than that: the value that may stay JSON, and how it begins then.
_TEXT: Final = ("content", ord('"'))
_ARGUMENTS: Final = ("arguments", ord("{"))
_LIGHT: Final = {
    terms.USER: _TEXT,
    terms.ASSISTANT: _TEXT,
    terms.SYSTEM: _TEXT,
    terms.THOUGHT: ("text", ord('"')),
    terms.TOOL_CALL: _ARGUMENTS,
    terms.TOOL_RESULT: _TEXT,
}
# Dictionaries of those shapes, which a type checker knows no other way to change.
_read_one: Final[Callable[[bytes], Any]] = msgspec.json.Decoder(_Read).decode
_read_all: Final[Callable[[bytes], Any]] = msgspec.json.Decoder(list[_Read]).decode


class RowEvent(NamedTuple):
    """An event as it is on the wire, its payload as JSON text where nothing was put back."""

    event_id: UUID
    branch: UUID
    seq: int
    type: str
    source: str
    ts: datetime
    payload: Mapping[str, Any] | bytes


def read_lineage(branch: Branch, *, upto: int | None = None) -> list[Segment]:
    """The segments of a branch's lineage, root first; `upto` cuts its own suffix."""
    cut = branch.head_seq if upto is None else upto
    return [Segment(*row) for row in read_segments(branch, upto=cut)]


def iter_lineage(
    branch: Branch, *, upto: int | None = None, after_step: int = 0, inline: bool = False
) -> Iterator[StoredEvent]:
    """The lineage's events in order, in one query. `inline` puts large binary parts back."""
    cut = branch.head_seq if upto is None else upto
    rows = _read_rows(branch, cut, after_step)
    for start in range(0, len(rows), READ_AT_ONCE):
        some = rows[start : start + READ_AT_ONCE]
        payloads = [decode_json(payload_bytes(row)) for row in some]
        if inline:
            payloads = inline_many(branch.project_id, payloads)
        yield from map(_as_stored_event, some, payloads)


def iter_wire(branch: Branch, *, upto: int, after_step: int = 0) -> Iterator[RowEvent]:
    """The lineage's events as they are on the wire, large binary parts put back."""
    rows = _read_rows(branch, upto, after_step)
    for start in range(0, len(rows), READ_AT_ONCE):
        some = rows[start : start + READ_AT_ONCE]
        payloads: list[Any] = [payload_bytes(row) for row in some]
        named = [index for index, payload in enumerate(payloads) if b'"blob":' in payload]
        values = inline_many(branch.project_id, [decode_json(payloads[i]) for i in named])
        for index, value in zip(named, values, strict=True):
            payloads[index] = value
        for row, payload in zip(some, payloads, strict=True):
            ts = _as_time(row.told_ts)
            yield RowEvent(row.event_id, row.branch_id, row.seq, row.type, row.source, ts, payload)


def read_chat(branch: Branch, *, upto: int, after_step: int = 0) -> Iterator[ChatEvent]:
    """The lineage's events as a chat is told them, large binary parts put back.

    Payloads that no chat looks into come empty. One query, made at once.
    """
    # What is not encrypted opens without its ids, and reading ids takes longer than all the rest.
    columns = (*_TOLD, *_BOUND) if settings.VEREL_EVENT_KEYS else _TOLD
    rows = read_lineage_rows(branch, upto=upto, after_step=after_step, columns=columns)
    return _iter_chat(branch, rows, upto)


def _iter_chat(branch: Branch, rows: list[tuple[Any, ...]], upto: int) -> Iterator[ChatEvent]:
    for start in range(0, len(rows), READ_AT_ONCE):
        some = rows[start : start + READ_AT_ONCE]
        try:
            plain = _open_read(some)
        except Unreadable:
            # Read with its ids, the row that cannot be opened is named.
            list(iter_lineage(branch, upto=upto))
            raise
        types = [row[2] for row in some]
        payloads = _read_light(branch.project_id, types, plain)
        yield from map(ChatEvent, [row[1] for row in some], types, payloads)


def _open_read(rows: list[tuple[Any, ...]]) -> list[bytes]:
    """The payloads that a chat looks into; the others come empty."""
    read = [row for row in rows if row[2] in READ_TYPES]
    if len(rows[0]) > 1 + len(_TOLD):
        opened = [payload_bytes(_Row(*row)) for row in read]
    else:
        opened = open_all_unbound([row[3] for row in read])
    if len(read) == len(rows):
        return opened
    following = iter(opened)
    return [next(following) if row[2] in READ_TYPES else b"{}" for row in rows]


def _read_light(project_id: UUID, types: list[str], plain: list[bytes]) -> list[dict[str, Any]]:
    """Payloads as a chat looks into them: long texts and objects stay the JSON that is stored.

    What has another shape than agents give it is decoded whole, and so is content in parts.
    """
    whole = b"[%b]" % b",".join(plain)
    try:
        payloads: list[dict[str, Any]] = _read_all(whole)
    except msgspec.MsgspecError:
        payloads = []
    if len(payloads) != len(plain):
        payloads = [_read_or_decode(payload) for payload in plain]
    for index, (told, payload) in enumerate(zip(types, payloads, strict=True)):
        light = _LIGHT.get(told)
        if light is None:
            payloads[index] = decode_json(plain[index])
            continue
        _settle(payload, light)
        if "tool_calls" in payload:
            calls = payload["tool_calls"]
            for call in calls if type(calls) is list else ():
                _settle(call, _ARGUMENTS)
    return inline_many(project_id, payloads) if b'"blob":' in whole else payloads


def _read_or_decode(plain: bytes) -> dict[str, Any]:
    try:
        payload: dict[str, Any] = _read_one(plain)
    except msgspec.MsgspecError:
        payload = decode_json(plain)
    return payload


def _settle(fields: Any, light: tuple[str, int]) -> None:
    """What was passed over stays JSON where it begins as told, and is decoded elsewhere."""
    name, beginning = light
    value = fields.get(name) if type(fields) is dict else None
    if type(value) is msgspec.Raw:
        text = bytes(value)
        fields[name] = text if text[0] == beginning else decode_json(text)


def _read_rows(branch: Branch, upto: int, after_step: int) -> list[_Row]:
    columns = (*_TOLD, *_BOUND, *_REST)
    found = read_lineage_rows(branch, upto=upto, after_step=after_step, columns=columns)
    return list(map(_Row._make, found))


def _as_stored_event(row: _Row, payload: dict[str, Any]) -> StoredEvent:
    task = row.told_task_id
    return StoredEvent(
        event_id=row.event_id,
        branch=row.branch_id,
        seq=row.seq,
        type=row.type,
        source=row.source,
        ts=_as_time(row.told_ts),
        payload=payload,
        digest=bytes(row.digest),
        position=row.position,
        parent_id=row.parent_id,
        task_id=None if task is None else _as_uuid(task),
    )


def _as_uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)


def _as_time(value: datetime | str) -> datetime:
    """SQLite keeps times as text, in UTC and without saying so."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
