"""Checking a branch's rows against its two chains: what was changed, cut, lost or moved.

Each row is judged by the values that the row before it has stored, so one changed row is one flaw
and not as many as follow it. A row behind a gap or a swap cannot be judged: what it was chained to
is not there. Whoever can write rows can chain them anew; that shows at the branch's head, and past
that only against a head that was signed and kept elsewhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import chain, pairwise
from typing import Final
from uuid import UUID

from branches.domain.digest import advance_digest, advance_seal

CHANGED: Final = "changed"
MISSING: Final = "missing"
REORDERED: Final = "reordered"
CUT_TAIL: Final = "cut_tail"
UNREADABLE: Final = "unreadable"
MISPLACED: Final = "misplaced"
HEAD: Final = "head"
DOUBLED: Final = "doubled"


@dataclass(frozen=True, slots=True)
class SealedRow:
    """An event with every column that its seal covers. `payload` is None where the stored bytes
    could not be opened; `fault` then says why."""

    position: int
    event_id: UUID
    project: UUID
    run: UUID
    branch: UUID
    seq: int
    type: str
    source: str
    ts: datetime
    received_at: datetime
    task_id: UUID | None
    parent_id: UUID | None
    schema_version: int
    payload: bytes | None
    digest: bytes
    seal: bytes
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Ends:
    """What the branch's own row says: where its chains start, and the head they reach."""

    project: UUID
    run: UUID
    start_digest: bytes
    start_seal: bytes
    seq: int
    position: int
    digest: bytes
    seal: bytes


@dataclass(frozen=True, slots=True)
class Flaw:
    """`seq` is that of the event at fault, or of the head."""

    kind: str
    seq: int
    detail: str


@dataclass(slots=True)
class _Walk:
    """Where the walk stands. `links` are the (digest, seal) that the next row may follow: what the
    last row stores, and what it should store where that differs. `blind` counts the rows that
    cannot be judged."""

    links: tuple[tuple[bytes, bytes], ...]
    seq: int = 0
    blind: int = 0


def check_chain(ends: Ends, rows: Iterable[SealedRow]) -> Iterator[Flaw]:
    """Every flaw of one branch; `rows` are its own, ascending by seq, read once."""
    walk = _Walk(links=((ends.start_digest, ends.start_seal),))
    last: SealedRow | None = None
    for row, following in pairwise(chain(rows, (None,))):
        assert row is not None
        yield from _check_place(walk, ends, row)
        yield from _check_order(walk, row, following)
        if walk.blind:
            walk.blind -= 1
            walk.links = ((row.digest, row.seal),)
        else:
            yield from _check_row(walk, row)
        walk.seq, last = row.seq, row
    yield from _check_head(ends, last)


def _check_place(walk: _Walk, ends: Ends, row: SealedRow) -> Iterator[Flaw]:
    gap = row.seq - walk.seq - 1
    if gap:
        walk.blind = max(walk.blind, 1)
    if gap < 0:
        yield Flaw(DOUBLED, row.seq, "two events stand at this seq")
    elif gap:
        lost = "it is" if gap == 1 else f"events {walk.seq + 1} to {row.seq - 1} are"
        yield Flaw(MISSING, walk.seq + 1, f"{lost} missing before event {row.seq}")
    if (row.project, row.run) != (ends.project, ends.run):
        yield Flaw(MISPLACED, row.seq, "it names another project or run than its branch does")


def _check_order(walk: _Walk, row: SealedRow, following: SealedRow | None) -> Iterator[Flaw]:
    if following is not None and following.position <= row.position:
        walk.blind = max(walk.blind, 3)
        yield Flaw(
            REORDERED,
            row.seq,
            f"it was stored after event {following.seq}, yet stands before it: position "
            f"{row.position} before {following.position}",
        )


def _check_row(walk: _Walk, row: SealedRow) -> Iterator[Flaw]:
    if row.payload is None:
        walk.links = ((row.digest, row.seal),)
        yield Flaw(UNREADABLE, row.seq, row.fault)
        return
    found = [_follow(link, row, row.payload) for link in walk.links]
    stored = (row.digest, row.seal)
    if stored in found:
        walk.links = (stored,)
        return
    walk.links = (stored, *found)
    if all(row.digest != digest for digest, _ in found):
        yield Flaw(CHANGED, row.seq, "its type, payload or digest is not what was stored")
    else:
        yield Flaw(CHANGED, row.seq, "its seal, or a column under it, is not what was stored")


def _follow(link: tuple[bytes, bytes], row: SealedRow, payload: bytes) -> tuple[bytes, bytes]:
    digest = advance_digest(link[0], row.type, payload)
    seal = advance_seal(
        link[1],
        digest=digest,
        position=row.position,
        event_id=row.event_id,
        run=row.run,
        branch=row.branch,
        seq=row.seq,
        event_type=row.type,
        source=row.source,
        ts=row.ts,
        received_at=row.received_at,
        task_id=row.task_id,
        parent_id=row.parent_id,
        schema_version=row.schema_version,
        payload=payload,
    )
    return digest, seal


def _check_head(ends: Ends, last: SealedRow | None) -> Iterator[Flaw]:
    seq = last.seq if last else 0
    if seq < ends.seq:
        lost = ends.seq - seq
        count = "1 event is" if lost == 1 else f"{lost} events are"
        yield Flaw(CUT_TAIL, ends.seq, f"{count} missing at the end; the last one there is {seq}")
        return
    if seq > ends.seq:
        yield Flaw(HEAD, ends.seq, f"the branch ends there, yet has events up to {seq}")
        return
    digest, seal = (last.digest, last.seal) if last else (ends.start_digest, ends.start_seal)
    position = last.position if last else 0
    if (digest, seal) != (ends.digest, ends.seal) or position != ends.position:
        yield Flaw(
            HEAD, ends.seq, "the branch names another digest, seal or position than its last event"
        )


class Mark:
    """The heads of many branches as of one position, as one digest: what may be signed and kept.

    Branches are told in the order of their runs' numbers, then of their ids.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.branches = 0
        self.events = 0
        self._hash = sha256()

    def tell(self, branch: UUID, seq: int, seal: bytes) -> None:
        """The last event of this branch that was stored up to the position."""
        self.branches += 1
        self.events += seq
        self._hash.update(branch.bytes + seq.to_bytes(8) + seal)

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


def pass_marks(rows: Iterable[SealedRow], marks: Sequence[Mark]) -> Iterator[SealedRow]:
    """The rows of one branch as they come; each mark, ascending, is told the last it covers."""
    waiting = list(marks)
    last: SealedRow | None = None
    for row in rows:
        while waiting and row.position > waiting[0].position:
            _tell(waiting.pop(0), last)
        last = row
        yield row
    for mark in waiting:
        _tell(mark, last)


def _tell(mark: Mark, last: SealedRow | None) -> None:
    if last is not None:
        mark.tell(last.branch, last.seq, last.seal)
