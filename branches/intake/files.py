"""What every reader of transcripts shares: the file, its lines, what came of it, and why not."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID, uuid5

from branches.domain import terms
from branches.domain.terms import Status
from branches.forks import make_branch
from branches.intake.batches import MAX_EVENT_BYTES
from branches.journal import Draft, append_events, server_draft, write_events
from branches.models import Branch, Event
from verel_site.access.actors import Actor
from verel_site.kit.refusals import Unprocessable
from verel_site.kit.strict_json import MAX_DEPTH, MalformedJson, check, encode

# The root of every derived id. Another one would read every transcript in once more.
NAMESPACE: Final = UUID("6b1f8a52-3f0e-5c1d-9a44-0e2d7c9b51f7")
BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 2 * 1024 * 1024
MAX_LINE_BYTES: Final = 32 * 1024 * 1024
SKIPPED_BYTES: Final = 64 * 1024
MAX_RAW_CHARACTERS: Final = 16_000
MAX_GOAL: Final = 120

# Who has the right to import is asked once; the events are then written as this.
IMPORTER: Final = Actor(kind="system", id="import", name="Transcript import")

type Progress = Callable[[int, int], None]


class Unreadable(Unprocessable):
    code = "unreadable_transcript"
    title = "The file cannot be read in"


@dataclass(frozen=True, slots=True)
class TranscriptFile:
    """`name` is shown and kept; `path` is where the bytes lie now."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transcript says of one trial's result, for a grader's report on that head.

    `message` is empty where the trial succeeded.
    """

    branch: UUID
    head_digest: bytes
    reward: float
    test_id: str
    message: str = ""


@dataclass
class Tally:
    """What came of one file so far. `skipped` counts each reason for what was not read as events."""

    events: int = 0
    branches: int = 0
    duplicates: int = 0
    runs: dict[UUID, None] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    outcomes: list[Outcome] = field(default_factory=list)

    def touch_run(self, run: UUID) -> None:
        self.runs[run] = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end; `whole` is False where it was longer than MAX_LINE_BYTES."""

    number: int
    raw: bytes
    whole: bool
    offset: int


@dataclass
class Batch:
    """Drafts that are stored together: bounded in number, and in the bytes that told them."""

    drafts: list[Draft] = field(default_factory=list)
    told: int = 0

    def add(self, line: Line, drafts: Iterable[Draft]) -> None:
        self.drafts += drafts
        self.told += len(line.raw)

    @property
    def full(self) -> bool:
        return len(self.drafts) >= BATCH_EVENTS or self.told >= BATCH_BYTES

    def take(self) -> list[Draft]:
        """The drafts; the batch is empty afterwards."""
        drafts, self.drafts, self.told = self.drafts, [], 0
        return drafts


# Called for each file that is read, with what came of it so far: the tally goes on being filled.
type FollowFile = Callable[[TranscriptFile, Tally], Progress]


def derive_id(*parts: object) -> UUID:
    """The same parts give the same id for ever; no two lists of parts are told alike."""
    return uuid5(NAMESPACE, "\x1f".join(str(part) for part in parts))


def iter_lines(path: Path) -> Iterator[Line]:
    """The lines that are not blank, one in memory at a time."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES):
            number += 1
            whole = raw.endswith(b"\n") or len(raw) < MAX_LINE_BYTES
            if not whole:
                _skip_line(file)
            if raw.strip():
                yield Line(number, raw.strip(), whole, file.tell())


def _skip_line(file: IO[bytes]) -> None:
    while (rest := file.readline(SKIPPED_BYTES)) and not rest.endswith(b"\n"):
        pass


def raw_text(raw: bytes) -> str:
    """Any bytes as text that can be stored, bounded."""
    cut = raw[: MAX_RAW_CHARACTERS * 4].decode("utf-8", "replace")
    return cut.replace("\0", "\ufffd")[:MAX_RAW_CHARACTERS]


def record_payload(*, format: str, line: int, raw: bytes) -> dict[str, Any]:
    """The payload of a `harness.import.record`: what could not be read as an event, as it was."""
    return {"format": format, "line": line, "raw": raw_text(raw)}


def storable(payload: dict[str, Any]) -> bool:
    """Whether the journal takes it as it is: depth, texts and size. Binary parts go out of line."""
    try:
        check(payload, max_depth=MAX_DEPTH)
    except MalformedJson:
        return False
    content = payload.get("content")
    if isinstance(content, list):
        payload = {**payload, "content": [{**part, "data": ""} for part in content]}
    return len(encode(payload)) <= MAX_EVENT_BYTES


def cut_goal(text: str) -> str:
    """A run's goal: one line of at most MAX_GOAL characters."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_GOAL else f"{line[: MAX_GOAL - 1].rstrip()}…"


def fork_off(*, parent: Branch, fork_seq: int, actor: Actor, name: str, why: str) -> Branch:
    """A branch that was forked elsewhere: no override, and nothing for a worker to claim."""
    branch = make_branch(parent=parent, fork_seq=fork_seq, actor=actor, name=name)
    payload = {
        "parent": str(parent.pk),
        "fork_seq": fork_seq,
        "by": actor.as_json(),
        "reason": why,
    }
    write_events(branch=branch, drafts=[server_draft(terms.FORKED, payload)])
    return branch


def append_drafts(*, branch: Branch, drafts: list[Draft], tally: Tally) -> list[int]:
    """Stores the drafts in batches; their seqs, in order."""
    seqs: list[int] = []
    for start in range(0, len(drafts), BATCH_EVENTS):
        batch = drafts[start : start + BATCH_EVENTS]
        appended = append_events(branch_id=branch.pk, actor=IMPORTER, drafts=batch)
        seqs += [receipt.seq for receipt in appended.results]
        fresh = sum(not receipt.duplicate for receipt in appended.results)
        tally.events += fresh
        tally.duplicates += len(batch) - fresh
    return seqs


def store_fresh(*, branch: Branch, drafts: list[Draft], tally: Tally) -> UUID | None:
    """Stores what is not stored yet, and gives the last id.

    A record that another session tells too is known by its id alone: the copy differs in the
    session that it names.
    """
    ids = [draft.event_id for draft in drafts]
    rows = Event.objects.filter(project_id=branch.project_id, event_id__in=ids)
    known = set(rows.values_list("event_id", flat=True))
    first_use = {draft.event_id: draft for draft in reversed(drafts)}
    fresh = [one for one in drafts if one.event_id not in known and first_use[one.event_id] is one]
    tally.duplicates += len(drafts) - len(fresh)
    append_drafts(branch=branch, drafts=fresh, tally=tally)
    return ids[-1] if ids else None


def finish_branch(
    *, branch: Branch, source: str, event_id: UUID, ts: datetime, payload: dict[str, Any]
) -> None:
    """The end of what was imported: the agent that wrote it is not here to go on."""
    draft = Draft(terms.RUN_FINISHED, source, ts, payload, event_id)
    append_events(branch_id=branch.pk, actor=IMPORTER, drafts=[draft])
    running = Branch.objects.filter(pk=branch.pk, status=Status.RUNNING.value)
    running.update(status=Status.COMPLETED.value)


def find_event(project_id: UUID, event_id: UUID) -> Event | None:
    found = Event.objects.filter(project_id=project_id, event_id=event_id)
    return found.select_related("branch").first()


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
