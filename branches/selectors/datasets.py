"""Datasets and the exports that will be some, as their readers may have them."""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from branches.models import Dataset, Export
from branches.selectors.triplets import TripletFilter, filter_exportable
from branches.storage.cold import cold_store
from branches.storage.sealed_files import read_file
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.refusals import BadInput, NotFound, Refusal

# Where a dataset keeps its rows; of its names, the training split's is the last.
DATA: Final = "data/"


class NotReady(Refusal):
    code = "not_ready"
    title = "The dataset is not written yet"


class HoldsWithdrawn(Refusal):
    code = "holds_withdrawn"
    title = "The dataset holds triplets that were withdrawn"


def read_dataset(*, actor: Actor, dataset_id: UUID) -> Dataset | Export:
    """The dataset, or the export that will be it. Raises NotFound, Forbidden."""
    found: Dataset | Export | None = None
    for rows in (
        Dataset.objects.filter(project_id__in=actor.projects),
        Export.objects.filter(project_id__in=actor.projects),
    ):
        found = found or rows.select_related("project").filter(pk=dataset_id).first()
    if found is None:
        raise NotFound(f"There is no dataset {dataset_id} that you may see.")
    actor.demand(found.project_id, Right.EXPORT)
    return found


def count_withdrawn(dataset: Dataset) -> int:
    """How many of the triplets that were looked at for it have been withdrawn since. What a filter
    means as of one moment only ever shrinks, and only by withdrawals."""
    wanted = TripletFilter.read(dataset.filter)
    left = filter_exportable(dataset.project, wanted, as_of=dataset.as_of).count()
    return int(dataset.manifest.get("looked_at", left)) - left


def open_file(*, actor: Actor, dataset_id: UUID, name: str) -> tuple[str, Iterator[bytes]]:
    """`(name, pieces)` of one of its files; unnamed, the first that holds rows.

    Raises NotReady, and HoldsWithdrawn for all but the manifest and the card: a withdrawn triplet
    never leaves, from an older dataset neither.
    """
    dataset = read_dataset(actor=actor, dataset_id=dataset_id)
    if isinstance(dataset, Export):
        raise NotReady(dataset.fault or f"{dataset.done} of {dataset.total} triplets are done.")
    name = name or max(known for known in dataset.files if known.startswith(DATA))
    if name not in dataset.files:
        names = ", ".join(sorted(dataset.files))
        raise BadInput(f"name is one of {names}.", parameter="name")
    withdrawn = 0 if name in ("manifest.json", "README.md") else count_withdrawn(dataset)
    if withdrawn:
        raise HoldsWithdrawn(
            f"{withdrawn} of its triplets were withdrawn after it was made. Make a new one with "
            "the same filter.",
            withdrawn=withdrawn,
        )
    return name, read_file(cold_store(), dataset.files[name])
