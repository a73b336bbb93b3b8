"""Datasets: ordered by a person or a client, built at once or by the worker, kept in the archive.

The export is the promise. Whoever builds it holds it for HOLD_SECONDS at a time; one that dies is
followed by another, which begins anew under keys that name their content. The dataset's row comes
with the last file, in one transaction with the audit entry.
"""

import logging
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, cast
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from branches.domain.formats import FORMATS, Format
from branches.domain.terms import ExportState
from branches.models import Dataset, Export
from branches.selectors.triplets import TripletFilter, filter_exportable
from branches.snapshots import NothingToExport, Order, Report, Snapshot, no_report, write_snapshot
from branches.storage.cold import cold_store
from branches.storage.snapshot_files import store_files
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable

logger = logging.getLogger(__name__)

# What a request may build before it answers; more is left to the worker.
INLINE_TRIPLETS: Final = 500
HOLD_SECONDS: Final = 60
MAX_ATTEMPTS: Final = 5
# A triplet that is withdrawn while it is written is in the file: the pass is made again.
MAX_PASSES: Final = 5


class UnknownFormat(Unprocessable):
    code = "unknown_format"
    title = "There is no such format"


class NeverStill(Refusal):
    code = "never_still"
    title = "Triplets were withdrawn faster than they were written"


class ExportLost(Exception):
    """Another worker holds the export."""


def find_format(key: str) -> Format:
    format = FORMATS.get(key)
    if format is None:
        raise UnknownFormat(f"format is one of {', '.join(FORMATS)}.", pointer="/format")
    return format


@transaction.atomic
def order_dataset(
    *, project_id: UUID, actor: Actor, format: str = "trl", filter: dict[str, Any] | None = None
) -> Dataset | Export:
    """A finished dataset where it is small, else the export that the worker will build.

    Raises Forbidden, UnknownFormat, BadInput (filter), NothingToExport, NothingFits.
    """
    export = _post_export(project_id, actor, format, filter or {})
    if export.total > INLINE_TRIPLETS:
        return export
    return _build(export)


@transaction.atomic
def make_dataset(
    *, project_id: UUID, actor: Actor, format: str = "trl", filter: dict[str, Any] | None = None
) -> Dataset:
    """Builds it whatever its size. Raises what `order_dataset` raises."""
    return _build(_post_export(project_id, actor, format, filter or {}))


def write_directory(*, project: Project, out: Path, format: str = "trl") -> Snapshot:
    """Writes a snapshot as the directory `out`, which is empty or new, and is there only when
    all of it is. Nothing else is kept of it."""
    order = Order(project, find_format(format), TripletFilter(), timezone.now())
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".verel-dataset-") as folder:
        snapshot = write_snapshot(order, Path(folder) / "whole")
        if out.exists():
            out.rmdir()
        (Path(folder) / "whole").rename(out)
    return snapshot


def _post_export(project_id: UUID, actor: Actor, format: str, filter: dict[str, Any]) -> Export:
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise NotFound("There is no such project that you may see.")
    actor.demand(project.pk, Right.EXPORT)
    find_format(format)
    wanted = TripletFilter.ask(filter, pointer="/filter")
    as_of = timezone.now()
    total = filter_exportable(project, wanted, as_of=as_of).count()
    if not total:
        raise NothingToExport("Merge something; its triplets may leave after the undo window.")
    return Export.objects.create(
        project=project,
        format=format,
        filter=wanted.as_json(),
        as_of=as_of,
        total=total,
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
    )


def sweep_exports() -> bool:
    """Builds the oldest export that waits, or whose builder died. Whether there was one."""
    export = _take_export()
    if export is None:
        return False
    try:
        _build(export)
    except ExportLost:
        logger.warning("export %s was taken over", export.pk)
    except Refusal as refusal:
        _fail(export, f"{refusal.title}. {refusal.detail}")
    return True


def _take_export() -> Export | None:
    now = timezone.now()
    free = Q(state=ExportState.WAITING.value) | Q(
        state=ExportState.WORKING.value, held_until__lt=now
    )
    export = Export.objects.filter(free).order_by("created_at").first()
    if export is None:
        return None
    if export.attempts >= MAX_ATTEMPTS:
        _fail(export, f"It was begun {export.attempts} times and never finished; see the log.")
        return None
    holder = uuid4()
    taken = Export.objects.filter(free, pk=export.pk, holder=export.holder).update(
        state=ExportState.WORKING.value,
        holder=holder,
        held_until=now + timedelta(seconds=HOLD_SECONDS),
        attempts=F("attempts") + 1,
        done=0,
    )
    if taken != 1:
        return None
    export.holder = holder
    return export


def _fail(export: Export, fault: str) -> None:
    Export.objects.filter(pk=export.pk, holder=export.holder).update(
        state=ExportState.FAILED.value, fault=fault, held_until=None
    )


def _build(export: Export) -> Dataset:
    order = Order(
        project=export.project,
        format=find_format(export.format),
        wanted=TripletFilter.read(export.filter),
        as_of=export.as_of,
    )
    for _ in range(MAX_PASSES):
        with TemporaryDirectory(prefix="verel-dataset-") as folder:
            snapshot = write_snapshot(order, Path(folder), report=_reporter(export))
            prefix = f"datasets/{export.pk}"
            keys = store_files(cold_store(), Path(folder), snapshot.names, prefix)
        dataset = _finish(export, order, snapshot, keys)
        if dataset is not None:
            return dataset
    raise NeverStill("Try again when the merges are settled.")


def _reporter(export: Export) -> Report:
    """Tells how far it is, and holds the export on."""
    if export.holder is None:
        return no_report

    def report(done: int) -> None:
        until = timezone.now() + timedelta(seconds=HOLD_SECONDS)
        mine = Export.objects.filter(pk=export.pk, holder=export.holder)
        if mine.update(done=done, held_until=until) != 1:
            raise ExportLost(export.pk)

    return report


@transaction.atomic
def _finish(
    export: Export, order: Order, snapshot: Snapshot, keys: dict[str, str]
) -> Dataset | None:
    """The row, unless a triplet that was written has been withdrawn since."""
    if order.rows().count() != snapshot.manifest["looked_at"]:
        return None
    mine = Export.objects.filter(pk=export.pk, holder=export.holder)
    if mine.update(state=ExportState.DONE.value, done=F("total"), held_until=None) != 1:
        raise ExportLost(export.pk)
    dataset = Dataset.objects.create(
        id=export.pk,
        project=order.project,
        format=export.format,
        filter=export.filter,
        as_of=export.as_of,
        manifest=snapshot.manifest,
        files=keys,
        created_by=export.by_name,
    )
    record_act(
        project_id=export.project_id,
        actor=_actor(export),
        action="dataset.export",
        subject=f"dataset:{dataset.pk}",
        after={
            "format": export.format,
            "filter": export.filter,
            "rows": snapshot.manifest["rows"],
            "sha256": snapshot.manifest["sha256"],
        },
    )
    return dataset


def _actor(export: Export) -> Actor:
    kind = cast(Literal["person", "key", "system"], export.by_kind)
    return Actor(kind=kind, id=export.by_id, name=export.by_name)
