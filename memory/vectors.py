"""Recall by likeness of meaning: a vector beside each record that may be recalled.

A vector is made when its record comes into recall, and emptied when it leaves. Each process keeps
the vectors of the projects that it is asked about, and reads only what is new since it last looked.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from memory.models import Record, RecordVector
from memory.ports.embedders import Embedder, current_embedder
from memory.ports.failures import PortFailed
from memory.ports.rests import let_rest, wake_all, why_resting
from memory.storage.matrix import Matrix
from verel_site.access.projects import lock_project

logger = logging.getLogger(__name__)

# What a question reads at most of what is new; the next one goes on from there.
READ_ROWS: Final = 20_000
# Farther than this nothing is alike: two random texts lie about here.
LEAST_COSINE: Final = 0.25

type _Key = tuple[UUID, str]

_matrices: OrderedDict[_Key, Matrix] = OrderedDict()
_guard = threading.Lock()


def fill_vectors(records: Sequence[Record]) -> int:
    """Brings the vectors of records of one project up to date; answers how many were written. Call
    outside of transactions. Raises PortFailed; what was written by then stays."""
    embedder = current_embedder()
    if embedder is None or not records:
        return 0
    project_id = records[0].project_id
    missing = _missing(embedder, records)
    made = embedder.embed([record.text for record in missing])
    vectors = {
        record.pk: row.astype("<f4").tobytes() for record, row in zip(missing, made, strict=True)
    }
    return _store(project_id, embedder, [record.pk for record in records], vectors)


def _missing(embedder: Embedder, records: Sequence[Record]) -> list[Record]:
    rows = RecordVector.objects.filter(
        record__in=[record.pk for record in records], embedder=embedder.name
    )
    known = set(rows.exclude(data=b"").values_list("record_id", flat=True))
    return [record for record in records if record.may_be_recalled and record.pk not in known]


@transaction.atomic
def _store(
    project_id: UUID, embedder: Embedder, keys: Sequence[int], made: dict[int, bytes]
) -> int:
    # Under the lock, numbers rise in the order in which they are seen: who has read up to one has
    # missed none before it.
    lock_project(project_id=project_id)
    old = {row.record_id: row for row in RecordVector.objects.filter(record__in=keys)}
    fresh = []
    for record in Record.objects.filter(pk__in=keys).only("standing", "trust", "scope"):
        kept = old.get(record.pk)
        same = kept is not None and kept.embedder == embedder.name
        data = made.get(record.pk) or (bytes(kept.data) if kept and same else b"")
        data = data if record.may_be_recalled else b""
        told = bytes(kept.data) if kept else b""
        if data != told or (kept and data and (kept.scope != record.scope or not same)):
            fresh.append(
                RecordVector(
                    project_id=project_id,
                    record_id=record.pk,
                    embedder=embedder.name,
                    scope=record.scope,
                    data=data,
                )
            )
    RecordVector.objects.filter(record__in=[row.record_id for row in fresh]).delete()
    RecordVector.objects.bulk_create(fresh)
    return len(fresh)


def find_alike(
    *, project_id: UUID, goal: str, scopes: Sequence[str], limit: int
) -> list[tuple[int, float]]:
    """(position, cosine) of records whose meaning is near the goal's, the nearest first. Empty
    without an embedder, or while it is away. Call outside of transactions."""
    embedder = current_embedder()
    if embedder is None or not goal.strip() or why_resting(_port(embedder)):
        return []
    try:
        vector = embedder.embed([goal])[0]
    except PortFailed as error:
        logger.warning("recall goes on by words: the embedder failed", exc_info=True)
        let_rest(_port(embedder), str(error))
        return []
    matrix = _matrix_of((project_id, embedder.name), len(vector))
    with matrix.lock:
        _read_news(matrix, project_id, embedder.name)
        found = matrix.nearest(vector, scopes, limit)
    return [(position, cosine) for position, cosine in found if cosine >= LEAST_COSINE]


def why_embedder_rests() -> str | None:
    """Empty where it is asked as usual; None where there is none."""
    embedder = current_embedder()
    return None if embedder is None else why_resting(_port(embedder))


def _port(embedder: Embedder) -> str:
    return f"embedder:{embedder.name}"


def _matrix_of(key: _Key, width: int) -> Matrix:
    """The project's matrix; the least asked for make room when all are larger than allowed."""
    room = settings.VEREL_VECTOR_CACHE_BYTES
    with _guard:
        matrix = _matrices.get(key)
        if matrix is None or matrix.width != width:
            matrix = _matrices[key] = Matrix(width, most=room // (4 * width))
        _matrices.move_to_end(key)
        while len(_matrices) > 1 and sum(one.size for one in _matrices.values()) > room:
            _matrices.popitem(last=False)
    return matrix


def _read_news(matrix: Matrix, project_id: UUID, embedder: str) -> None:
    rows = RecordVector.objects.filter(project_id=project_id, embedder=embedder, pk__gt=matrix.high)
    told = rows.order_by("pk").values_list("pk", "record_id", "scope", "data")
    for key, position, scope, data in told[:READ_ROWS].iterator(chunk_size=1_000):
        matrix.put(position, scope, bytes(data))
        matrix.high = key


def forget_matrices() -> None:
    """Of this process: what was read of a database that is no more."""
    with _guard:
        _matrices.clear()
    wake_all()
