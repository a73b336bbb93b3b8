"""Writing a snapshot: rows in one format, a manifest and a card, streamed into a directory.

Memory is bounded whatever the number of triplets: CHUNK of them at a time, and what
`branches.domain.likeness` remembers of prompts.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from django.db.models import QuerySet

from branches.domain.formats import Format
from branches.domain.formats.llamafactory_sharegpt import dataset_info
from branches.domain.formats.pair import Unfit
from branches.domain.holdout import RULE, HeldOut, Sides, held_out_by_rank
from branches.domain.likeness import MAX_NEAR, NEAR, Likeness, Prompts
from branches.models import Triplet
from branches.selectors.triplets import TripletFilter, filter_exportable, iter_chunks
from branches.snapshot_card import make_card
from branches.storage.snapshot_files import RowFile, write_file
from branches.triplets import SCHEMA, read_pair
from verel_site.access.models import Project
from verel_site.kit.refusals import Refusal
from verel_site.kit.strict_json import encode, encode_sorted

MANIFEST_SCHEMA: Final = "verel.dataset/1"
PROVENANCE: Final = "provenance.jsonl"
SKIPPED: Final = "skipped.jsonl"
SHOWN_SKIPPED: Final = 100
TRAIN: Final = "train"
HOLDOUT: Final = "holdout"

type Report = Callable[[int], None]


class NothingToExport(Refusal):
    code = "nothing_to_export"
    title = "No triplet may leave yet"


class NothingFits(Refusal):
    code = "nothing_fits"
    title = "No triplet fits the format"


@dataclass(frozen=True)
class Order:
    """What a snapshot is to hold: triplets of `wanted` that had passed their undo window at
    `as_of` and are not withdrawn when they are written."""

    project: Project
    format: Format
    wanted: TripletFilter
    as_of: datetime

    def rows(self) -> QuerySet[Triplet]:
        return filter_exportable(self.project, self.wanted, as_of=self.as_of)


@dataclass(frozen=True)
class Snapshot:
    """File names under the directory that was written; the manifest stands among them as
    `manifest.json`."""

    names: list[str]
    manifest: dict[str, Any]


def no_report(done: int) -> None:
    pass


def write_snapshot(order: Order, root: Path, *, report: Report = no_report) -> Snapshot:
    """Writes into `root`, which is empty or new. `report` hears how many triplets were looked at.

    Raises NothingToExport, or NothingFits with the reasons.
    """
    draft = _Writer(order, root, held_out_by_rank)
    draft.write(report)
    better = draft.sides.better()
    if better is not None:
        draft.remove()
        draft = _Writer(order, root, better)
        draft.write(report)
    return draft.finish()


class _Writer:
    """One pass over the triplets."""

    def __init__(self, order: Order, root: Path, held_out: HeldOut) -> None:
        self.order, self.root, self.held_out = order, root, held_out
        self.sides, self.prompts = Sides(), Prompts()
        self.skipped: Counter[str] = Counter()
        self.marks: Counter[str] = Counter()
        self.triplets: Counter[str] = Counter()
        self.shown: list[dict[str, Any]] = []
        format = order.format
        self.parts = {
            side: RowFile(root, f"data/{side}-00000.{format.ending}", array=format.array)
            for side in (TRAIN, HOLDOUT)
        }
        self.provenance, self.left_out = RowFile(root, PROVENANCE), RowFile(root, SKIPPED)
        self.looked_at = 0

    @property
    def files(self) -> list[RowFile]:
        return [*self.parts.values(), self.provenance, self.left_out]

    def write(self, report: Report) -> None:
        try:
            for chunk in iter_chunks(self.order.rows()):
                for triplet in chunk:
                    self._write(triplet)
                self.looked_at += len(chunk)
                report(self.looked_at)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        for file in self.files:
            file.remove()

    def _write(self, triplet: Triplet) -> None:
        held = self.held_out(triplet.run_id)
        pair = read_pair(triplet)
        try:
            # Asked twice, since only what is written counts among the prompts that were seen.
            self.order.format.rows(pair)
        except Unfit as unfit:
            self._skip(triplet, str(unfit))
            return
        alike = self.prompts.see(
            pair.prompt, digest=triplet.prompt_digest, number=triplet.number, held_out=held
        )
        if alike is not None:
            pair = replace(pair, metadata={**pair.metadata, "likeness": alike.as_json()})
            self._mark(alike)
        rows = self.order.format.rows(pair)
        side = HOLDOUT if held else TRAIN
        self.sides.see(triplet.run_id, held)
        self.triplets[side] += 1
        for row in rows:
            self._tell_origin(triplet, side, alike)
            self.parts[side].write(row)

    def _mark(self, alike: Likeness) -> None:
        self.marks["repeated_prompts" if alike.exact else "near_prompts"] += 1
        self.marks["across_splits"] += alike.across

    def _skip(self, triplet: Triplet, reason: str) -> None:
        self.skipped[reason] += 1
        line = {"triplet": str(triplet.pk), "number": triplet.number, "reason": reason}
        self.left_out.write(line)
        if len(self.shown) < SHOWN_SKIPPED:
            self.shown.append(line)

    def _tell_origin(self, triplet: Triplet, side: str, alike: Likeness | None) -> None:
        """One line for each row, in the order of rows: a format may have no place for it."""
        part = self.parts[side]
        origin = {
            "file": part.name,
            "row": part.rows,
            "triplet": str(triplet.pk),
            "number": triplet.number,
            "run": str(triplet.run_id),
            "merge": str(triplet.merge_id),
            "prompt_sha256": triplet.prompt_digest,
            "likeness": alike.as_json() if alike else None,
        }
        self.provenance.write(origin)

    def finish(self) -> Snapshot:
        written = [file for file in self.files if file.close()]
        if not sum(self.triplets.values()):
            self._refuse()
        sha256 = {file.name: file.sha256.hexdigest() for file in written}
        named = {side: part.name for side, part in self.parts.items() if part.rows}
        if self.order.format.key == "llamafactory":
            info = {_dataset_name(side): name for side, name in named.items()}
            data = encode(dataset_info(info)) + b"\n"
            sha256["dataset_info.json"] = write_file(self.root, "dataset_info.json", data)
        manifest = self._manifest(sha256)
        card = make_card(self.order.project, self.order.format, manifest, named)
        write_file(self.root, "README.md", card.encode())
        write_file(self.root, "manifest.json", encode_sorted(manifest))
        return Snapshot(sorted([*sha256, "README.md", "manifest.json"]), manifest)

    def _refuse(self) -> None:
        if not self.skipped:
            raise NothingToExport("Merge something; its triplets may leave after the undo window.")
        reasons = [f"{reason} ({count})" for reason, count in self.skipped.most_common(3)]
        raise NothingFits(
            f"{self.order.format.title} cannot say any of them whole: {' '.join(reasons)}",
            reasons=dict(self.skipped.most_common(20)),
        )

    def _manifest(self, sha256: dict[str, str]) -> dict[str, Any]:
        order = self.order
        return {
            "schema": MANIFEST_SCHEMA,
            "triplet_schema": SCHEMA,
            "format": order.format.key,
            "version": 1,
            "project": order.project.slug,
            "filter": order.wanted.as_json(),
            "as_of": order.as_of.isoformat(),
            "looked_at": self.looked_at,
            "rows": {part.name: part.rows for part in self.parts.values()},
            "triplets": {side: self.triplets[side] for side in (TRAIN, HOLDOUT)},
            "skipped": {
                "triplets": sum(self.skipped.values()),
                "reasons": dict(self.skipped.most_common(20)),
                "first": self.shown,
            },
            "holdout": RULE,
            "likeness": {
                "repeated_prompts": self.marks["repeated_prompts"],
                "near_prompts": self.marks["near_prompts"],
                "across_splits": self.marks["across_splits"],
                "near_from": NEAR,
                "compared_with_last": MAX_NEAR,
                "all_compared": not self.prompts.forgot,
            },
            "sha256": sha256,
        }


def _dataset_name(side: str) -> str:
    return "verel_dpo" if side == TRAIN else "verel_dpo_holdout"
