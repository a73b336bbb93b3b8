"""A lineage's events as values, read without an object of the ORM for each."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.conf import settings

from branches.blobs import inline_many
from branches.domain.context import READ_TYPES
from branches.domain.events import StoredEvent
from branches.domain.lineage import Segment
from branches.domain.terms import INTERVENTIONS, SERVER_SOURCE
from branches.models import Branch
from branches.querysets import read_lineage_rows, read_segments
from branches.storage.codec import Unreadable, is_bound, open_all_unbound
from branches.storage.payloads import payload_bytes

BLOBS_AT_ONCE: Final = 500
_TOLD: Final = ("l.height", "e.type", "e.source", "e.payload")
_BOUND: Final = ("e.event_id", "e.branch_id", "e.seq", "e.parent_id")
_REST: Final = ("e.ts", "e.digest", "e.task_id")

decode_json = msgspec.json.Decoder().decode


class _Row(NamedTuple):
    """A row as the database gave it: ids may be text, and times too."""

    position: int
    height: int
    type: str
    source: str
    payload: bytes
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


class ChatEvent(NamedTuple):
    """What a chat needs of an event: `branch` is the height of its branch in the lineage."""

    branch: int
    type: str
    payload: dict[str, Any]


def read_lineage(branch: Branch, *, upto: int | None = None) -> list[Segment]:
    """The segments of a branch's lineage, root first; `upto` cuts its own suffix."""
    cut = branch.head_seq if upto is None else upto
    return [Segment(*row) for row in read_segments(branch, upto=cut)]


def iter_lineage(
    branch: Branch, *, upto: int | None = None, after_step: int = 0, inline: bool = False
) -> Iterator[StoredEvent]:
    """The lineage's events in order, in one query. `inline` puts large binary parts back.

    An intervention (override, patch, answer) that a client wrote is left out: only Verel tells
    those, and an agent that could tell them would speak with a person's authority.
    """
    cut = branch.head_seq if upto is None else upto
    rows = _read_rows(branch, cut, after_step)
    for start in range(0, len(rows), BLOBS_AT_ONCE):
        some = rows[start : start + BLOBS_AT_ONCE]
        payloads = [decode_json(payload_bytes(row)) for row in some]
        if inline:
            payloads = inline_many(branch.project_id, payloads)
        yield from map(_as_stored_event, some, payloads)


def read_chat(branch: Branch, *, upto: int, after_step: int = 0) -> Iterator[ChatEvent]:
    """The lineage's events as a chat is told them, large binary parts put back.

    Payloads that no chat looks into come empty. One query, made at once.
    """
    # What is not encrypted opens without its ids, and reading ids takes longer than all the rest.
    columns = (*_TOLD, *_BOUND) if settings.VEREL_EVENT_KEYS else _TOLD
    rows = read_lineage_rows(branch, upto=upto, after_step=after_step, columns=columns)
    rows = [row for row in rows if row[2] not in INTERVENTIONS or row[3] == SERVER_SOURCE]
    return _iter_chat(branch, rows, upto)


def _iter_chat(branch: Branch, rows: list[tuple[Any, ...]], upto: int) -> Iterator[ChatEvent]:
    for start in range(0, len(rows), BLOBS_AT_ONCE):
        some = rows[start : start + BLOBS_AT_ONCE]
        try:
            payloads = _open_read(some)
        except Unreadable:
            # Read with its ids, the row that cannot be opened is named.
            list(iter_lineage(branch, upto=upto))
            raise
        if any(type(payload.get("content")) is list for payload in payloads):
            payloads = inline_many(branch.project_id, payloads)
        for row, payload in zip(some, payloads, strict=True):
            yield ChatEvent(row[1], row[2], payload)


def _open_read(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """The payloads that a chat looks into; the others come empty."""
    read = [index for index, row in enumerate(rows) if row[2] in READ_TYPES]
    free = [index for index in read if not is_bound(rows[index][4])]
    payloads: list[dict[str, Any]] = [{} for _ in rows]
    for index, plain in zip(free, open_all_unbound([rows[i][4] for i in free]), strict=True):
        payloads[index] = decode_json(plain)
    if len(free) < len(read):
        for index in set(read).difference(free):
            payloads[index] = decode_json(payload_bytes(_Row(*rows[index])))
    return payloads


def _read_rows(branch: Branch, upto: int, after_step: int) -> list[_Row]:
    columns = (*_TOLD, *_BOUND, *_REST)
    found = read_lineage_rows(branch, upto=upto, after_step=after_step, columns=columns)
    rows = map(_Row._make, found)
    return [row for row in rows if row.type not in INTERVENTIONS or row.source == SERVER_SOURCE]


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
