"""Claude Code sessions: JSON lines, each a record with a `uuid` or a note beside them.

A fork of a session copies its parent's records, uuids too, under a new `sessionId`: it is told from
the first record that is not known, on a branch of its own. Records are told in the order of the
file. What is no message is kept as a `harness.import.record` and counted.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from branches.domain import terms
from branches.domain.events import compact_json, text_of
from branches.intake.files import (
    BATCH_EVENTS,
    Batch,
    Line,
    Progress,
    Tally,
    TranscriptFile,
    Unreadable,
    cut_goal,
    derive_id,
    finish_branch,
    fork_off,
    iter_lines,
    record_payload,
    storable,
    store_fresh,
)
from branches.intake.messages import binary_part
from branches.journal import Draft
from branches.models import Branch, Event, Run
from branches.runs import start_run
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.refusals import Refusal
from verel_site.kit.strict_json import MAX_DEPTH, MalformedJson, decode

FORMAT: Final = "claude-code"
SOURCE: Final = "import:claude-code"
DEPTH: Final = MAX_DEPTH + 6
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

type Part = tuple[str, dict[str, Any]]


class OtherRun(Refusal):
    code = "other_run"
    title = "The session is in another run"


@dataclass(frozen=True, slots=True)
class Record:
    """One line. `fields` is None where the line is torn; `uuid` is empty where it names none."""

    line: Line
    fields: Mapping[str, Any] | None

    @property
    def uuid(self) -> str:
        return _text(self.fields, "uuid")

    @property
    def session(self) -> str:
        return _text(self.fields, "sessionId")

    @property
    def kind(self) -> str:
        return _text(self.fields, "type")

    @property
    def message(self) -> Mapping[str, Any]:
        value = self.fields.get("message") if self.fields else None
        return value if isinstance(value, dict) else {}

    @property
    def moment(self) -> datetime | None:
        try:
            read = parse_datetime(_text(self.fields, "timestamp"))
            return read.astimezone(UTC) if read and timezone.is_aware(read) else None
        except (ValueError, OverflowError):
            return None


def _text(fields: Mapping[str, Any] | None, name: str) -> str:
    value = fields.get(name) if fields else None
    return value if isinstance(value, str) else ""


@dataclass
class Survey:
    """What a first reading tells: where the session goes on from what is stored.

    `place` is the last stored event before the first record that is new; `fresh` says that there
    is such a record.
    """

    session: str = ""
    goal: str = ""
    model: str = ""
    began: datetime | None = None
    place: Event | None = None
    fresh: bool = False


@dataclass
class Told:
    """What later records need of those before: names by call id, and whose usage was counted."""

    moment: datetime
    names: dict[str, str] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)


def import_session(
    *,
    file: TranscriptFile,
    project_id: UUID,
    actor: Actor,
    tally: Tally,
    run_id: UUID | None = None,
    progress: Progress | None = None,
) -> None:
    """Reads the file twice, line by line: once to find its place, once to store what is new."""
    survey = take_survey(file, project_id)
    if not survey.session:
        raise Unreadable("No record of the file names its sessionId.")
    with transaction.atomic():
        branch = _open_branch(file, project_id, actor, tally, survey, run_id)
    size, told, last = file.path.stat().st_size, Told(survey.began or EPOCH), None
    batch = Batch()
    for record in iter_records(file):
        batch.add(record.line, _drafts_of(record, project_id, survey.session, told, tally))
        if batch.full:
            last = store_fresh(branch=branch, drafts=batch.take(), tally=tally)
            if progress:
                progress(record.line.offset, size)
    last = store_fresh(branch=branch, drafts=batch.take(), tally=tally) or last
    if last is not None:
        _finish(branch, survey.session, told.moment, last)
    if progress:
        progress(size, size)


def _finish(branch: Branch, session: str, moment: datetime, last: UUID) -> None:
    """Where the file ends now; a session that has grown since ends anew."""
    finish_branch(
        branch=branch,
        source=SOURCE,
        event_id=derive_id(branch.project_id, FORMAT, session, "finished", last),
        ts=moment,
        payload={"outcome": "imported", "session": session},
    )


def iter_records(file: TranscriptFile) -> Iterator[Record]:
    for line in iter_lines(file.path):
        try:
            value = decode(line.raw, max_depth=DEPTH) if line.whole else None
        except MalformedJson:
            value = None
        yield Record(line, value if isinstance(value, dict) else None)


def take_survey(file: TranscriptFile, project_id: UUID) -> Survey:
    survey = Survey()
    waiting: list[UUID] = []
    for record in iter_records(file):
        survey.session = record.session or survey.session
        survey.began = survey.began or record.moment
        survey.goal = survey.goal or _goal_of(record)
        survey.model = survey.model or text_of(record.message.get("model"))[:120]
        if record.uuid and not survey.fresh:
            count = len(read_parts(record, Told(EPOCH)))
            waiting += _record_ids(record, count, project_id, record.session)
            if len(waiting) >= BATCH_EVENTS:
                waiting = _look_up(survey, project_id, waiting)
    _look_up(survey, project_id, waiting)
    return survey


def _look_up(survey: Survey, project_id: UUID, ids: list[UUID]) -> list[UUID]:
    """Moves the survey's place on over the ids that are stored, up to the first that is not."""
    rows = Event.objects.filter(project_id=project_id, event_id__in=ids)
    known = {row.event_id: row for row in rows.defer("payload").select_related("branch")}
    for event_id in ids:
        if event_id not in known:
            survey.fresh = True
            break
        survey.place = known[event_id]
    return []


def _goal_of(record: Record) -> str:
    if record.kind != "user" or _is_aside(record):
        return ""
    told = [part for part in read_parts(record, Told(EPOCH)) if part[0] == terms.USER]
    content = told[0][1]["content"] if told else ""
    if isinstance(content, list):
        content = " ".join(part.get("text", "") for part in content)
    return cut_goal(content)


def _is_aside(record: Record) -> bool:
    return bool(record.fields and (record.fields.get("isMeta") or record.fields.get("isSidechain")))


def _open_branch(
    file: TranscriptFile,
    project_id: UUID,
    actor: Actor,
    tally: Tally,
    survey: Survey,
    run_id: UUID | None,
) -> Branch:
    """The session's own branch where it has one; else a new run's trunk, or a fork at the place
    that the survey found.

    A session that another one tells whole is a branch too: the order of the files decides which
    is the trunk, and not how many branches there are.
    """
    run = _find_run(project_id, survey, run_id)
    if run is not None and run_id not in (None, run.pk):
        raise OtherRun(f"What the session tells is in run {run.pk} already.")
    if run is None:
        branch = _start_run(file, project_id, actor, survey, run_id)
        tally.branches += 1
        tally.touch_run(branch.run_id)
        return branch
    tally.touch_run(run.pk)
    kept = _sessions(run).get(survey.session)
    own = next((branch for branch in run.branches.all() if str(branch.pk) == kept), None)
    if own is not None:
        return own
    place = survey.place
    branch = fork_off(
        parent=place.branch if place else run.branches.get(number=0),
        fork_seq=place.seq if place else 1,  # without one, only that the run began is shared
        actor=actor,
        name=f"session {survey.session[:8]}",
        why=f"imported from {file.name}",
    )
    tally.branches += 1
    _remember_session(run, survey.session, branch)
    return branch


def _find_run(project_id: UUID, survey: Survey, run_id: UUID | None) -> Run | None:
    """The run that tells the survey's place, else the one that the session's id stands for."""
    own = run_id or derive_id(project_id, FORMAT, survey.session)
    wanted = survey.place.run_id if survey.place is not None else own
    # Two imports of one session at once would each take the other's note of it away.
    lock_project(project_id=project_id)
    return Run.objects.filter(pk=wanted).first()


def _start_run(
    file: TranscriptFile, project_id: UUID, actor: Actor, survey: Survey, run_id: UUID | None
) -> Branch:
    run, trunk = start_run(
        project_id=project_id,
        actor=actor,
        right=Right.IMPORT,
        run_id=run_id or derive_id(project_id, FORMAT, survey.session),
        goal=survey.goal or f"Claude Code session {survey.session[:8]}",
        agent="Claude Code",
        model=survey.model,
        metadata={"format": FORMAT},
        origin=f"{file.name[:100]}, session {survey.session[:60]}",
    )
    _remember_session(run, survey.session, trunk)
    return trunk


def _sessions(run: Run) -> dict[str, Any]:
    """Branch ids by session. Metadata is also a client's to give, so its shape is not trusted."""
    kept = run.metadata.get("sessions")
    return kept if isinstance(kept, dict) else {}


def _remember_session(run: Run, session: str, branch: Branch) -> None:
    sessions = {**_sessions(run), session: str(branch.pk)}
    run.metadata = {**run.metadata, "sessions": sessions}
    run.save(update_fields=["metadata"])


def _record_ids(record: Record, count: int, project_id: UUID, session: str) -> list[UUID]:
    """One id for each part, at least one. A note without a uuid is known by where it stands."""
    if record.uuid:
        parts = range(max(1, count))
        return [derive_id(project_id, FORMAT, record.uuid, index) for index in parts]
    sha256 = hashlib.sha256(record.line.raw).hexdigest()
    return [derive_id(project_id, FORMAT, session, f"line {record.line.number}", sha256)]


def _drafts_of(
    record: Record, project_id: UUID, session: str, told: Told, tally: Tally
) -> list[Draft]:
    told.moment = record.moment or told.moment
    parts = read_parts(record, told)
    ids = _record_ids(record, len(parts), project_id, session)
    raw = record_payload(format=FORMAT, line=record.line.number, raw=record.line.raw)
    if not parts:
        tally.skipped[_why_kept(record)] += 1
    drafts = []
    for event_id, part in zip(ids, parts or [(terms.UNKNOWN_RECORD, raw)], strict=True):
        if not storable(part[1]):
            tally.skipped[f"line {record.line.number} is too large or too deep; cut"] += 1
            part = terms.UNKNOWN_RECORD, raw
        drafts.append(Draft(part[0], SOURCE, told.moment, part[1], event_id))
    return drafts


def _why_kept(record: Record) -> str:
    if not record.line.whole:
        return f"line {record.line.number} is too long; its start is kept"
    if record.fields is None:
        return f"line {record.line.number} is torn or no JSON object; kept as it is"
    if record.fields.get("isSidechain"):
        return "records of a subagent; kept as they are"
    return f"records of type {record.kind[:60] or 'unknown'!r}; kept as they are"


def read_parts(record: Record, told: Told) -> list[Part]:
    """The events of a record, at least one for each message; none for what is no message."""
    fields = record.fields
    if fields is None or not record.uuid or fields.get("isSidechain"):
        return []
    if record.kind == "user":
        return list(_user_parts(record.message.get("content"), told))
    if record.kind == "assistant":
        return _assistant_parts(record.message, told)
    return []


def _user_parts(content: object, told: Told) -> Iterator[Part]:
    """Results as they stand; texts and images between them as one message."""
    if isinstance(content, str):
        yield terms.USER, {"content": content}
        return
    said: list[dict[str, Any]] = []
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            yield terms.TOOL_RESULT, _read_result(block, told)
        else:
            said.append(_read_block(block))
    if len(said) == 1 and said[0]["kind"] == "text":
        yield terms.USER, {"content": said[0]["text"]}
    elif said:
        yield terms.USER, {"content": said}


def _read_result(block: Mapping[str, Any], told: Told) -> dict[str, Any]:
    call_id = text_of(block.get("tool_use_id"))
    content = block.get("content")
    payload: dict[str, Any] = {
        "call_id": call_id,
        "content": [_read_block(part) for part in content]
        if isinstance(content, list)
        else text_of(content),
    }
    if call_id in told.names:
        payload["name"] = told.names[call_id]
    if block.get("is_error") is True:
        payload["is_error"] = True
    return payload


def _read_block(block: object) -> dict[str, Any]:
    if isinstance(block, dict):
        if isinstance(block.get("text"), str):
            return {"kind": "text", "text": block["text"]}
        source = block.get("source")
        if isinstance(source, dict) and isinstance(source.get("data"), str):
            mime = text_of(source.get("media_type"))
            return binary_part(
                "image" if mime.startswith("image/") else "file", mime, source["data"]
            )
    return {"kind": "text", "text": block if isinstance(block, str) else compact_json(block)}


def _assistant_parts(message: Mapping[str, Any], told: Told) -> list[Part]:
    content = message.get("content")
    text = [{"type": "text", "text": content}] if isinstance(content, str) else []
    blocks = content if isinstance(content, list) else text
    parts = [_assistant_part(block, message, told) for block in blocks if isinstance(block, dict)]
    usage = _read_usage(message.get("usage"))
    message_id = text_of(message.get("id"))
    if parts and usage and message_id not in told.counted:
        # All records of one message repeat its usage; an id that is missing cannot be repeated.
        told.counted |= {message_id} if message_id else set()
        parts[0][1]["usage"] = usage
    return parts


def _assistant_part(block: Mapping[str, Any], message: Mapping[str, Any], told: Told) -> Part:
    kind = block.get("type")
    if kind in ("thinking", "redacted_thinking"):
        return terms.THOUGHT, {"text": text_of(block.get("thinking")) or "[redacted]"}
    if kind in ("tool_use", "server_tool_use"):
        call_id, name = text_of(block.get("id")), text_of(block.get("name"))
        told.names[call_id] = name
        given = block.get("input")
        arguments = given if isinstance(given, dict) else {"arguments": given}
        return terms.TOOL_CALL, {"call_id": call_id, "name": name, "arguments": arguments}
    model = text_of(message.get("model"))
    said = _read_block(block)
    content = said["text"] if said["kind"] == "text" else [said]
    return terms.ASSISTANT, {"content": content, **({"model": model} if model else {})}


def _read_usage(usage: object) -> dict[str, int]:
    """Verel's four figures; one that is absent is unknown, not 0."""
    if not isinstance(usage, dict):
        return {}
    names = {
        "uncached": "input_tokens",
        "cache_read": "cache_read_input_tokens",
        "cache_write": "cache_creation_input_tokens",
        "output": "output_tokens",
    }
    told = {ours: usage.get(theirs) for ours, theirs in names.items()}
    return {
        name: value
        for name, value in told.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
