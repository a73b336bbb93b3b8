"""What datasets were made or are being made, and the page of one."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from branches.domain.formats import FORMATS
from branches.domain.terms import ExportState
from branches.models import Dataset, Export
from branches.selectors.datasets import count_withdrawn, read_dataset
from branches.storage.cold import NotStored, cold_store
from branches.storage.sealed_files import read_file
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project
from verel_site.access.rights import Right

SHOWN_DATASETS: Final = 100
CARD_BYTES: Final = 20_000


@dataclass(frozen=True, slots=True)
class MadeRow:
    """`state` is ready, waiting, working or failed."""

    href: str
    title: str
    filter: str
    at: datetime
    by: str = ""
    state: str = "ready"
    triplets: int = 0
    holdout: int = 0
    skipped: int = 0
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class MadePage:
    project: Project
    rows: tuple[MadeRow, ...]
    screen: str = "datasets"
    nav: str = "datasets"
    tab: str = "made"
    title: str = "Datasets"


@dataclass(frozen=True, slots=True)
class FileLine:
    name: str
    rows: int | None
    sha256: str
    href: str


@dataclass(frozen=True)
class DatasetPage:
    """One dataset, or how far it is. `manifest` is empty until it is ready."""

    project: Project
    row: MadeRow
    id: UUID
    format: str
    fault: str
    as_of: datetime
    hidden: tuple[tuple[str, str], ...]
    withdrawn: int
    files: tuple[FileLine, ...]
    manifest: dict[str, Any]
    card: str
    again_href: str
    triplets_href: str
    screen: str = "datasets"
    nav: str = "datasets"
    tab: str = "made"

    @property
    def title(self) -> str:
        return f"Dataset, {self.row.title}"

    @property
    def pending(self) -> bool:
        return self.row.state in ("waiting", "working")


def read_made_page(*, actor: Actor, slug: str) -> MadePage:
    """The latest datasets and exports, newest first: a constant number of queries."""
    project = get_project(actor=actor, slug=slug)
    actor.demand(project.pk, Right.EXPORT)
    made = Dataset.objects.filter(project=project).order_by("-created_at")[:SHOWN_DATASETS]
    ahead = Export.objects.filter(project=project).exclude(state=ExportState.DONE.value)
    ordered: list[Dataset | Export] = [*ahead.order_by("-created_at")[:SHOWN_DATASETS], *made]
    rows = sorted(map(_row, ordered), key=lambda row: row.at, reverse=True)
    return MadePage(project, tuple(rows))


def _row(ordered: Dataset | Export) -> MadeRow:
    title = FORMATS[ordered.format].title if ordered.format in FORMATS else ordered.format
    wanted = ", ".join(f"{name} {_text(value)}" for name, value in ordered.filter.items())
    row = MadeRow(
        href=reverse("dataset", args=[ordered.pk]),
        title=title,
        filter=wanted,
        at=ordered.created_at,
    )
    if isinstance(ordered, Export):
        return replace(
            row,
            state=ordered.state,
            done=ordered.done,
            total=ordered.total,
            by=ordered.by_name,
        )
    manifest = ordered.manifest
    sides = manifest.get("triplets", manifest.get("rows", {}))
    return replace(
        row,
        triplets=sum(sides.values()),
        holdout=sides.get("holdout", 0),
        skipped=manifest.get("skipped", {}).get("triplets", 0),
        by=ordered.created_by,
    )


def _text(value: Any) -> str:
    """A filter's value as an address has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_dataset_page(*, actor: Actor, dataset_id: UUID) -> DatasetPage:
    """Raises NotFound, Forbidden."""
    ordered = read_dataset(actor=actor, dataset_id=dataset_id)
    dataset = ordered if isinstance(ordered, Dataset) else None
    told = {name: _text(value) for name, value in ordered.filter.items()}
    triplets = reverse("triplets", args=[ordered.project.slug])
    return DatasetPage(
        project=ordered.project,
        row=_row(ordered),
        id=ordered.pk,
        format=ordered.format,
        fault="" if isinstance(ordered, Dataset) else ordered.fault,
        as_of=ordered.as_of,
        hidden=tuple(told.items()),
        withdrawn=count_withdrawn(dataset) if dataset else 0,
        files=_files(dataset) if dataset else (),
        manifest=dataset.manifest if dataset else {},
        card=_read_card(dataset) if dataset else "",
        again_href=reverse("dataset", args=[ordered.pk]),
        triplets_href=f"{triplets}?{urlencode({**told, 'format': ordered.format})}",
    )


def _files(dataset: Dataset) -> tuple[FileLine, ...]:
    rows, sha256 = dataset.manifest.get("rows", {}), dataset.manifest.get("sha256", {})
    here = reverse("dataset-file", args=[dataset.pk])
    return tuple(
        FileLine(name, rows.get(name), sha256.get(name, ""), f"{here}?{urlencode({'name': name})}")
        for name in sorted(dataset.files)
    )


def _read_card(dataset: Dataset) -> str:
    """The card's text; an archive that is away takes the card with it, and not the page."""
    try:
        piece = next(read_file(cold_store(), dataset.files["README.md"]), b"")
    except (NotStored, KeyError, OSError):
        return ""
    return piece[:CARD_BYTES].decode(errors="replace")
