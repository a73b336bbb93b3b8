"""What is kept by its digest: the files of datasets in the archive, and binary parts."""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Final
from uuid import UUID

from branches.blobs import ChangedBlob, UnreadableBlob, blob_bytes
from branches.models import Blob, Dataset
from branches.storage.cold import ColdStore, NotStored, cold_store
from branches.storage.sealed_files import UnreadableFile, read_file
from verel_site.kit.faults import Fault

READ_ROWS: Final = 20


def check_datasets(project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    """Every file is in the archive, with the SHA-256 that the manifest gives it."""
    store = cold_store()
    rows = Dataset.objects.filter(project_id=project_id).order_by("pk")
    for dataset in rows.iterator(chunk_size=READ_ROWS):
        counts["datasets"] += 1
        digests = dataset.manifest.get("sha256", {})
        for name, key in dataset.files.items():
            counts["files"] += 1
            fault = _file_fault(store, key, digests.get(name))
            if fault:
                kind, detail = fault
                yield Fault(kind, f"{name} of dataset {dataset.pk}", detail)


def _file_fault(store: ColdStore, key: str, digest: str | None) -> tuple[str, str] | None:
    found = sha256()
    try:
        for piece in read_file(store, key):
            found.update(piece)
    except NotStored:
        return "missing", f"the archive has no object {key}"
    except UnreadableFile as error:
        return "unreadable", error.detail
    if digest is not None and found.hexdigest() != digest:
        return "changed", f"the object {key} has another SHA-256 than the manifest names"
    return None


def check_blobs(project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    rows = Blob.objects.filter(project_id=project_id).order_by("pk")
    for blob in rows.iterator(chunk_size=READ_ROWS):
        counts["blobs"] += 1
        try:
            blob_bytes(blob)
        except ChangedBlob:
            yield Fault("changed", f"blob {blob.sha256}", "its bytes are others than its name says")
        except UnreadableBlob as error:
            yield Fault("unreadable", f"blob {blob.sha256}", error.detail)
