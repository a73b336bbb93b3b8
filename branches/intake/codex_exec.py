"""The events that `codex exec --json` prints: what the agent did, without what it was asked.

They name a thread but no times: each is told at the time when its run was first read in. The
thread's own rollout tells more; the two are kept as runs of their own.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from branches.domain import terms
from branches.domain.events import compact_json, text_of
from branches.intake.codex_items import Record, read_usage, whole
from branches.intake.files import (
    Batch,
    Progress,
    Tally,
    TranscriptFile,
    Unreadable,
    derive_id,
    finish_branch,
    fork_off,
    record_payload,
    storable,
    store_fresh,
)
from branches.intake.records import Part, iter_records
from branches.journal import Draft
from branches.models import Branch, Run
from branches.runs import start_run
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right

FORMAT: Final = "codex-exec"
SOURCE: Final = "import:codex-exec"
LOOKED_AT: Final = 50


def import_exec(
    *,
    file: TranscriptFile,
    project_id: UUID,
    actor: Actor,
    tally: Tally,
    run_id: UUID | None = None,
    progress: Progress | None = None,
) -> None:
    """Reads the file line by line; each batch is stored whole or not at all."""
    thread = find_thread(file)
    with transaction.atomic():
        branch = _open_branch(file, project_id, actor, tally, thread, run_id)
    tally.touch_run(branch.run_id)
    size, last, moment = file.path.stat().st_size, None, branch.created_at
    batch = Batch()
    for record in iter_records(file, Record):
        batch.add(record.line, _drafts_of(record, project_id, thread, moment, tally))
        if batch.full:
            last = store_fresh(branch=branch, drafts=batch.take(), tally=tally)
            if progress:
                progress(record.line.offset, size)
    last = store_fresh(branch=branch, drafts=batch.take(), tally=tally) or last
    finish_branch(
        branch=branch,
        source=SOURCE,
        event_id=derive_id(project_id, FORMAT, thread, "finished", last),
        ts=moment,
        payload={"outcome": "imported", "session": thread},
    )
    if progress:
        progress(size, size)


def find_thread(file: TranscriptFile) -> str:
    for record, _ in zip(iter_records(file, Record), range(LOOKED_AT), strict=False):
        thread = record.fields.get("thread_id") if record.fields else None
        if record.kind == "thread.started" and isinstance(thread, str) and thread:
            return thread[:200]
    raise Unreadable("No thread.started record of the file names its thread.")


def _open_branch(
    file: TranscriptFile,
    project_id: UUID,
    actor: Actor,
    tally: Tally,
    thread: str,
    run_id: UUID | None,
) -> Branch:
    # Two imports of one file at once would each make a branch.
    lock_project(project_id=project_id)
    own_id = run_id or derive_id(project_id, FORMAT, thread)
    run = Run.objects.filter(pk=own_id).first()
    branch_name = f"exec {thread[:13]}"
    if run is not None and run_id is None:
        return run.branches.get(number=0)
    if run is not None:
        kept = run.branches.filter(name=branch_name, forked_by=actor.name).first()
        if kept is not None:
            return kept
    tally.branches += 1
    if run is not None:
        trunk = run.branches.get(number=0)
        why = f"imported from {file.name}"
        return fork_off(parent=trunk, fork_seq=1, actor=actor, name=branch_name, why=why)
    _, trunk = start_run(
        project_id=project_id,
        actor=actor,
        right=Right.IMPORT,
        run_id=own_id,
        goal=f"codex exec, thread {thread[:13]}",
        agent="Codex",
        metadata={"format": FORMAT, "thread": thread},
        origin=f"{file.name[:100]}, thread {thread[:60]}",
    )
    if run_id is not None:
        Branch.objects.filter(pk=trunk.pk).update(name=branch_name, forked_by=actor.name)
    return trunk


def _drafts_of(
    record: Record, project_id: UUID, thread: str, moment: datetime, tally: Tally
) -> Iterator[Draft]:
    fields = record.fields
    if fields is not None and record.kind in ("item.started", "item.updated"):
        tally.skipped["items that had not come to their end; left out"] += 1
        return
    raw = record_payload(format=FORMAT, line=record.line.number, raw=record.line.raw)
    parts = read_parts(fields) if fields is not None else []
    if not parts:
        tally.skipped[_why_kept(record)] += 1
    sha256 = hashlib.sha256(record.line.raw).hexdigest()
    for index, part in enumerate(parts or [(terms.UNKNOWN_RECORD, raw)]):
        if not storable(part[1]):
            tally.skipped[f"line {record.line.number} is too large or too deep; cut"] += 1
            part = terms.UNKNOWN_RECORD, raw
        event_id = derive_id(project_id, FORMAT, thread, record.line.number, sha256, index)
        yield Draft(part[0], SOURCE, moment, part[1], event_id)


def _why_kept(record: Record) -> str:
    if record.fields is None:
        return f"line {record.line.number} is torn or no JSON object; kept as it is"
    return f"records of type {record.kind[:60] or 'unknown'!r}; kept as they are"


def read_parts(fields: Mapping[str, Any]) -> list[Part]:
    kind, item = fields.get("type"), fields.get("item")
    if kind == "item.completed" and isinstance(item, dict):
        return _read_item(item)
    if kind == "turn.completed":
        usage = read_usage(fields.get("usage"))
        return [(terms.USAGE, {"usage": usage})] if usage else []
    if kind in ("error", "turn.failed"):
        fault = fields.get("error")
        message = fault.get("message") if isinstance(fault, dict) else fields.get("message")
        return [(terms.ERROR, {"message": text_of(message)})]
    return []


def _read_item(item: Mapping[str, Any]) -> list[Part]:
    kind = item.get("type")
    if kind == "agent_message":
        return [(terms.ASSISTANT, {"content": text_of(item.get("text"))})]
    if kind == "reasoning":
        return [(terms.THOUGHT, {"text": text_of(item.get("text"))})]
    if kind == "error":
        return [(terms.ERROR, {"message": text_of(item.get("message"))})]
    if kind == "command_execution":
        output = text_of(item.get("aggregated_output"))
        failed = (whole(item.get("exit_code")) or 0) > 0
        return _call(item, "command_execution", {"command": item.get("command")}, output, failed)
    if kind == "file_change":
        failed = item.get("status") == "failed"
        outcome = text_of(item.get("status"))
        return _call(item, "file_change", {"changes": item.get("changes")}, outcome, failed)
    if kind == "mcp_tool_call":
        name = f"{text_of(item.get('server'))}.{text_of(item.get('tool'))}"
        given, error = item.get("arguments"), item.get("error")
        arguments = given if isinstance(given, dict) else {"arguments": given}
        result = item.get("result") if error is None else error
        return _call(item, name, arguments, compact_json(result), error is not None)
    return []


def _call(
    item: Mapping[str, Any], name: str, arguments: dict[str, Any], output: str, failed: bool
) -> list[Part]:
    call_id = text_of(item.get("id"))
    call = {"call_id": call_id, "name": name, "arguments": arguments}
    result: dict[str, Any] = {"call_id": call_id, "content": output, "name": name}
    told = {**result, "is_error": True} if failed else result
    return [(terms.TOOL_CALL, call), (terms.TOOL_RESULT, told)]
