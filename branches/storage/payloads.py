"""The one door to what an event's row keeps sealed.

A row opens under the setting it was written with. Under encryption it opens only where it was
written: event id, branch, seq, parent, type and source are bound to the ciphertext. Whoever reads
rows with `only()` names BOUND_COLUMNS, or pays a query for each row.
"""

from typing import Final, Protocol
from uuid import UUID

from branches.storage.codec import Unreadable, bind, codec, is_bound
from verel_site.kit.refusals import Refusal

BOUND_COLUMNS: Final = ("event_id", "branch_id", "seq", "parent_id", "type", "source", "payload")
_LABEL: Final = b"verel.event/1"


class UnreadableEvent(Refusal):
    """A stored row cannot be opened: a fault of the store, told with the row's name."""

    code = "unreadable_event"
    title = "A stored event cannot be read"


def bound_data(
    *,
    event_id: UUID,
    branch: UUID,
    seq: int,
    parent_id: UUID | None,
    event_type: str,
    source: str,
) -> bytes:
    """The associated data of an event's payload: the row that it belongs to."""
    return bind(
        _LABEL,
        event_id.bytes,
        branch.bytes,
        seq.to_bytes(8),
        parent_id.bytes if parent_id else b"",
        event_type.encode(),
        source.encode(),
    )


class SealedRow(Protocol):
    """What opening a payload needs of a row: BOUND_COLUMNS."""

    @property
    def event_id(self) -> UUID: ...

    @property
    def branch_id(self) -> UUID: ...

    @property
    def parent_id(self) -> UUID | None: ...

    @property
    def seq(self) -> int: ...

    @property
    def type(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def payload(self) -> bytes | memoryview: ...


def payload_bytes(row: SealedRow) -> bytes:
    """The payload as it was accepted, byte for byte; raises UnreadableEvent."""
    if is_bound(row.payload):
        bound = bound_data(
            event_id=row.event_id,
            branch=row.branch_id,
            seq=row.seq,
            parent_id=row.parent_id,
            event_type=row.type,
            source=row.source,
        )
    else:
        bound = b""
    try:
        return codec().open(row.payload, bound)
    except Unreadable as error:
        raise UnreadableEvent(
            f"Event {row.event_id} (seq {row.seq} of branch {row.branch_id}): {error}.",
            event_id=str(row.event_id),
        ) from error
