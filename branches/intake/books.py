"""What every importer keeps: whom it imports for, what came of a file, and ids that stay.

Ids of imported events are derived from what the transcript itself says, so that reading it again
finds what it stored.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid5

from branches.blobs import keep_blobs
from branches.domain import terms
from branches.domain.terms import Status
from branches.forks import make_branch
from branches.journal import Draft, lock_branch, server_draft, write_events
from branches.models import Branch, Run
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.kit.refusals import Refusal
from verel_site.kit.strict_json import encode

MAX_GOAL: Final = 120
WRITE_ROWS: Final = 500
MAX_REASONS: Final = 50

# Told after each batch: the file's name, how much is done, and of how much.
type Progress = Callable[[str, int, int], None]


class ForeignRun(Refusal):
    code = "foreign_run"
    title = "The transcript cannot go into this run"


@dataclass(frozen=True)
class Intake:
    """One file to read, for whom, and into which run if one is named."""

    project_id: UUID
    actor: Actor
    name: str
    path: Path
    run_id: UUID | None = None
    progress: Progress | None = None

    def event_id(self, *parts: object) -> UUID:
        namespace = uuid5(NAMESPACE_OID, f"verel:import:{self.project_id}")
        return uuid5(namespace, "\n".join(map(str, parts)))

    def tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(self.name, done, total)


@dataclass(frozen=True)
class Summary:
    """What came of one file.

    `messages` were read from it; `events` were stored, `shared` are told by the branch that a
    fork begins on, `duplicates` were stored by an earlier import. `skipped` counts, by reason,
    what was not understood: kept as a record of the branch, or left out where the reason says
    so. `outcomes` are reports to file on the ends of branches, as `(branch id, report body)`.
    `refused` says why the file could not be read; then nothing of it was stored.
    """

    name: str
    format: str = ""
    sha256: str = ""
    messages: int = 0
    events: int = 0
    shared: int = 0
    duplicates: int = 0
    branches: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    runs: tuple[UUID, ...] = ()
    outcomes: tuple[tuple[UUID, dict[str, Any]], ...] = ()
    refused: str = ""

    @property
    def changed(self) -> bool:
        return bool(self.events or self.branches)

    def as_json(self) -> dict[str, Any]:
        return {
            "messages": self.messages,
            "events": self.events,
            "shared": self.shared,
            "duplicates": self.duplicates,
            "branches": self.branches,
            "skipped": dict(self.skipped),
            "runs": [str(run) for run in self.runs],
        }


@dataclass
class Tally:
    """The summary while it grows."""

    messages: int = 0
    events: int = 0
    shared: int = 0
    duplicates: int = 0
    branches: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    runs: dict[UUID, None] = field(default_factory=dict)
    outcomes: list[tuple[UUID, dict[str, Any]]] = field(default_factory=list)

    def skip(self, reason: str) -> None:
        crowded = reason not in self.skipped and len(self.skipped) >= MAX_REASONS
        self.skipped["for further reasons" if crowded else reason] += 1

    def close(self, *, name: str, format: str, sha256: str) -> Summary:
        return Summary(
            name=name,
            format=format,
            sha256=sha256,
            messages=self.messages,
            events=self.events,
            shared=self.shared,
            duplicates=self.duplicates,
            branches=self.branches,
            skipped=dict(self.skipped),
            runs=tuple(self.runs),
            outcomes=tuple(self.outcomes),
        )


def lock_intake(project_id: UUID) -> None:
    """Until the transaction ends, one import writes into the project: two of one file at once
    would both find nothing stored."""
    Project.objects.select_for_update().only("pk").get(pk=project_id)


def read_target(intake: Intake) -> Run | None:
    """The named run, if it exists. Only a run that an import made takes more transcripts."""
    if intake.run_id is None:
        return None
    run = Run.objects.filter(pk=intake.run_id).first()
    if run is not None and run.project_id != intake.project_id:
        raise ForeignRun(f"Run {intake.run_id} is not one of this project.")
    if run is not None and not run.origin:
        raise ForeignRun(f"Run {intake.run_id} is an agent's own, and no import's.")
    return run


def check_target(intake: Intake, found: UUID) -> None:
    """Raises ForeignRun where the transcript is in another run than the one named."""
    if intake.run_id is not None and intake.run_id != found:
        raise ForeignRun(f"This transcript is in run {found} already.")


def content_key(project_id: UUID, event_type: str, payload: dict[str, Any]) -> bytes:
    """The SHA-256 of one event's type and payload bytes, as the journal stores them."""
    return row_key(event_type, encode(keep_blobs(project_id, payload)))


def row_key(event_type: str, payload: bytes) -> bytes:
    return hashlib.sha256(event_type.encode() + b"\x00" + payload).digest()


def cut_goal(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_GOAL else flat[: MAX_GOAL - 1].rstrip() + "…"


def fork_imported(
    intake: Intake, tally: Tally, *, parent_id: UUID, fork_seq: int, name: str
) -> Branch:
    """A branch for what a transcript tells beyond a shared prefix. No worker may claim it."""
    parent = Branch.objects.get(pk=parent_id)
    note = f"imported from {intake.name}"
    branch = make_branch(parent=parent, fork_seq=fork_seq, actor=intake.actor, name=name, note=note)
    payload = {
        "parent": str(parent.pk),
        "fork_seq": fork_seq,
        "by": intake.actor.as_json(),
        "reason": note,
    }
    write_imported(branch, [server_draft(terms.FORKED, payload)], tally)
    tally.branches += 1
    tally.runs[branch.run_id] = None
    return branch


def write_imported(branch: Branch, drafts: list[Draft], tally: Tally) -> list[int]:
    """Appends in portions, and gives the events' seqs. The branch is locked or new."""
    seqs: list[int] = []
    for start in range(0, len(drafts), WRITE_ROWS):
        chunk = drafts[start : start + WRITE_ROWS]
        seqs += [receipt.seq for receipt in write_events(branch=branch, drafts=chunk)]
    tally.events += len(drafts)
    return seqs


def finish_imported(intake: Intake, branch: Branch, finished: Draft, tally: Tally) -> Branch:
    """Ends the branch `completed`, by events; a branch that has ended stays as it is."""
    branch = lock_branch(branch_id=branch.pk)
    drafts = [finished]
    if branch.status == Status.RUNNING:
        payload = {"by": intake.actor.as_json(), "reason": f"imported from {intake.name}"}
        drafts.append(server_draft(terms.COMPLETED, payload))
    write_imported(branch, drafts, tally)
    if branch.status == Status.RUNNING:
        branch.status = Status.COMPLETED.value
        branch.save(update_fields=["status"])
    return branch
