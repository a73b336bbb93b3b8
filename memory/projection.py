"""Records that may be recalled, shown elsewhere: as vectors here, and as entries of a rented store.

Ours is the truth. A record that moves and the promise to show it are committed together (see
`storage.owed`); a delivery looks first at what is there, and makes it what it should be. So a crash
before, during or after a call leaves a promise that is still due, and keeping it again leaves one
entry, or none where the record left recall.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import batched
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from memory.models import Projection, Record, RecordVector
from memory.ports.embedders import current_embedder
from memory.ports.failures import PortFailed
from memory.ports.rests import let_rest, why_resting
from memory.ports.stores import Entry, Held, Store, current_store, owner_of
from memory.storage.owed import KIND
from memory.vectors import fill_vectors
from verel_site.access.models import Project
from verel_site.kit.strict_json import encode_sorted
from verel_site.outbox.models import Promise

# Longer than any call to a store takes: who holds a record longer than this has died.
CLAIM_SECONDS: Final = 180
BATCH: Final = 64
_PORT: Final = "deliveries"


class Differs(StrEnum):
    """How a store differs from us."""

    MISSING = "missing"
    STALE = "stale"
    DOUBLE = "double"
    ORPHAN = "orphan"
    NO_VECTOR = "no vector"


class Claimed(PortFailed):
    """Somebody else delivers the record just now."""


@dataclass(frozen=True, slots=True)
class Difference:
    record: str
    how: Differs


def deliver_record(subject: UUID, destination: str) -> None:
    """Safe to run twice, and in several processes at once. Raises PortFailed to be called again; an
    embedder that is away does not hold up the store."""
    record = Record.objects.filter(record_id=subject).first()
    if record is None:
        return
    failed = None
    try:
        fill_vectors([record])
    except PortFailed as error:
        failed = error
    _show(record)
    if failed is not None:
        raise failed


def _show(record: Record) -> None:
    """To the store, unless it failed a moment ago: many that are owed would each wait for it in vain,
    and what is owed elsewhere would wait for them."""
    resting = why_resting(_PORT)
    if resting:
        raise PortFailed(resting)
    try:
        store = current_store()
        if store is not None:
            project_record(store, record)
    except Claimed:
        raise
    except PortFailed as error:
        let_rest(_PORT, str(error))
        raise


def project_record(store: Store, record: Record) -> None:
    """Makes the store hold the record's one entry, or none. Raises PortFailed."""
    mine = _claim(record)
    try:
        # After the claim: whoever held it before may have come after another move.
        record.refresh_from_db(fields=["standing", "trust", "scope", "tier"])
        entry = entry_of(record)
        _settle(store, owner_of(record.project_id), str(record.record_id), entry)
    except BaseException:
        mine.update(claimed_until=None)
        raise
    digest = entry.digest if entry else ""
    mine.update(claimed_until=None, digest=digest, delivered_at=timezone.now())


def _settle(store: Store, owner: str, record: str, entry: Entry | None) -> None:
    held = store.find(owner, record)
    same = [one for one in held if entry and one.digest == entry.digest]
    stay = next(iter([*same, *held]), None) if entry else None
    if entry and stay is None:
        store.add(owner, entry)
    elif entry and stay and not same:
        store.replace(owner, stay, entry)
    for one in held:
        if one is not stay:
            store.remove(owner, one)


def _claim(record: Record) -> QuerySet[Projection]:
    """One at a time looks and adds. Raises Claimed where another one is at it."""
    now = timezone.now()
    Projection.objects.get_or_create(record=record, defaults={"project_id": record.project_id})
    until = now + timedelta(seconds=CLAIM_SECONDS)
    rows = Projection.objects.filter(record=record)
    if (
        rows.filter(Q(claimed_until=None) | Q(claimed_until__lt=now)).update(claimed_until=until)
        != 1
    ):
        raise Claimed("Another delivery of this record is under way.")
    return rows.filter(claimed_until=until)


def entry_of(record: Record) -> Entry | None:
    """What a store is to hold of a record; None where it may not be recalled."""
    if not record.may_be_recalled:
        return None
    about = {
        "label": record.label,
        "kind": record.kind,
        "scope": record.scope,
        "tier": record.tier,
        "trust": record.trust,
        "key": record.key,
    }
    told = {"text": record.text, "version": record.version, **about}
    digest = hashlib.sha256(encode_sorted(told)).hexdigest()
    return Entry(str(record.record_id), record.version, digest, record.text, about)


def is_behind() -> bool:
    """Whether a delivery failed that is still owed."""
    owed = Promise.objects.filter(kind=KIND, state=Promise.State.DUE, attempts__gt=0)
    return owed.exclude(last_error="").exists()


def find_differences(project: Project) -> Iterator[Difference]:
    """Where the store and the vectors are not what they should be, record by record."""
    store = current_store()
    if store is not None:
        yield from _differences(project, store)
    embedder = current_embedder()
    if embedder is not None:
        made = RecordVector.objects.filter(embedder=embedder.name).exclude(data=b"")
        rows = Record.objects.recallable().filter(project=project).exclude(vector__in=made)
        for record_id in rows.values_list("record_id", flat=True).iterator():
            yield Difference(str(record_id), Differs.NO_VECTOR)


def _differences(project: Project, store: Store) -> Iterator[Difference]:
    held: dict[str, list[Held]] = {}
    for one in store.every(owner_of(project.pk)):
        held.setdefault(one.record, []).append(one)
    for record in Record.objects.recallable().filter(project=project).iterator(chunk_size=500):
        entry = entry_of(record)
        told = held.pop(str(record.record_id), [])
        if not told:
            yield Difference(str(record.record_id), Differs.MISSING)
        elif len(told) > 1:
            yield Difference(str(record.record_id), Differs.DOUBLE)
        elif entry and told[0].digest != entry.digest:
            yield Difference(str(record.record_id), Differs.STALE)
    # What is left belongs to no record that may be recalled.
    yield from (Difference(record, Differs.ORPHAN) for record in held)


def mend_differences(project: Project) -> int:
    """Makes store and vectors what they should be; answers how many differed. Raises PortFailed."""
    store, count = current_store(), 0
    for batch in batched(list(find_differences(project)), BATCH):
        rows = _records_of(project, batch)
        fill_vectors(list(rows.values()))
        for one in batch:
            record = rows.get(one.record)
            if store is None or one.how is Differs.NO_VECTOR:
                continue
            if record is not None:
                project_record(store, record)
            else:
                _settle(store, owner_of(project.pk), one.record, None)
        count += len(batch)
    return count


def _records_of(project: Project, batch: Iterable[Difference]) -> dict[str, Record]:
    """By their ids as a store tells them; of what is no id of ours there is none."""
    named = []
    for one in batch:
        with suppress(ValueError):
            named.append(UUID(one.record))
    rows = Record.objects.filter(project=project, record_id__in=named)
    return {str(row.record_id): row for row in rows}
