"""The two rolling SHA-256 chains of a branch.

`digest` is about content: equal digests mean equal content from the root on, by whichever branch
it was reached. `seal` is about rows: it covers every stored column, and so shows tampering.
Both take stored payload bytes, never a re-serialised value. Fields are length-prefixed with four
big-endian bytes, so that no two different rows feed the same bytes to the hash.
"""

import hashlib
import struct
from datetime import datetime
from typing import Final
from uuid import UUID

from branches.domain.terms import advances_digest

ROOT: Final = bytes(32)
PREFIX_ID_HEX: Final = 32
# Fields of one width and their lengths, packed at once: this runs for every event.
_CHAINED: Final = struct.Struct(">I32sI32sIQI16sI16sI16sIQI")
_TIMES: Final = struct.Struct(">IqIq")
_LAST: Final = struct.Struct(">IHI")
_KEY: Final = (16).to_bytes(4)
_ABSENT: Final = bytes(4)


def advance_digest(previous: bytes, event_type: str, payload: bytes) -> bytes:
    """The content digest after one event; `previous` itself where the type carries it on."""
    if not advances_digest(event_type):
        return previous
    name = event_type.encode()
    return hashlib.sha256(
        b"".join((previous, len(name).to_bytes(4), name, len(payload).to_bytes(4), payload))
    ).digest()


def advance_seal(
    previous: bytes,
    *,
    digest: bytes,
    position: int,
    event_id: UUID,
    run: UUID,
    branch: UUID,
    seq: int,
    event_type: str,
    source: str,
    ts: datetime,
    received_at: datetime,
    task_id: UUID | None,
    parent_id: UUID | None,
    schema_version: int,
    payload: bytes,
) -> bytes:
    """The seal after one row. Times count in whole microseconds since the epoch."""
    return seal_row(
        previous, digest, position, event_id, run.bytes, branch.bytes, seq, event_type, source, ts,
        microseconds(received_at), task_id, parent_id, schema_version, payload,
    )  # fmt: skip


def seal_row(
    previous: bytes,
    digest: bytes,
    position: int,
    event_id: UUID,
    run: bytes,
    branch: bytes,
    seq: int,
    event_type: str,
    source: str,
    ts: datetime,
    received: int,
    task_id: UUID | None,
    parent_id: UUID | None,
    schema_version: int,
    payload: bytes,
) -> bytes:
    """As `advance_seal`, of what the rows of a batch share written out once: `run` and `branch` as
    their bytes, `received` in microseconds."""
    name, author = event_type.encode(), source.encode()
    return hashlib.sha256(
        b"".join(
            (
                _CHAINED.pack(
                    32, previous, 32, digest, 8, position,
                    16, event_id.bytes, 16, run, 16, branch, 8, seq, len(name),
                ),
                name,
                len(author).to_bytes(4),
                author,
                _TIMES.pack(8, microseconds(ts), 8, received),
                _KEY + task_id.bytes if task_id else _ABSENT,
                _KEY + parent_id.bytes if parent_id else _ABSENT,
                _LAST.pack(2, schema_version, len(payload)),
                payload,
            )
        )
    ).digest()  # fmt: skip


def request_digest(content: bytes, payload: bytes) -> bytes:
    """What an answer to an approval is bound to: the request itself, and all that came before it.

    The content digest alone would not do: a request carries it on unchanged, so that two requests
    at one head would share it.
    """
    return hashlib.sha256(content + payload).digest()


def microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def cached_prefix_id(digest: bytes) -> str:
    """What a prefix cache may key on: equal for every branch that shares the prefix."""
    return f"px_{digest.hex()[:PREFIX_ID_HEX]}"


def cache_key(root_branch: UUID) -> str:
    """The run's root lineage id: the same for all forks, so that routing by it finds the prefix."""
    return f"ln_{root_branch.hex}"
