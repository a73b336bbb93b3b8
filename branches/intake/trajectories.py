"""OpenAI-chat trajectories: trials of tasks, each a list of chat messages.

Trials that share a prefix become branches of one run, each forked where it truly parts. Ids of
tool calls are drawn by the server that answered, so two trials that differ in them alone are the
same story so far; a branch that forks there goes on with its parent's ids.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

from django.db import transaction

from branches.domain import terms
from branches.domain.divergence import Planned, build_trie
from branches.intake.files import (
    MAX_LINE_BYTES,
    Outcome,
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
    iter_lines,
    record_payload,
    storable,
)
from branches.intake.json_values import TopList, iter_top
from branches.intake.messages import read_message, said_text
from branches.journal import Draft
from branches.models import Branch, Event, Run
from branches.runs import start_run
from branches.selectors.lineage import iter_lineage
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.strict_json import MAX_DEPTH, MalformedJson, decode, encode

FORMAT: Final = "trajectory"
SOURCE: Final = "import:trajectory"
# A list of trials, a trial, its messages: three levels above a message.
DEPTH: Final = MAX_DEPTH + 3
KEPT_RUNS: Final = 64
LOOKED_AT_BYTES: Final = 64 * 1024
BOM: Final = b"\xef\xbb\xbf"
MAX_FIGURE: Final = 10**15


class BadTrial(Exception):
    """Why one trial is left out, in words; the others are read."""


@dataclass(frozen=True)
class Trial:
    """One conversation. `task` and `number` are empty where the file does not name them."""

    at: str
    task: str
    number: str
    messages: list[Any]
    info: dict[str, Any]
    reward: float | None
    tools: list[Any]


@dataclass
class Told:
    """Steps as the journal holds them. `keys` identify the content of each, without the ids of
    calls; `calls` are those ids in order, `counts` how many there are up to and with each step."""

    keys: list[bytes] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    _ordinals: dict[str, str] = field(default_factory=dict)

    def add(self, event_type: str, payload: dict[str, Any]) -> None:
        named = _with_ids(payload, self._number, self._ordinals.get)
        self.keys.append(hashlib.sha256(event_type.encode() + b"\0" + encode(named)).digest())
        self.counts.append(len(self.calls))

    def _number(self, call_id: str) -> str:
        self.calls.append(call_id)
        self._ordinals[call_id] = f"#{len(self.calls)}"
        return self._ordinals[call_id]


@dataclass
class StoredPath(Told):
    """A trial that is stored: where each of its steps lies, as branch and seq."""

    places: list[tuple[UUID, int]] = field(default_factory=list)


def _with_ids(payload: dict[str, Any], call: Any, answer: Any) -> dict[str, Any]:
    """The payload with the ids of its calls and of its answer put through the two functions."""
    calls = payload.get("tool_calls")
    if calls:
        payload = {**payload, "tool_calls": [{**one, "id": call(one["id"])} for one in calls]}
    if "call_id" in payload:
        told = payload["call_id"]
        payload = {**payload, "call_id": answer(told) or told}
    return payload


def import_trajectories(
    *,
    file: TranscriptFile,
    project_id: UUID,
    actor: Actor,
    tally: Tally,
    run_id: UUID | None = None,
    progress: Progress | None = None,
) -> None:
    """Reads every trial of the file; each is stored whole or not at all, and only once."""
    desk = _Desk(file.name, project_id, actor, tally, run_id)
    found = False
    for item, at, done, total in _iter_items(file.path):
        found = True
        try:
            if isinstance(item, MalformedJson):
                raise BadTrial(f"{at} is not JSON")
            desk.store(read_trial(item, at))
        except BadTrial as fault:
            tally.skipped[str(fault)] += 1
        if progress:
            progress(done, total)
    if not found:
        raise Unreadable("The file holds no trial: its list is empty.")
    if not tally.runs:
        raise Unreadable(f"It holds nothing that can be read: {next(iter(tally.skipped))}.")


def _iter_items(path: Path) -> Iterator[tuple[Any, str, int, int]]:
    """`(item, where, done, total)`: one item in memory at a time, `done` and `total` in bytes."""
    size = path.stat().st_size
    if not is_json_lines(path):
        items = _iter_document(path, size)
        for number, (one, done) in enumerate(items, start=1):
            yield one, f"trial {number}", done, size
        return
    for line in iter_lines(path):
        item: Any
        try:
            item = decode(line.raw, max_depth=DEPTH)
        except MalformedJson as error:
            item = error
        yield item, f"line {line.number}", line.offset, size


def _iter_document(path: Path, size: int) -> Iterator[tuple[Any, int]]:
    """The trials of a document. A list of messages is one; nearly always there is one list."""
    for value, reader in iter_top(path, max_depth=DEPTH):
        if not isinstance(value, TopList):
            yield value, reader.done
            continue
        elements = iter(value)
        first = next(elements, None)
        if _is_message(first):
            if size > MAX_LINE_BYTES:
                most = MAX_LINE_BYTES // 1024 // 1024
                raise Unreadable(f"One list of messages takes at most {most} MB.")
            yield [first, *elements], reader.done
        elif first is not None:
            yield first, reader.done
            for one in elements:
                yield one, reader.done


def is_json_lines(path: Path) -> bool:
    """Whether the first line is a JSON value, or long and an object, and another line follows it."""
    with path.open("rb") as file:
        head = file.readline(LOOKED_AT_BYTES)
        while head and not head.removeprefix(BOM).strip():
            head = file.readline(LOOKED_AT_BYTES)
        if head.endswith(b"\n"):
            return _is_json(head) and _goes_on(file)
        while (piece := file.readline(LOOKED_AT_BYTES)) and not piece.endswith(b"\n"):
            pass
        return head.removeprefix(BOM).lstrip().startswith(b"{") and _goes_on(file)


def _is_json(line: bytes) -> bool:
    try:
        decode(line, max_depth=DEPTH)
    except MalformedJson:
        return False
    return True


def _goes_on(file: IO[bytes]) -> bool:
    while piece := file.read(LOOKED_AT_BYTES):
        if piece.strip():
            return True
    return False


def _is_message(item: object) -> bool:
    return isinstance(item, dict) and "role" in item


def read_trial(item: object, at: str) -> Trial:
    """A trial object, `{"messages": [...]}`, or a bare list of messages; raises BadTrial."""
    fields: dict[str, Any] = item if isinstance(item, dict) else {"messages": item}
    messages = fields.get("traj", fields.get("messages"))
    if not isinstance(messages, list) or not messages:
        raise BadTrial(f"{at} has no list of messages")
    if not all(isinstance(message, dict) for message in messages):
        raise BadTrial(f"{at} has a message that is no object")
    info, tools, reward = fields.get("info"), fields.get("tools"), fields.get("reward")
    return Trial(
        at=at,
        task=_name(fields.get("task_id")),
        number=_name(fields.get("trial")),
        messages=messages,
        info=info if isinstance(info, dict) else {},
        reward=_figure(reward),
        tools=tools if isinstance(tools, list) else [],
    )


def _figure(value: object) -> float | None:
    """A number that JSON may hold and a float can."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) <= MAX_FIGURE else None


def _name(value: object) -> str:
    return str(value)[:80] if isinstance(value, str | int) and not isinstance(value, bool) else ""


class _Desk:
    """Stores the trials of one file, and remembers the paths of the runs that it lately used."""

    def __init__(
        self, name: str, project_id: UUID, actor: Actor, tally: Tally, run_id: UUID | None
    ) -> None:
        self.name, self.project_id, self.actor = name, project_id, actor
        self.tally, self.run_id = tally, run_id
        self.paths: dict[UUID, list[StoredPath]] = {}

    def store(self, trial: Trial) -> None:
        steps, told = self._read_steps(trial)
        run_id = self.run_id or derive_id(self.project_id, FORMAT, *_run_key(trial, steps, told))
        content = hashlib.sha256(b"".join(told.keys)).hexdigest()
        key = (run_id, trial.number, content)
        try:
            with transaction.atomic():
                finished = self._store_once(trial, steps, told, run_id, key)
        except Exception:
            self.paths.pop(run_id, None)
            raise
        self._note(trial, run_id, finished)

    def _store_once(
        self,
        trial: Trial,
        steps: Sequence[tuple[str, dict[str, Any]]],
        told: Told,
        run_id: UUID,
        key: tuple[object, ...],
    ) -> Event:
        """The event that ends the trial's branch, written now or by an earlier import."""
        # Two imports of one file at once would both find nothing stored.
        lock_project(project_id=self.project_id)
        finish_id = derive_id(*key, "finished")
        done = find_event(self.project_id, finish_id)
        if done is not None:
            self.tally.duplicates += len(steps)
            return done
        self._write(trial, steps, told, run_id, key)
        finished = find_event(self.project_id, finish_id)
        assert finished is not None
        return finished

    def _read_steps(self, trial: Trial) -> tuple[list[tuple[str, dict[str, Any]]], Told]:
        steps, told = [], Told()
        for index, message in enumerate(trial.messages, start=1):
            step = read_message(message)
            if step is None or not storable(step[1]):
                reason = "has an unknown role" if step is None else "is too large or too deep"
                self.tally.skipped[f"{trial.at}: message {index} {reason}; kept as it is"] += 1
                raw = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
                step = terms.UNKNOWN_RECORD, record_payload(format=FORMAT, line=index, raw=raw)
            steps.append(step)
            told.add(*step)
        return steps, told

    def _note(self, trial: Trial, run_id: UUID, finished: Event) -> None:
        self.tally.touch_run(run_id)
        if trial.reward is None:
            return
        self.tally.outcomes.append(
            Outcome(
                branch=finished.branch_id,
                head_digest=bytes(finished.digest),
                reward=trial.reward,
                test_id=f"task {trial.task}" if trial.task else "task",
                message="" if trial.reward >= 1 else _tell_failure(trial),
            )
        )

    def _write(
        self,
        trial: Trial,
        steps: Sequence[tuple[str, dict[str, Any]]],
        told: Told,
        run_id: UUID,
        key: tuple[object, ...],
    ) -> None:
        run, trunk, fresh = self._open_run(trial, run_id)
        paths = self._paths_of(run)
        plan = build_trie([*(path.keys for path in paths), told.keys])[-1]
        branch = trunk if fresh else self._fork(trial, trunk, paths, plan)
        self.tally.branches += 1
        if fresh:
            Branch.objects.filter(pk=trunk.pk).update(name=_branch_name(trial))
        ids = _parents_ids(paths, plan, told)
        drafts = [
            Draft(
                steps[index][0],
                SOURCE,
                run.created_at,
                _with_ids(steps[index][1], lambda own: own, ids.get),
                derive_id(*key, index),
            )
            for index in plan.own
        ]
        seqs = append_drafts(branch=branch, drafts=drafts, tally=self.tally)
        self._remember(paths, plan, told, branch, seqs)
        finish_branch(
            branch=branch,
            source=SOURCE,
            event_id=derive_id(*key, "finished"),
            ts=run.created_at,
            payload=_finish_payload(trial),
        )

    def _open_run(self, trial: Trial, run_id: UUID) -> tuple[Run, Branch, bool]:
        """The run, its trunk, and whether it was started just now."""
        run = Run.objects.filter(pk=run_id).first()
        if run is not None:
            return run, run.branches.get(number=0), False
        named = f", task {trial.task}" if trial.task else ""
        run, trunk = start_run(
            project_id=self.project_id,
            actor=self.actor,
            right=Right.IMPORT,
            run_id=run_id,
            goal=_goal(trial),
            spec={"tools": trial.tools} if trial.tools else {},
            metadata={"format": FORMAT, **({"task_id": trial.task} if trial.task else {})},
            origin=f"{self.name[:100]}{named}",
        )
        return run, trunk, True

    def _paths_of(self, run: Run) -> list[StoredPath]:
        if run.pk not in self.paths:
            if len(self.paths) >= KEPT_RUNS:
                self.paths.clear()
            self.paths[run.pk] = read_paths(run)
        return self.paths[run.pk]

    def _fork(
        self, trial: Trial, trunk: Branch, paths: Sequence[StoredPath], plan: Planned
    ) -> Branch:
        if plan.parent is None or plan.fork_at == 0:
            parent, seq = trunk, 1  # nothing is shared but that the run began
        else:
            branch_id, seq = paths[plan.parent].places[plan.fork_at - 1]
            parent = trunk if branch_id == trunk.pk else Branch.objects.get(pk=branch_id)
        return fork_off(
            parent=parent,
            fork_seq=seq,
            actor=self.actor,
            name=_branch_name(trial),
            why=f"imported from {self.name}",
        )

    def _remember(
        self,
        paths: list[StoredPath],
        plan: Planned,
        told: Told,
        branch: Branch,
        seqs: Sequence[int],
    ) -> None:
        shared = [] if plan.parent is None else paths[plan.parent].places[: plan.fork_at]
        calls = [*told.calls]
        if plan.parent is not None:
            count = _calls_before(told, plan.fork_at)
            calls[:count] = paths[plan.parent].calls[:count]
        places = [*shared, *((branch.pk, seq) for seq in seqs)]
        paths.append(StoredPath(told.keys, calls, told.counts, places=places))


def _calls_before(told: Told, steps: int) -> int:
    return told.counts[steps - 1] if steps else 0


def _parents_ids(paths: Sequence[StoredPath], plan: Planned, told: Told) -> dict[str, str]:
    """The trial's ids of calls that it shares, by those that the parent tells for them."""
    if plan.parent is None:
        return {}
    count = _calls_before(told, plan.fork_at)
    later = set(told.calls[count:])
    pairs = zip(told.calls[:count], paths[plan.parent].calls[:count], strict=True)
    return {own: parents for own, parents in pairs if own not in later}


def read_paths(run: Run) -> list[StoredPath]:
    """The stored trials of a run in the order of their import, each up to where it finished."""
    ends = Event.objects.filter(run=run, type=terms.RUN_FINISHED, source=SOURCE)
    paths = []
    for end in ends.select_related("branch").order_by("position"):
        path = StoredPath()
        for event in iter_lineage(end.branch, upto=end.seq, inline=True):
            if event.source == SOURCE and event.type != terms.RUN_FINISHED:
                path.add(event.type, dict(event.payload))
                path.places.append((event.branch, event.seq))
        paths.append(path)
    return paths


def _run_key(
    trial: Trial, steps: Sequence[tuple[str, dict[str, Any]]], told: Told
) -> tuple[str, ...]:
    """What makes trials one run: the task and how it opens, or all up to the first user message."""
    if trial.task:
        return "task", trial.task, told.keys[0].hex()
    roles = [step[0] for step in steps]
    first = roles.index(terms.USER) if terms.USER in roles else len(roles) - 1
    return "opening", hashlib.sha256(b"".join(told.keys[: first + 1])).hexdigest()


def _goal(trial: Trial) -> str:
    for message in trial.messages:
        step = read_message(message)
        text = said_text(step[1].get("content")) if step and step[0] == terms.USER else ""
        if text.strip():
            return cut_goal(text)
    task = trial.info.get("task")
    instruction = task.get("instruction") if isinstance(task, dict) else None
    return cut_goal(instruction) if isinstance(instruction, str) else "Imported conversation"


def _branch_name(trial: Trial) -> str:
    return f"trial {trial.number}" if trial.number else ""


def _finish_payload(trial: Trial) -> dict[str, Any]:
    payload: dict[str, Any] = {"outcome": "imported"}
    if trial.reward is not None:
        payload["reward"] = trial.reward
    named = {"task_id": trial.task, "trial": trial.number}
    return payload | {name: value for name, value in named.items() if value}


def _tell_failure(trial: Trial) -> str:
    reward = f"The trial earned a reward of {trial.reward:g} of 1."
    told = trial.info.get("reward_info")
    parts = told.get("info") if isinstance(told, dict) else None
    scores = {
        name: figure
        for name, value in (parts.items() if isinstance(parts, dict) else ())
        if (figure := _figure(value)) is not None
    }
    error = trial.info.get("error")
    words = [f"{name} is {value:g}" for name, value in scores.items()]
    words += [error] if isinstance(error, str) and error.strip() else []
    return f"{reward} {', '.join(words)}."[:2000] if words else reward
