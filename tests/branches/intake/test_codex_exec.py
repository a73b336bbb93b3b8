import json
from typing import Any

from branches.domain.terms import Status
from branches.intake.codex_exec import SOURCE
from branches.models import Branch, Event, Run
from branches.selectors.events import payload_of
from tests.branches.intake.conftest import FIXTURES, WriteFile
from tests.branches.intake.conftest import Import as RunImport
from tests.make import make_run
from verel_site.access.models import Project

STREAM = FIXTURES / "codex_exec_events.jsonl"
ROLLOUT = FIXTURES / "codex_rollout.jsonl"


def told_by(project: Project) -> list[tuple[str, dict[str, Any]]]:
    rows = Event.objects.filter(project=project, source=SOURCE).order_by("position")
    return [(row.type, payload_of(row)) for row in rows]


def test_the_printed_events_become_a_run_of_their_own(
    project: Project, run_import: RunImport
) -> None:
    run_import(ROLLOUT)
    summary = run_import(STREAM)

    branch = Branch.objects.get(run=summary.runs[0])
    assert (Run.objects.count(), branch.status, branch.tokens) == (2, Status.COMPLETED, 60)
    kinds = [kind for kind, _ in told_by(project)]
    assert kinds == [
        "harness.import.record",
        "harness.error",
        "harness.import.record",
        "data.thought",
        "data.tool.call",
        "data.tool.result",
        "data.message.assistant",
        "data.usage",
        "harness.run.finished",
    ]
    again = run_import(STREAM)
    assert (again.events, again.branches, again.fault) == (0, 0, "")


def test_failed_calls_and_turns_are_told_as_such(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    call = {"type": "mcp_tool_call", "id": "i1", "server": "db", "tool": "ask", "arguments": [1]}
    items = [
        {"type": "command_execution", "id": "i0", "command": "false", "exit_code": 1},
        {**call, "error": {"message": "down"}},
        {"type": "file_change", "id": "i2", "changes": [{"path": "a"}], "status": "completed"},
        {"type": "novel"},
    ]
    lines: list[Any] = [{"type": "thread.started", "thread_id": "t-1"}]
    lines += [{"type": "item.completed", "item": item} for item in items]
    lines += [{"type": "turn.failed", "error": {"message": "No more"}}]
    text = "\n".join([*(json.dumps(one) for one in lines), '{"type":"item.comp'])

    summary = run_import(write_file("exec.jsonl", text))

    results = [p for kind, p in told_by(project) if kind == "data.tool.result"]
    assert [p.get("is_error", False) for p in results] == [True, True, False]
    assert ("harness.error", {"message": "No more"}) in told_by(project)
    assert "records of type 'item.completed'; kept as they are" in summary.skipped
    assert "line 7 is torn or no JSON object; kept as it is" in summary.skipped


def test_a_named_run_takes_them_once(project: Project, run_import: RunImport) -> None:
    run, _ = make_run(project)

    assert run_import(STREAM, run_id=run.pk).branches == 1
    assert run_import(STREAM, run_id=run.pk).branches == 0
