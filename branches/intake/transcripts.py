"""Reading transcripts in: which format a file is in, and one summary of what came of each.

Safe to repeat: every id is derived from what is told, so a second import finds all of it stored.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from branches.intake import claude_code, claude_records, codex, codex_exec, trajectories
from branches.intake.files import (
    MAX_LINE_BYTES,
    FollowFile,
    Outcome,
    Tally,
    TranscriptFile,
    Unreadable,
    file_sha256,
    iter_lines,
)
from branches.intake.opening import iter_opened
from branches.models import Import, Run
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import BadInput, NotFound, Refusal
from verel_site.kit.strict_json import MalformedJson, decode

FORMATS: Final = (
    trajectories.FORMAT,
    claude_records.FORMAT,
    codex.FORMAT,
    codex_exec.FORMAT,
)
AUTO: Final = "auto"
# The first lines decide; a session begins with some notes before its first message.
LOOKED_AT_LINES: Final = 50
HEAD_BYTES: Final = 64 * 1024
KEPT_REASONS: Final = 100
MAX_NAME: Final = 200

_MAGIC: Final = {
    b"PK\x03\x04": "a zip archive inside another packing",
    b"\x1f\x8b": "packed twice",
    b"\x28\xb5\x2f\xfd": "packed twice",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True)
class Summary:
    """What came of one file. `fault` says in words why it could not be read (to its end), or is
    empty. `events`, `branches` and `runs` count what is new; `duplicates` what was stored before.
    `skipped` has one line for each reason. `outcomes` are there for duplicates too.
    """

    name: str
    format: str
    events: int = 0
    branches: int = 0
    duplicates: int = 0
    runs: tuple[UUID, ...] = ()
    skipped: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "branches": self.branches,
            "duplicates": self.duplicates,
            "runs": [str(run) for run in self.runs],
            "skipped": list(self.skipped),
        }

    def told(self) -> str:
        """One line of text."""
        if self.fault and not self.runs:
            return f"{self.name}: {self.fault}"
        counts = [
            _many(self.events, "event"),
            _many(self.branches, "branch", "branches"),
            f"in {_many(len(self.runs), 'run')}",
            _many(self.duplicates, "duplicate"),
        ]
        notes = [*self.skipped, *([f"stopped: {self.fault}"] if self.fault else [])]
        why = f" ({'; '.join(notes)})" if notes else ""
        return f"{self.name}: {', '.join(counts)}{why}"


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def detect_format(path: Path) -> str:
    """One of FORMATS; raises Unreadable with what to do instead."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    _check_text(head)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        return trajectories.FORMAT
    for line, _ in zip(iter_lines(path), range(LOOKED_AT_LINES), strict=False):
        found = _format_of(line.raw)
        if found:
            return found
    if head.lstrip().startswith(b"{") and not trajectories.is_json_lines(path):
        return _detect_document(path)
    raise Unreadable(
        "It is neither a list of OpenAI-chat trajectories nor a session of Claude Code or Codex: no "
        'object in it has "traj" or "messages", no record a "sessionId" or a "session_meta".'
    )


def _check_text(head: bytes) -> None:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            raise Unreadable(f"It is {kind}. Unpack it, and import the JSON files inside.")
    if not head.strip():
        raise Unreadable("The file is empty.")
    if b"\0" in head:
        raise Unreadable("It holds NUL bytes, so it is no JSON text.")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"[", b"{"):
        raise Unreadable("It is not JSON: the text begins with neither [ nor {.")


def _format_of(raw: bytes) -> str:
    """The format that one line alone decides, or nothing."""
    try:
        value = decode(raw, max_depth=trajectories.DEPTH)
    except MalformedJson:
        return ""
    if isinstance(value, list):
        return trajectories.FORMAT
    return _format_of_record(value) if isinstance(value, dict) else ""


def _format_of_record(value: Mapping[str, Any]) -> str:
    if isinstance(value.get("sessionId"), str) and "type" in value:
        return claude_records.FORMAT
    if isinstance(value.get("messages", value.get("traj")), list):
        return trajectories.FORMAT
    if "session_id" in value and value.get("type") in ("system", "assistant", "user", "result"):
        raise Unreadable(
            "It is the stream that Claude Code prints. Import the session's own file instead."
        )
    if value.get("type") == "session_meta" and isinstance(value.get("payload"), dict):
        return codex.FORMAT
    if value.get("type") == "thread.started" and isinstance(value.get("thread_id"), str):
        return codex_exec.FORMAT
    return ""


def _detect_document(path: Path) -> str:
    if path.stat().st_size > MAX_LINE_BYTES:
        most = MAX_LINE_BYTES // 1024 // 1024
        raise Unreadable(f"One conversation in one object takes at most {most} MB.")
    try:
        value = decode(path.read_bytes(), max_depth=trajectories.DEPTH)
    except MalformedJson as error:
        raise Unreadable(f"It is not JSON: {error.detail}") from error
    if isinstance(value, dict) and isinstance(value.get("messages", value.get("traj")), list):
        return trajectories.FORMAT
    raise Unreadable('The object has neither "messages" nor "traj", so it is no conversation.')


def import_transcript(
    *,
    project_id: UUID,
    actor: Actor,
    files: Sequence[TranscriptFile],
    run_id: UUID | None = None,
    format: str = AUTO,
    progress: FollowFile | None = None,
    keep: bool = True,
) -> list[Summary]:
    """Reads each file in, one after the other; one that cannot be read does not stop the others.

    A file may be packed with gzip or zstd; a zip archive has one summary for each transcript in
    it. With `run_id` everything becomes branches of that run, which is started if there is none.
    `progress(file, tally)` gives what is then called with (done, total) bytes while that file is
    read. With `keep`, what changed something leaves a row and an audit entry. Raises Forbidden or
    NotFound for the actor or the run, BadInput for the format.
    """
    actor.demand(project_id, Right.IMPORT)
    if format not in (AUTO, *FORMATS):
        raise BadInput(f"format is one of {', '.join((AUTO, *FORMATS))}.", parameter="format")
    if run_id and Run.objects.filter(pk=run_id).exclude(project_id=project_id).exists():
        raise NotFound(f"There is no run {run_id} in this project.")
    desk = _Desk(project_id, actor, run_id, format, progress, keep)
    return [summary for file in files for summary in desk.read(file)]


def shown_name(name: str) -> str:
    """A file's name as text that can be stored: not every byte of one is text."""
    return name.encode("utf-8", "replace").decode().replace("\0", "?")[:MAX_NAME]


@dataclass(frozen=True)
class _Desk:
    project_id: UUID
    actor: Actor
    run_id: UUID | None
    format: str
    progress: FollowFile | None
    keep: bool

    def read(self, file: TranscriptFile) -> Iterator[Summary]:
        """A summary for each transcript in the file, and one for the fault of its packing."""
        opened = iter_opened(TranscriptFile(shown_name(file.name), file.path))
        while True:
            try:
                plain = next(opened, None)
            except (Refusal, OSError) as fault:
                yield Summary(shown_name(file.name), self.format, fault=_tell_fault(fault))
                return
            if plain is None:
                return
            yield self._read_plain(TranscriptFile(shown_name(plain.name), plain.path))

    def _read_plain(self, file: TranscriptFile) -> Summary:
        tally, fault, format = Tally(), "", self.format
        try:
            format = detect_format(file.path) if format == AUTO else format
            _check_head(file.path)
            _READERS[format](
                file=file,
                project_id=self.project_id,
                actor=self.actor,
                tally=tally,
                run_id=self.run_id,
                progress=self.progress(file, tally) if self.progress else None,
            )
        except (Refusal, OSError) as error:
            fault = _tell_fault(error)
        summary = Summary(
            name=file.name,
            format=format,
            events=tally.events,
            branches=tally.branches,
            duplicates=tally.duplicates,
            runs=tuple(tally.runs),
            skipped=_tell_skipped(tally),
            outcomes=tuple(tally.outcomes),
            fault=fault,
        )
        if self.keep and (summary.events or summary.branches):
            _keep(summary, file, self.project_id, self.actor)
        return summary


def _tell_fault(fault: Refusal | OSError) -> str:
    if isinstance(fault, MalformedJson):
        at = f" (at {fault.pointer})" if fault.pointer else ""
        return f"It is not JSON that can be kept: {fault.detail}{at}"
    if isinstance(fault, Refusal):
        return fault.detail
    return f"It cannot be opened: {fault.strerror or fault}."


_READERS: Final[Mapping[str, Callable[..., None]]] = {
    trajectories.FORMAT: trajectories.import_trajectories,
    claude_records.FORMAT: claude_code.import_session,
    codex.FORMAT: codex.import_rollout,
    codex_exec.FORMAT: codex_exec.import_exec,
}


def _check_head(path: Path) -> None:
    with path.open("rb") as file:
        _check_text(file.read(HEAD_BYTES))


def _tell_skipped(tally: Tally) -> tuple[str, ...]:
    lines = [f"{why} ({count})" if count > 1 else why for why, count in tally.skipped.items()]
    more = len(lines) - KEPT_REASONS
    return tuple(lines[:KEPT_REASONS] + ([f"{more} more of this kind"] if more > 0 else []))


@transaction.atomic
def _keep(summary: Summary, file: TranscriptFile, project_id: UUID, actor: Actor) -> None:
    """A row and an audit entry for what changed something; a repeat leaves no trace."""
    row = Import.objects.create(
        project_id=project_id,
        run_id=summary.runs[0] if summary.runs else None,
        name=summary.name,
        format=summary.format,
        sha256=file_sha256(file.path),
        summary=summary.as_json(),
        imported_by=actor.name,
    )
    record_act(
        project_id=project_id,
        actor=actor,
        action="transcript.import",
        subject=f"import:{row.pk}",
        after={"name": row.name, "sha256": row.sha256, **summary.as_json()},
    )
