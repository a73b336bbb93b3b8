import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from branches.domain import terms
from branches.domain.terms import Status
from branches.intake.codex import SOURCE
from branches.models import Branch, Event, Import, Run
from branches.selectors.context import rehydrate
from branches.selectors.events import payload_of
from branches.selectors.lineage import iter_lineage
from tests.branches.intake.conftest import FIXTURES, WriteFile
from tests.branches.intake.conftest import Import as RunImport
from tests.make import make_run
from verel_site.access.models import Project
from verel_site.audit.models import AuditEntry

ROLLOUT = FIXTURES / "codex_rollout.jsonl"
FORK = FIXTURES / "codex_rollout.fork.jsonl"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def line(kind: str, ordinal: int | None = None, **payload: Any) -> str:
    told = {"timestamp": "2026-11-20T12:00:00.000Z", "type": kind, "payload": payload}
    return json.dumps(told if ordinal is None else {**told, "ordinal": ordinal})


def meta(thread: str, ordinal: int = 0, **more: Any) -> str:
    return line("session_meta", ordinal, id=thread, **more)


def said(role: str, text: str, ordinal: int | None = None) -> str:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return line("response_item", ordinal, type="message", role=role, content=content)


def item(ordinal: int, kind: str, **fields: Any) -> str:
    return line("response_item", ordinal, type=kind, **fields)


def data_of(branch: Branch) -> list[str]:
    return [event.type for event in iter_lineage(branch) if event.type.startswith("data.")]


def told_by(project: Project) -> list[dict[str, Any]]:
    rows = Event.objects.filter(project=project, source=SOURCE, type__startswith="data.")
    return [payload_of(row) for row in rows.order_by("position")]


def test_a_rollout_becomes_a_run_with_messages_thoughts_calls_and_results(
    project: Project, run_import: RunImport
) -> None:
    summary = run_import(ROLLOUT)

    run = Run.objects.get(project=project)
    assert (run.goal, run.agent, run.model) == ("Check the clamp function", "Codex", "gpt-5-codex")
    trunk = run.branches.get()
    assert trunk.status == Status.COMPLETED
    assert data_of(trunk) == [
        "data.message.system",
        "data.message.system",
        "data.message.user",
        "data.message.user",
        "data.thought",
        "data.tool.call",
        "data.usage",
        "data.tool.result",
        "data.message.assistant",
        "data.usage",
    ]
    thought, call, _, result, answer = told_by(project)[4:9]
    assert thought == {"text": "Look at the function first."}
    assert (call["name"], call["arguments"]) == ("exec_command", {"cmd": "cat clamp.py"})
    assert (result["call_id"], result["name"]) == ("call_mock1", "exec_command")
    assert answer == {"content": "clamp() returns the bound nearest to x; no change needed."}
    assert summary.told().startswith("codex_rollout.jsonl: 18 events, 1 branch, in 1 run")
    assert "notes that repeat other records; left out (4)" in summary.skipped


def test_usage_counts_once_for_each_response(project: Project, run_import: RunImport) -> None:
    run_import(ROLLOUT)
    run_import(FORK)

    usages = [p["usage"] for p in told_by(project) if "response_id" in p]
    assert usages == [
        {"uncached": 1550, "cache_read": 0, "cache_write": 0, "output": 30},
        {"uncached": 192, "cache_read": 1408, "cache_write": 0, "output": 30},
        {"uncached": 242, "cache_read": 1408, "cache_write": 0, "output": 30},
    ]
    assert [b.tokens for b in Branch.objects.order_by("number")] == [60, 30]


def test_without_usage_records_the_totals_tell_what_was_counted(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    def count(total: int, last: int) -> str:
        info = {
            "total_token_usage": {"output_tokens": total},
            "last_token_usage": {"input_tokens": 9, "output_tokens": last},
        }
        return line("event_msg", type="token_count", info=info)

    empty = line("event_msg", type="token_count", info=None)
    lines = [meta("t-1"), said("user", "Hi"), empty, count(5, 5), count(5, 5), count(12, 7)]

    run_import(write_file("old.jsonl", "\n".join(lines)))

    outputs = [p["usage"]["output"] for p in told_by(project) if "usage" in p]
    assert outputs == [5, 7]


def current(project: Project) -> Sequence[Branch]:
    branches = Branch.objects.filter(project=project).exclude(status=Status.ABANDONED.value)
    return list(branches.order_by("base"))


@pytest.mark.parametrize("order", [(ROLLOUT, FORK), (FORK, ROLLOUT)])
def test_a_fork_and_its_parent_become_branches_of_one_run_in_either_order(
    project: Project, run_import: RunImport, order: tuple[Path, Path]
) -> None:
    for path in order:
        assert run_import(path).fault == ""

    run = Run.objects.get(project=project)
    trunk, fork = current(project)
    assert (run.goal, trunk.number, fork.parent) == ("Check the clamp function", 0, trunk)
    point = Event.objects.get(branch=trunk, seq=fork.fork_seq or 0)
    assert payload_of(point)["raw"] == ROLLOUT.read_text().splitlines()[20]
    asked = [m["content"] for m in rehydrate(fork).context.messages if m["role"] == "user"]
    assert asked[1:] == ["Check the clamp function", "Now try the other approach"]
    assert {b.status for b in (trunk, fork)} == {Status.COMPLETED}
    before = (Event.objects.count(), AuditEntry.objects.count(), Import.objects.count())
    again = [run_import(path) for path in order]
    assert [(one.events, one.branches) for one in again] == [(0, 0), (0, 0)]
    assert (Event.objects.count(), AuditEntry.objects.count(), Import.objects.count()) == before


def forked(thread: str, ordinal: int, parent: str, before: int) -> str:
    return meta(thread, ordinal, forked_from_id=parent, forked_from_ordinal_exclusive=before)


def family(tail: str) -> dict[str, list[str]]:
    """A thread, a fork of it, a fork of that, and one that shares no more than the first thread."""
    a, b, c, d = (f"{name}-{tail}" for name in "abcd")
    return {
        a: [meta(a), said("user", "Go", 1), said("assistant", "Gone", 2)],
        b: [forked(b, 3, a, 3), said("user", "Again", 4)],
        c: [forked(c, 5, b, 5), said("user", "And again", 6)],
        d: [forked(d, 5, b, 2), said("user", "Otherwise", 6)],
    }


def test_every_order_of_a_family_tells_the_same(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    stories = set()
    for order in permutations(range(4)):
        tail = "".join(map(str, order))
        files = list(family(tail).items())
        for index in order:
            thread, lines = files[index]
            assert run_import(write_file(f"{thread}.jsonl", "\n".join(lines))).fault == ""
        ends = [b for b in current(project) if session_of(b).endswith(tail)]
        assert len({b.run_id for b in ends}) == 1
        stories.add(tuple(sorted((bytes(b.head_digest).hex(), len(data_of(b))) for b in ends)))

    [story] = stories
    assert sorted(count for _, count in story) == [2, 2, 3, 4]


def session_of(branch: Branch) -> str:
    end = Event.objects.filter(branch=branch, type=terms.RUN_FINISHED).last()
    return str(payload_of(end)["session"]) if end else ""


def test_a_fork_that_waited_is_abandoned_with_the_reason(
    project: Project, run_import: RunImport
) -> None:
    waiting = run_import(FORK)
    assert any("it waits for it" in why for why in waiting.skipped)

    summary = run_import(ROLLOUT)

    first = Branch.objects.get(project=project, status=Status.ABANDONED.value)
    entry = AuditEntry.objects.get(action="branch.abandoned")
    assert entry.subject == f"branch:{first.pk}"
    assert "told anew" in entry.reason
    assert (summary.branches, Run.objects.count()) == (2, 1)


def test_a_parent_that_was_cut_short_lets_its_fork_wait(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    lines = ROLLOUT.read_text().splitlines()
    run_import(FORK)

    run_import(write_file("part.jsonl", "\n".join(lines[:12]) + "\n"))
    assert not Branch.objects.filter(status=Status.ABANDONED.value).exists()

    run_import(ROLLOUT)
    trunk, fork = current(project)
    assert fork.parent == trunk
    assert data_of(fork)[: len(data_of(trunk))] == data_of(trunk)


def test_torn_unknown_and_hostile_lines_are_kept_and_never_stop_the_import(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    lines: list[bytes] = [
        meta("t-1").encode(),
        said("user", "Begin", 1).encode(),
        b'{"type":"response_item","ordinal":2,"payload":{"type":"telepathy","x":1}}',
        b'{"type":"response_item","ordinal":"x","payload":7}',
        b'{"type":"response_item","ordinal":3,"payload":{"type":"message","role":["user"]}}',
        b'{"type":"response_item","payload":{"type":"function_call","arguments":"{\\"a\\": NaN}"}}',
        b'{"type":"response_item","payload":{"type":"reasoning","summary":7,"content":[1]}}',
        b'{"type":"response_item","payload":{"type":"function_call_output","output":[7,null]}}',
        b'{"type":"token_usage_record","payload":{"usage":{"input_tokens":-1,"output_tokens":"x"}}}',
        b'{"type":"session_meta","payload":{"id":"another"}}',
        b"\xff\xfe not text",
        b"[1, 2]",
        b'{"type":"response_item","payload":' + b"[" * 500 + b"]" * 500 + b"}",
        said("assistant", "x" * 1_100_000, 20).encode(),
        said("assistant", "End", 21).encode(),
        b'{"timestamp":"2026-11-20T12:00:00.000Z","ordinal":22,"type":"respon',
    ]
    path = write_file("hostile.jsonl", b"\n".join(lines))

    summary = run_import(path)

    assert summary.fault == ""
    assert "line 16 is torn or no JSON object; kept as it is" in summary.skipped
    assert "line 14 is too large or too deep; cut" in summary.skipped
    assert "records of type 'response_item telepathy'; kept as they are" in summary.skipped
    messages = rehydrate(Branch.objects.get(project=project)).context.messages
    assert [m["content"] for m in messages if m["role"] != "assistant"][:1] == ["Begin"]
    assert run_import(path).events == 0


def test_a_torn_line_that_is_whole_the_next_time_is_told(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    lines = [meta("t-1"), said("user", "Begin", 1), said("assistant", "Done", 2)]
    run_import(write_file("t.jsonl", "\n".join(lines)[:-20]))

    summary = run_import(write_file("t.jsonl", "\n".join(lines)))

    assert (summary.events, summary.branches) == (1, 0)
    assert data_of(Branch.objects.get()) == ["data.message.user", "data.message.assistant"]


def test_every_kind_of_call_and_output_is_read(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    failed = "Chunk ID: 1\nProcess exited with code 2\nOutput:\nno"
    old = json.dumps({"output": "no", "metadata": {"exit_code": 1}})
    url = f"data:image/png;base64,{PIXEL}"
    parts = [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": url}]
    lines = [
        meta("t-1"),
        item(1, "message", role="user", content=parts),
        item(2, "custom_tool_call", call_id="c1", name="apply_patch", input="*** Begin"),
        item(3, "custom_tool_call_output", call_id="c1", output="Success"),
        item(4, "local_shell_call", call_id="c2", action={"type": "exec", "command": ["ls", "-a"]}),
        item(5, "function_call_output", call_id="c2", output=old),
        item(6, "function_call", call_id="c3", name="look", arguments="not JSON"),
        item(7, "function_call_output", call_id="c3", output=parts),
        item(8, "function_call_output", call_id="c4", output={"content": "x", "success": False}),
        item(9, "function_call_output", call_id="c5", output=failed),
        item(10, "reasoning", summary=[], encrypted_content="xyz"),
    ]

    run_import(write_file("one.jsonl", "\n".join(lines)))

    image = {"kind": "image", "mime": "image/png", "data": PIXEL}
    seen = [{"kind": "text", "text": "See"}, image]
    assert told_by(project) == [
        {"content": seen},
        {"call_id": "c1", "name": "apply_patch", "arguments": {"input": "*** Begin"}},
        {"call_id": "c1", "content": "Success", "name": "apply_patch"},
        {"call_id": "c2", "name": "local_shell", "arguments": {"type": "exec", "command": "ls -a"}},
        {"call_id": "c2", "content": old, "name": "local_shell", "is_error": True},
        {"call_id": "c3", "name": "look", "arguments": {"arguments": "not JSON"}},
        {"call_id": "c3", "content": seen, "name": "look"},
        {"call_id": "c4", "content": "x", "is_error": True},
        {"call_id": "c5", "content": failed, "is_error": True},
        {"text": "[encrypted]"},
    ]


def test_a_named_run_takes_the_thread_as_a_branch(project: Project, run_import: RunImport) -> None:
    run, trunk = make_run(project)

    for path in (FORK, ROLLOUT):
        assert run_import(path, run_id=run.pk).fault == ""

    assert Run.objects.count() == 1
    thread = Branch.objects.get(run=run, parent=trunk, status=Status.COMPLETED.value)
    assert Branch.objects.filter(parent=thread).count() == 1
    other, _ = make_run(project)
    assert "already" in run_import(ROLLOUT, run_id=other.pk).fault
