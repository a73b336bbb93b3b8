"""Claude Code sessions: JSON lines, each a record with a `uuid` or a note beside them.

A fork of a session copies its parent's records, uuids too, under a new `sessionId`: it is told from
the first record that is not known, on a branch of its own. A session that was rewound goes on from
an earlier record: what follows is a branch too. What is no message is kept as a
`harness.import.record` and counted.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from branches.domain import terms
from branches.domain.events import text_of
from branches.intake.claude_lanes import EPOCH, SOURCE, Lanes
from branches.intake.claude_records import (
    FORMAT,
    Record,
    Told,
    read_parts,
    record_ids,
)
from branches.intake.files import (
    BATCH_EVENTS,
    Progress,
    Tally,
    TranscriptFile,
    Unreadable,
    cut_goal,
    derive_id,
    fork_off,
    record_payload,
    storable,
)
from branches.intake.records import iter_records
from branches.journal import Draft
from branches.models import Branch, Event, Run
from branches.runs import start_run
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.refusals import Refusal


class OtherRun(Refusal):
    code = "other_run"
    title = "The session is in another run"


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
    size, told = file.path.stat().st_size, Told(survey.began or EPOCH)
    lanes = Lanes(branch, survey.session, file.name, actor, tally)
    for record in iter_records(file, Record):
        lane = lanes.follow(record)
        drafts = _drafts_of(record, project_id, survey.session, told, tally)
        if lanes.add(lane, record, drafts, told.moment) and progress:
            progress(record.line.offset, size)
    lanes.finish()
    if progress:
        progress(size, size)


def take_survey(file: TranscriptFile, project_id: UUID) -> Survey:
    survey = Survey()
    waiting: list[UUID] = []
    for record in iter_records(file, Record):
        survey.session = record.session or survey.session
        survey.began = survey.began or record.moment
        survey.goal = survey.goal or _goal_of(record)
        survey.model = survey.model or text_of(record.message.get("model"))[:120]
        if record.uuid and not survey.fresh:
            count = len(read_parts(record, Told(EPOCH)))
            waiting += record_ids(record, count, project_id, record.session)
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


def _drafts_of(
    record: Record, project_id: UUID, session: str, told: Told, tally: Tally
) -> list[Draft]:
    told.moment = record.moment or told.moment
    parts = read_parts(record, told)
    ids = record_ids(record, len(parts), project_id, session)
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
