"""Datasets: a snapshot of triplets, with a manifest and a card. Withdrawn triplets never leave."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from branches.models import Dataset, Triplet
from branches.storage.cold import cold_store
from branches.triplets import SCHEMA, triplet_row
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable
from verel_site.kit.strict_json import encode, encode_sorted

FORMATS: Final = ("trl",)
FILTERS: Final = ("run", "granularity")
# One run in ten is held out, chosen by its id, so a run never stands on both sides.
HOLDOUT_EVERY: Final = 10
TRAIN: Final = "data/train-00000.jsonl"
HOLDOUT: Final = "data/holdout-00000.jsonl"


class UnknownFormat(Unprocessable):
    code = "unknown_format"
    title = "There is no such format"


class NothingToExport(Refusal):
    code = "nothing_to_export"
    title = "No triplet may leave yet"


@dataclass(frozen=True)
class Snapshot:
    """File names and their bytes, and the manifest that stands among them as `manifest.json`."""

    files: dict[str, bytes]
    manifest: dict[str, Any]


def build_snapshot(
    *, project: Project, actor: Actor, format: str = "trl", filter: dict[str, Any] | None = None
) -> Snapshot:
    """All triplets of the project that have passed their undo window and were not withdrawn."""
    actor.demand(project.pk, Right.EXPORT)
    if format not in FORMATS:
        raise UnknownFormat(f"format is one of {', '.join(FORMATS)}.", pointer="/format")
    parts: dict[str, list[bytes]] = {TRAIN: [], HOLDOUT: []}
    first_of: dict[str, int] = {}
    repeated = 0
    for triplet in _exportable(project, filter or {}):
        first = first_of.setdefault(triplet.prompt_digest, triplet.number)
        if first != triplet.number:
            repeated += 1
            triplet.metadata = {**triplet.metadata, "repeats_prompt_of": first}
        held_out = triplet.run_id.int % HOLDOUT_EVERY == 0
        parts[HOLDOUT if held_out else TRAIN].append(encode(triplet_row(triplet)))
    if not first_of:
        raise NothingToExport("Merge something; its triplets may leave after the undo window.")
    files = {name: b"".join(row + b"\n" for row in rows) for name, rows in parts.items() if rows}
    manifest = {
        "schema": SCHEMA,
        "format": format,
        "version": 1,
        "project": project.slug,
        "filter": filter or {},
        "created_at": timezone.now().isoformat(),
        "rows": {name: len(rows) for name, rows in parts.items()},
        "repeated_prompts": repeated,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "holdout": "by run: one in ten, chosen by the run's id",
    }
    files["README.md"] = _card(project, manifest, sorted(files)).encode()
    files["manifest.json"] = encode_sorted(manifest)
    return Snapshot(files, manifest)


@transaction.atomic
def make_dataset(
    *,
    project_id: UUID,
    actor: Actor,
    format: str = "trl",
    filter: dict[str, Any] | None = None,
) -> Dataset:
    """A snapshot kept in the archive under `datasets/{id}/`; its row names the files."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        raise NotFound("There is no such project that you may see.")
    snapshot = build_snapshot(project=project, actor=actor, format=format, filter=filter)
    dataset_id = uuid4()
    keys = {name: f"datasets/{dataset_id}/{name}" for name in snapshot.files}
    for name, data in snapshot.files.items():
        cold_store().put(keys[name], data)
    dataset = Dataset.objects.create(
        id=dataset_id,
        project=project,
        format=format,
        filter=filter or {},
        manifest=snapshot.manifest,
        files=keys,
        created_by=actor.name,
    )
    record_act(
        project_id=project.pk,
        actor=actor,
        action="dataset.export",
        subject=f"dataset:{dataset.pk}",
        after={"rows": snapshot.manifest["rows"], "sha256": snapshot.manifest["sha256"]},
    )
    return dataset


def _exportable(project: Project, filter: dict[str, Any]) -> Iterator[Triplet]:
    unknown = next((name for name in filter if name not in FILTERS), None)
    if unknown is not None:
        allowed = ", ".join(FILTERS)
        raise Unprocessable(f"filter takes {allowed}.", pointer=f"/filter/{unknown}")
    rows = Triplet.objects.filter(
        project=project, withdrawn_at=None, merge__undo_until__lte=timezone.now()
    )
    if "run" in filter:
        rows = rows.filter(run_id=_read_uuid(filter["run"]))
    if "granularity" in filter:
        rows = rows.filter(granularity=str(filter["granularity"]))
    return rows.order_by("number").iterator(chunk_size=200)


def _read_uuid(value: Any) -> UUID:
    try:
        return UUID(str(value))
    except ValueError as error:
        raise Unprocessable("run is a UUID.", pointer="/filter/run") from error


def _card(project: Project, manifest: dict[str, Any], names: list[str]) -> str:
    splits = "".join(
        f"  - split: {'train' if name == TRAIN else 'test'}\n    path: {name}\n" for name in names
    )
    rows = sum(manifest["rows"].values())
    return f"""---
license: other
task_categories: [text-generation]
tags: [dpo, preference, trl, agent, verel]
configs:
- config_name: default
  data_files:
{splits}---
# {project.slug} preferences

{rows} preference triplets, each from a merge that a person approved through a gate.

- Prompt: the messages that both branches share, equal by digest. Chosen and rejected: what the
  winner and the loser did next. A person's override is {
        "part of" if project.override_in_prompt else "left out of"
    } the prompt; it stands in `metadata`.
- `metadata` (JSON text) holds the provenance: schema `{SCHEMA}`, run, merge, branch heads,
  reviewer, reason, the gate's verdict and its reports.
- Held out {manifest["holdout"]}. {manifest["repeated_prompts"]} rows repeat an earlier prompt and
  say so in `metadata`.
- Withdrawn triplets are not here. Check `manifest.json` for the SHA-256 of each file.
"""
