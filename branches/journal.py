"""The only writer of events: idempotent, gapless, all or nothing.

Two doors. `append_events` takes what clients send, and refuses what breaks a rule. `write_events`
is for Verel's own actions, inside their transaction, on a branch that they have locked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.utils import timezone

from branches.blobs import keep_blobs
from branches.domain import terms
from branches.domain.digest import advance_digest, microseconds, seal_row
from branches.domain.terms import ENDED, Status
from branches.models import Branch, Event
from branches.stasis import open_approval
from branches.storage.codec import codec
from branches.storage.payloads import bound_data, payload_bytes
from branches.storage.rows import Row, as_key, as_moment, find_stored, insert_rows, take_positions
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable
from verel_site.kit.strict_json import encode

READ_ROWS = 500
_LOCK = "SELECT * FROM branches_branch WHERE id = %s"
LOCK = {"postgresql": f"{_LOCK} FOR NO KEY UPDATE", "sqlite": _LOCK}
MOVE = (
    "UPDATE branches_branch SET head_seq = %s, head_position = %s, head_digest = %s, "
    "head_seal = %s, touched_at = %s, tokens = %s WHERE id = %s"
)
TOUCH = "UPDATE branches_run SET touched_at = %s WHERE id = %s"


class IdReuse(Refusal):
    code = "id_reuse"
    title = "This event id stands for other content"


class BranchEnded(Refusal):
    code = "branch_ended"
    title = "The branch has ended"


class SeqMoved(Refusal):
    code = "seq_moved"
    title = "The branch has moved on"


class StaleLease(Refusal):
    code = "stale_lease"
    title = "The lease is not yours any more"


class UnknownParent(Unprocessable):
    code = "unknown_parent"
    title = "The parent event is unknown"


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it is stored. `payload` is a JSON object; `ts` is aware.

    `encoded` is what `strict_json.encode` makes of the payload, where somebody has it already.
    """

    type: str
    source: str
    ts: datetime
    payload: dict[str, Any]
    event_id: UUID = field(default_factory=uuid4)
    task_id: UUID | None = None
    parent_id: UUID | None = None
    schema_version: int = 1
    encoded: bytes | None = field(default=None, compare=False, repr=False)


class Receipt(NamedTuple):
    """Where an event stands. `duplicate` says that it had been stored before."""

    event_id: UUID
    seq: int
    position: int
    digest: bytes
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Appended:
    results: tuple[Receipt, ...]
    head_seq: int
    head_digest: bytes


def lock_branch(*, branch_id: UUID) -> Branch:
    """The branch, locked until the transaction ends; this row serialises a branch's writers.

    The key alone is left free, so that forks and reports may refer to the row meanwhile.
    """
    # Written out, since the ORM would spend more on finding these words than the database on them.
    rows = list(Branch.objects.raw(LOCK[connection.vendor], [as_key(branch_id)]))
    branch = rows[0] if rows else None
    if branch is None:
        raise NotFound(f"There is no branch {branch_id} that you may see.")
    return branch


@transaction.atomic
def append_events(
    *,
    branch_id: UUID,
    actor: Actor,
    drafts: Sequence[Draft],
    expected_seq: int | None = None,
    lease_epoch: int | None = None,
) -> Appended:
    """Stores a client's batch, or nothing of it.

    A draft whose id is stored already, with the same content, is answered with the first row.
    Raises IdReuse, BranchEnded, SeqMoved, StaleLease or UnknownParent.
    """
    branch = lock_branch(branch_id=branch_id)
    actor.demand(branch.project_id, Right.WRITE_EVENTS)
    encoded = _encode_all(branch, drafts)
    # From here on nobody else of the project stores an id, on whichever branch.
    lock_project(project_id=branch.project_id)
    known = _read_known(branch, drafts, encoded)
    fresh = _pick_fresh(branch, drafts, encoded, known)
    if fresh:
        check_open(branch)
        check_lease(branch, lease_epoch)
        _check_seq(branch, expected_seq)
        _check_parents(branch, drafts)
        for receipt in _insert(branch, [drafts[i] for i in fresh], [encoded[i] for i in fresh]):
            known[receipt.event_id] = receipt
        for index in fresh:
            if drafts[index].type == terms.APPROVAL_REQUESTED:
                with _pointing_into(index):
                    _ask(branch, drafts[index], known[drafts[index].event_id])
    results = _answer(drafts, fresh, known)
    return Appended(results, branch.head_seq, bytes(branch.head_digest))


def _answer(
    drafts: Sequence[Draft], fresh: Sequence[int], known: dict[UUID, Receipt]
) -> tuple[Receipt, ...]:
    """A receipt for each draft: as a duplicate, unless it is the one that was stored."""
    if len(fresh) == len(drafts):
        return tuple(known[draft.event_id] for draft in drafts)
    stored = set(fresh)
    return tuple(
        known[draft.event_id] if index in stored else known[draft.event_id]._replace(duplicate=True)
        for index, draft in enumerate(drafts)
    )


@contextmanager
def _pointing_into(index: int) -> Iterator[None]:
    """A pointer into one event becomes a pointer into the batch."""
    try:
        yield
    except Unprocessable as error:
        error.pointer = f"/events/{index}{error.pointer or ''}"
        raise


def write_events(*, branch: Branch, drafts: Sequence[Draft]) -> tuple[Receipt, ...]:
    """Verel's own events, on a branch locked by the caller, in the caller's transaction."""
    payloads = [_encode(branch, draft) for draft in drafts]
    return tuple(_insert(branch, drafts, payloads))


def _encode_all(branch: Branch, drafts: Sequence[Draft]) -> list[bytes]:
    encoded = []
    # One door for the whole batch: a context for each event would cost more than its hash.
    for draft in drafts:
        try:
            encoded.append(_encode(branch, draft))
        except Unprocessable:
            with _pointing_into(len(encoded)):
                raise
    return encoded


def _encode(branch: Branch, draft: Draft) -> bytes:
    """The payload's bytes, large binary parts kept out of them."""
    kept = keep_blobs(branch.project_id, draft.payload)
    if kept is draft.payload and draft.encoded is not None:
        return draft.encoded
    return encode(kept)


def server_draft(event_type: str, payload: dict[str, Any]) -> Draft:
    """An event that Verel itself tells, now."""
    return Draft(event_type, terms.SERVER_SOURCE, timezone.now(), payload)


def _read_known(
    branch: Branch, drafts: Sequence[Draft], encoded: Sequence[bytes]
) -> dict[UUID, Receipt]:
    """Receipts of the drafts that are stored already; raises IdReuse for other content."""
    place = {draft.event_id: index for index, draft in enumerate(drafts)}
    known = {}
    ids = find_stored(branch.project_id, list(place))
    for start in range(0, len(ids), READ_ROWS):
        chunk = ids[start : start + READ_ROWS]
        rows = Event.objects.filter(project_id=branch.project_id, event_id__in=chunk)
        for row in rows:
            index = place[row.event_id]
            if not _tells_the_same(row, branch, drafts[index], encoded[index]):
                raise IdReuse(
                    f"Event {row.event_id} is stored already, with other content.",
                    pointer=f"/events/{index}/event_id",
                )
            known[row.event_id] = Receipt(row.event_id, row.seq, row.position, bytes(row.digest))
    return known


def _tells_the_same(row: Event, branch: Branch, draft: Draft, payload: bytes) -> bool:
    return (
        row.branch_id == branch.pk
        and (row.type, row.source, row.ts) == (draft.type, draft.source, draft.ts)
        and (row.task_id, row.parent_id) == (draft.task_id, draft.parent_id)
        and row.schema_version == draft.schema_version
        and payload_bytes(row) == payload
    )


def _pick_fresh(
    branch: Branch,
    drafts: Sequence[Draft],
    encoded: Sequence[bytes],
    known: dict[UUID, Receipt],
) -> list[int]:
    """Indexes of the drafts to store; one that stands twice in the batch is stored once."""
    seen: dict[UUID, int] = {}
    for index, draft in enumerate(drafts):
        if draft.event_id in known:
            continue
        first = seen.setdefault(draft.event_id, index)
        if first != index and (drafts[first], encoded[first]) != (draft, encoded[index]):
            raise IdReuse(
                f"Event {draft.event_id} stands twice in this batch, with other content.",
                pointer=f"/events/{index}/event_id",
            )
    return list(seen.values())


def check_open(branch: Branch) -> None:
    """Raises BranchEnded."""
    if Status(branch.status) in ENDED:
        raise BranchEnded(
            f"{branch.label} is {branch.status}. Fork it, or revert the merge that ended it.",
            branch_status=branch.status,
        )


def check_lease(branch: Branch, epoch: int | None) -> None:
    """Raises StaleLease: for an epoch that is over or has lapsed, or for none while one is live."""
    if epoch is None:
        if branch.lease_expires_at and branch.lease_expires_at > timezone.now():
            raise StaleLease(
                f"{branch.lease_worker} holds this branch; write with its lease_epoch.",
                pointer="/lease_epoch",
            )
        return
    if epoch != branch.lease_epoch:
        raise StaleLease(
            f"Epoch {epoch} is over; the branch is at {branch.lease_epoch}.",
            pointer="/lease_epoch",
            current_epoch=branch.lease_epoch,
        )
    if branch.lease_expires_at is None or branch.lease_expires_at <= timezone.now():
        raise StaleLease(
            "The lease has expired. Claim the branch again.",
            pointer="/lease_epoch",
            current_epoch=branch.lease_epoch,
        )


def _check_seq(branch: Branch, expected: int | None) -> None:
    if expected is not None and expected != branch.head_seq:
        raise SeqMoved(
            f"You expected seq {expected}; the branch is at {branch.head_seq}.",
            pointer="/expected_seq",
            current_seq=branch.head_seq,
            current_digest=bytes(branch.head_digest).hex(),
        )


def _check_parents(branch: Branch, drafts: Sequence[Draft]) -> None:
    wanted = {d.parent_id: i for i, d in reversed(list(enumerate(drafts))) if d.parent_id}
    for draft in drafts:
        wanted.pop(draft.event_id, None)
    ids = list(wanted)
    for start in range(0, len(ids), READ_ROWS):
        chunk = ids[start : start + READ_ROWS]
        rows = Event.objects.filter(
            project_id=branch.project_id, run_id=branch.run_id, event_id__in=chunk
        )
        for event_id in rows.values_list("event_id", flat=True):
            del wanted[event_id]
    if wanted:
        event_id, index = next(iter(wanted.items()))
        raise UnknownParent(
            f"No event {event_id} in this run.", pointer=f"/events/{index}/parent_id"
        )


def _insert(branch: Branch, drafts: Sequence[Draft], payloads: Sequence[bytes]) -> list[Receipt]:
    """Seals and stores rows after the head, and moves the head: the one place that does."""
    if not drafts:
        return []
    positions = take_positions(branch.project_id, len(drafts))
    rows = _seal_rows(branch, drafts, payloads, positions)
    insert_rows(rows)
    _move_head(branch, rows[-1], sum(_output_tokens(draft.payload) for draft in drafts))
    return [Receipt(row.event_id, row.seq, row.position, row.digest) for row in rows]


def _seal_rows(
    branch: Branch, drafts: Sequence[Draft], payloads: Sequence[bytes], positions: Sequence[int]
) -> list[Row]:
    received_at = timezone.now()
    seq, digest, seal = branch.head_seq, bytes(branch.head_digest), bytes(branch.head_seal)
    project, run, own = branch.project_id, branch.run_id, branch.pk
    run_bytes, own_bytes, received = run.bytes, own.bytes, microseconds(received_at)
    envelopes = _seal_payloads(branch, drafts, payloads)
    rows = []
    for draft, payload, position, envelope in zip(
        drafts, payloads, positions, envelopes, strict=True
    ):
        seq += 1
        digest = advance_digest(digest, draft.type, payload)
        seal = seal_row(
            seal, digest, position, draft.event_id, run_bytes, own_bytes, seq, draft.type,
            draft.source, draft.ts, received, draft.task_id, draft.parent_id,
            draft.schema_version, payload,
        )  # fmt: skip
        rows.append(
            Row(
                position, draft.ts, received_at, seq, draft.schema_version, draft.event_id,
                project, run, own, draft.parent_id, draft.task_id, draft.type, draft.source,
                digest, seal, envelope,
            )
        )  # fmt: skip
    return rows


def _seal_payloads(
    branch: Branch, drafts: Sequence[Draft], payloads: Sequence[bytes]
) -> list[bytes]:
    """The envelopes of what follows the branch's head; under encryption each is bound to its seq."""
    sealer = codec()
    if not sealer.encrypts:
        return sealer.seal_all_unbound(payloads)
    return [
        sealer.seal(payload, _bound_data(branch.pk, seq, draft))
        for seq, (draft, payload) in enumerate(
            zip(drafts, payloads, strict=True), start=branch.head_seq + 1
        )
    ]


def _bound_data(branch: UUID, seq: int, draft: Draft) -> bytes:
    return bound_data(
        event_id=draft.event_id,
        branch=branch,
        seq=seq,
        parent_id=draft.parent_id,
        event_type=draft.type,
        source=draft.source,
    )


def _move_head(branch: Branch, head: Row, tokens: int) -> None:
    branch.head_seq, branch.head_position = head.seq, head.position
    branch.head_digest, branch.head_seal = head.digest, head.seal
    branch.touched_at = head.received_at
    branch.tokens += tokens
    touched = as_moment(head.received_at)
    place: list[Any] = [head.seq, head.position, head.digest, head.seal]
    with connection.cursor() as cursor:
        cursor.execute(MOVE, [*place, touched, branch.tokens, as_key(branch.pk)])
        cursor.execute(TOUCH, [touched, as_key(branch.run_id)])


def _output_tokens(payload: dict[str, Any]) -> int:
    usage = payload.get("usage")
    told = usage.get("output") if isinstance(usage, dict) else None
    return told if isinstance(told, int) and 0 <= told < 2**31 else 0


def _ask(branch: Branch, draft: Draft, receipt: Receipt) -> None:
    """What a client's question sets in motion beside being stored."""
    open_approval(branch=branch, payload=draft.payload, seq=receipt.seq, digest=receipt.digest)
    if branch.status == Status.RUNNING:
        by = {"kind": "agent", "id": draft.source, "name": draft.source}
        pause = server_draft(terms.PAUSED, {"by": by, "reason": "waits for approval"})
        write_events(branch=branch, drafts=[pause])
        Branch.objects.filter(pk=branch.pk).update(status=Status.PAUSED)
        branch.status = Status.PAUSED.value
