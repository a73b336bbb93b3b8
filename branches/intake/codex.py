"""Codex CLI rollouts: JSON lines, each with an ordinal that counts through a thread and its forks.

A fork copies nothing: it names the thread that it was `forked_from_id` and the first ordinal that
it does not share. It becomes a branch of that thread's run, from the last event before. A fork
that is read before its parent is told on a branch of a run that waits for the parent; when that
comes, the fork is told anew where it belongs, and the first telling is abandoned with that reason.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from branches.domain import terms
from branches.domain.events import text_of
from branches.domain.terms import ENDED, Status
from branches.intake.codex_items import Record, Told, read_part, whole
from branches.intake.files import (
    Batch,
    Progress,
    Tally,
    TranscriptFile,
    Unreadable,
    append_drafts,
    cut_goal,
    derive_id,
    find_event,
    finish_branch,
    fork_off,
    record_payload,
    storable,
    store_fresh,
)
from branches.intake.messages import said_text
from branches.intake.records import iter_records
from branches.journal import Draft
from branches.models import Branch, Event, Run
from branches.runs import start_run
from branches.selectors.events import payload_of
from branches.steering import abandon_branch
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.refusals import Refusal

FORMAT: Final = "codex"
SOURCE: Final = "import:codex"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The goal and the model stand near the start.
SURVEYED_LINES: Final = 400
LOOKED_BACK: Final = 400
MAX_PARENTS: Final = 1000
# Few, since an event may take a megabyte.
COPIED_ROWS: Final = 50


class OtherRun(Refusal):
    code = "other_run"
    title = "The thread is in another run"


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a thread parts from another: `before` is the first ordinal that it does not share."""

    parent: str
    before: int


@dataclass
class Survey:
    thread: str = ""
    fork: Fork | None = None
    goal: str = ""
    model: str = ""
    began: datetime | None = None
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    branch: Branch
    seq: int


@dataclass(frozen=True, slots=True)
class _Ids:
    """The event ids of one thread. `anew` says that it was told a second time, under its parent."""

    project: UUID
    thread: str
    anew: bool = False

    def of(self, *key: object) -> UUID:
        first = derive_id(self.project, FORMAT, self.thread, *key)
        return _anew(first) if self.anew else first

    def of_record(self, record: Record) -> UUID:
        if record.response_id:
            first = derive_id(self.project, FORMAT, "response", record.response_id)
            return _anew(first) if self.anew else first
        if record.ordinal is not None:
            return self.of(record.ordinal)
        sha256 = hashlib.sha256(record.line.raw).hexdigest()
        return self.of(f"line {record.line.number}", sha256)


def _anew(event_id: UUID) -> UUID:
    return derive_id("anew", event_id)


def import_rollout(
    *,
    file: TranscriptFile,
    project_id: UUID,
    actor: Actor,
    tally: Tally,
    run_id: UUID | None = None,
    progress: Progress | None = None,
) -> None:
    """Reads the file line by line; each batch is stored whole or not at all."""
    survey = take_survey(file)
    if not survey.thread:
        raise Unreadable("No session_meta record of the file names its thread.")
    size, told, last = file.path.stat().st_size, Told(survey.began or EPOCH), None
    desk = _Desk(file, project_id, actor, tally, survey, run_id)
    batch = Batch()
    for record in iter_records(file, Record):
        batch.add(record.line, desk.drafts_of(record, told))
        if batch.full:
            last = desk.store(batch.take())
            if progress:
                progress(record.line.offset, size)
    last = desk.store(batch.take()) or last
    if last is not None:
        desk.finish(told.moment, last)
    desk.settle()
    if progress:
        progress(size, size)


def take_survey(file: TranscriptFile) -> Survey:
    survey = Survey()
    for record, _ in zip(iter_records(file, Record), range(SURVEYED_LINES), strict=False):
        survey.began = survey.began or record.moment
        if record.kind == "session_meta":
            _survey_meta(survey, record.payload)
        if record.kind == "turn_context" and not survey.model:
            survey.model = text_of(record.payload.get("model"))[:120]
        survey.goal = survey.goal or _goal_of(record)
        if survey.goal and survey.model and survey.thread:
            break
    return survey


def _survey_meta(survey: Survey, meta: Mapping[str, Any]) -> None:
    """The first one is the file's own; those of older forks copy their parent's after it."""
    if survey.thread:
        return
    survey.thread = text_of(meta.get("id") or meta.get("session_id"))[:200]
    parent = meta.get("forked_from_id")
    before = whole(meta.get("forked_from_ordinal_exclusive"))
    if isinstance(parent, str) and parent and parent != survey.thread:
        survey.copied = before is None
        survey.fork = Fork(parent[:200], before) if before is not None else None


def _goal_of(record: Record) -> str:
    """What a person asked; what the harness says in their name begins with a tag or a heading."""
    if record.kind != "response_item" or record.what != "message":
        return ""
    part = read_part(record, Told(EPOCH))
    text = said_text(part[1]["content"]) if part and part[0] == terms.USER else ""
    return "" if text.lstrip()[:1] in ("", "<", "#") else cut_goal(text)


class _Desk:
    """Stores one thread: finds its branch, or makes it together with the first batch."""

    def __init__(
        self,
        file: TranscriptFile,
        project_id: UUID,
        actor: Actor,
        tally: Tally,
        survey: Survey,
        run_id: UUID | None,
    ) -> None:
        self.file, self.project_id, self.actor = file, project_id, actor
        self.tally, self.survey, self.run_id = tally, survey, run_id
        self.branch = find_branch(project_id, survey.thread)
        anew = _meta_event(project_id, survey.thread, anew=True) is not None
        self.ids = _Ids(project_id, survey.thread, anew)
        self.first_meta = True
        self.last_ordinal = -1
        if survey.copied:
            tally.skipped["its fork copies the parent's records; told as a run of its own"] += 1
        if self.branch is not None:
            self._check_run(self.branch.run_id)
            tally.touch_run(self.branch.run_id)

    def _check_run(self, run: UUID) -> None:
        if self.run_id not in (None, run):
            raise OtherRun(f"What the thread tells is in run {run} already.")

    def drafts_of(self, record: Record, told: Told) -> list[Draft]:
        told.moment = record.moment or told.moment
        self.last_ordinal = max(self.last_ordinal, record.ordinal or 0)
        if record.repeats:
            self.tally.skipped["notes that repeat other records; left out"] += 1
            return []
        if record.kind == "session_meta" and self.first_meta:
            self.first_meta = False
            return self._meta_drafts(record, told)
        raw = record_payload(format=FORMAT, line=record.line.number, raw=record.line.raw)
        part = read_part(record, told)
        if part is None:
            self.tally.skipped[_why_kept(record)] += 1
        elif not storable(part[1]):
            self.tally.skipped[f"line {record.line.number} is too large or too deep; cut"] += 1
            part = None
        event_type, payload = part or (terms.UNKNOWN_RECORD, raw)
        return [Draft(event_type, SOURCE, told.moment, payload, self.ids.of_record(record))]

    def _meta_drafts(self, record: Record, told: Told) -> list[Draft]:
        """The thread's own record under a name of its own, and the instructions it began with."""
        raw = record_payload(format=FORMAT, line=record.line.number, raw=record.line.raw)
        fork = self.survey.fork
        placed = {"forked_from": fork.parent, "before": fork.before} if fork else {}
        meta_id = self.ids.of("meta")
        drafts = [Draft(terms.UNKNOWN_RECORD, SOURCE, told.moment, {**raw, **placed}, meta_id)]
        given = record.payload.get("base_instructions")
        text = given.get("text") if isinstance(given, dict) else given
        system = {"content": text}
        if isinstance(text, str) and text and fork is None and storable(system):
            event_id = self.ids.of("instructions")
            drafts.append(Draft(terms.SYSTEM, SOURCE, told.moment, system, event_id))
        return drafts

    def store(self, drafts: list[Draft]) -> UUID | None:
        with transaction.atomic():
            branch = self.branch or self._open_branch()
            last = store_fresh(branch=branch, drafts=drafts, tally=self.tally)
        if self.branch is None:
            self.branch = branch
            self.tally.branches += 1
            self.tally.touch_run(branch.run_id)
        return last

    def finish(self, moment: datetime, last: UUID) -> None:
        assert self.branch is not None
        _finish(self.branch, self.survey.thread, moment, last)

    def settle(self) -> None:
        """Tells the forks anew that waited for this thread, and then those that came from them.

        While the thread waits itself, they go on waiting beside it.
        """
        own = Run.objects.filter(project_id=self.project_id, pk=self._run_of(self.survey.thread))
        waiting = list(_waiting(own.first()))
        assert self.branch is not None
        if waiting and self._waits(self.branch):
            self._wait_together(self.branch.run_id, waiting)
            return
        parents = [self.survey.thread]
        for parent in parents:
            ready = (one for one in waiting if one.parent == parent and self._reaches(one))
            parents += [one.thread for one in ready if self._tell_anew(one)]

    def _waits(self, branch: Branch) -> bool:
        threads = {one.thread for one in _waiting(Run.objects.get(pk=branch.run_id))}
        return self.survey.thread in threads and not self.ids.anew

    @transaction.atomic
    def _wait_together(self, run_id: UUID, waiting: list["Waiting"]) -> None:
        lock_project(project_id=self.project_id)
        run = Run.objects.get(pk=run_id)
        for one in waiting:
            _note_waiting(run, one)

    def _reaches(self, fork: "Waiting") -> bool:
        """Whether the file tells all that the fork shares; one that was cut short does not yet."""
        return fork.parent != self.survey.thread or self.last_ordinal >= fork.before - 1

    def _run_of(self, thread: str) -> UUID:
        """The run that a thread starts, and that its forks wait in."""
        return self.run_id or derive_id(self.project_id, FORMAT, thread)

    def _open_branch(self) -> Branch:
        # Two imports of one thread at once would each make a branch.
        lock_project(project_id=self.project_id)
        found = find_branch(self.project_id, self.survey.thread)
        if found is not None:
            return found
        fork = self.survey.fork
        place = find_place(self.project_id, fork) if fork else None
        if fork is not None and place is not None:
            self._check_run(place.branch.run_id)
            run = Run.objects.get(pk=place.branch.run_id)
            if fork.parent in {one.thread for one in _waiting(run)}:
                _note_waiting(run, Waiting(self.survey.thread, fork.parent, fork.before))
            return self._fork_at(place)
        root = fork.parent if fork else self.survey.thread
        # A parent that is here may wait itself, for what this thread shares with it.
        parent = find_branch(self.project_id, fork.parent) if fork else None
        run = parent.run if parent is not None else self._open_run(self._run_of(root))
        trunk = run.branches.get(number=0)
        if fork is not None:
            return self._fork_waiting(run, trunk, fork)
        return trunk if self._takes_trunk(run) else self._fork_at(Place(trunk, 1))

    def _takes_trunk(self, run: Run) -> bool:
        """Whether the trunk was started for this thread, and not by whoever named the run."""
        return bool(run.metadata.get("thread") == self.survey.thread)

    def _open_run(self, run_id: UUID) -> Run:
        survey = self.survey
        root = survey.fork.parent if survey.fork else survey.thread
        run = Run.objects.filter(pk=run_id).first()
        if run is None:
            run, _ = start_run(
                project_id=self.project_id,
                actor=self.actor,
                right=Right.IMPORT,
                run_id=run_id,
                goal=survey.goal or f"Codex thread {root[:13]}",
                agent="Codex",
                model=survey.model,
                metadata={"format": FORMAT, "thread": root},
                origin=f"{self.file.name[:100]}, thread {root[:60]}",
            )
        elif self._takes_trunk(run) and survey.goal:
            # A fork that came first had only its own words for it.
            run.goal = survey.goal
            run.save(update_fields=["goal"])
        return run

    def _fork_at(self, place: Place, why: str = "") -> Branch:
        return fork_off(
            parent=place.branch,
            fork_seq=place.seq,
            actor=self.actor,
            name=f"thread {self.survey.thread[:13]}",
            why=why or f"imported from {self.file.name}",
        )

    def _fork_waiting(self, run: Run, trunk: Branch, fork: Fork) -> Branch:
        self.tally.skipped[f"its parent {fork.parent[:60]} is not here yet; it waits for it"] += 1
        why = f"imported from {self.file.name}; what it shares with its parent is not here yet"
        _note_waiting(run, Waiting(self.survey.thread, fork.parent, fork.before))
        return self._fork_at(Place(trunk, 1), why)

    @transaction.atomic
    def _tell_anew(self, fork: "Waiting") -> bool:
        lock_project(project_id=self.project_id)
        first = find_branch(self.project_id, fork.thread)
        place = find_place(self.project_id, Fork(fork.parent, fork.before))
        if first is None or place is None or _meta_event(self.project_id, fork.thread, anew=True):
            return False
        why = f"told anew from {first.label}, now that its parent is here"
        branch = fork_off(
            parent=place.branch, fork_seq=place.seq, actor=self.actor, name=first.name, why=why
        )
        last, moment = None, EPOCH
        for drafts in _batches_of(first):
            append_drafts(branch=branch, drafts=drafts, tally=self.tally)
            last, moment = drafts[-1].event_id, drafts[-1].ts
        if last is not None:
            _finish(branch, fork.thread, moment, last)
        if Status(first.status) not in ENDED:
            reason = f"It is told anew on {branch.label}, after what it shares with its parent."
            abandon_branch(branch_id=first.pk, actor=SYSTEM, reason=reason)
        self.tally.branches += 1
        self.tally.touch_run(branch.run_id)
        return True


def _batches_of(branch: Branch) -> Iterator[list[Draft]]:
    """What an import told on the branch, under new ids."""
    rows = Event.objects.of_branch(branch).filter(source=SOURCE).exclude(type=terms.RUN_FINISHED)
    for batch in batched(rows.order_by("seq").iterator(COPIED_ROWS), COPIED_ROWS):
        yield [
            Draft(row.type, SOURCE, row.ts, payload_of(row), _anew(row.event_id)) for row in batch
        ]


def _finish(branch: Branch, thread: str, moment: datetime, last: UUID) -> None:
    finish_branch(
        branch=branch,
        source=SOURCE,
        event_id=derive_id(branch.project_id, FORMAT, thread, "finished", last),
        ts=moment,
        payload={"outcome": "imported", "session": thread},
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    thread: str
    parent: str
    before: int


def _waiting(run: Run | None) -> Iterator[Waiting]:
    """Forks that were told before their parent. Metadata is also a client's to give."""
    kept = run.metadata.get("waiting") if run else None
    for thread, told in kept.items() if isinstance(kept, dict) else ():
        parent = told.get("parent") if isinstance(told, dict) else None
        before = whole(told.get("before")) if isinstance(told, dict) else None
        if isinstance(parent, str) and before is not None:
            yield Waiting(thread, parent, before)


def _note_waiting(run: Run, fork: Waiting) -> None:
    kept = run.metadata.get("waiting")
    noted = {fork.thread: {"parent": fork.parent, "before": fork.before}}
    waiting = {**(kept if isinstance(kept, dict) else {}), **noted}
    run.metadata = {**run.metadata, "waiting": waiting}
    run.save(update_fields=["metadata"])


def _meta_event(project_id: UUID, thread: str, *, anew: bool) -> Event | None:
    return find_event(project_id, _Ids(project_id, thread, anew).of("meta"))


def find_branch(project_id: UUID, thread: str) -> Branch | None:
    """The branch that tells the thread: where it was told anew, else where it was first."""
    for anew in (True, False):
        found = _meta_event(project_id, thread, anew=anew)
        if found is not None:
            return Branch.objects.select_related("run").get(pk=found.branch_id)
    return None


def find_place(project_id: UUID, fork: Fork) -> Place | None:
    """The last stored event before the fork's first own ordinal, up the threads it comes from."""
    for _ in range(MAX_PARENTS):
        meta = _meta_event(project_id, fork.parent, anew=True)
        anew = meta is not None
        meta = meta or _meta_event(project_id, fork.parent, anew=False)
        if meta is None:
            return None
        found = _last_before(_Ids(project_id, fork.parent, anew), fork.before)
        if found is not None:
            return Place(found.branch, found.seq)
        said = payload_of(meta)
        parent, before = said.get("forked_from"), whole(said.get("before"))
        if not isinstance(parent, str) or before is None:
            return Place(meta.branch, meta.seq)
        fork = Fork(parent, min(before, fork.before))
    return None


def _last_before(ids: _Ids, before: int) -> Event | None:
    """Not every ordinal is stored, so some are looked back over."""
    wanted = [ids.of(ordinal) for ordinal in range(max(before - LOOKED_BACK, 0), before)]
    rows = Event.objects.filter(project_id=ids.project, event_id__in=wanted)
    return rows.select_related("branch").order_by("-seq").first()


def _why_kept(record: Record) -> str:
    if not record.line.whole:
        return f"line {record.line.number} is too long; its start is kept"
    if record.fields is None:
        return f"line {record.line.number} is torn or no JSON object; kept as it is"
    named = f"{record.kind} {record.what}".strip()[:60] or "unknown"
    return f"records of type {named!r}; kept as they are"
