import base64
import json
from pathlib import Path
from typing import Any

import pytest

from branches.domain import terms
from branches.domain.terms import Status
from branches.intake.claude_lanes import SOURCE
from branches.models import Blob, Branch, Event, Import, Run
from branches.selectors.context import rehydrate
from branches.selectors.events import payload_of
from branches.selectors.lineage import iter_lineage
from tests.branches.intake.conftest import FIXTURES, WriteFile
from tests.branches.intake.conftest import Import as RunImport
from tests.make import make_run
from verel_site.access.models import Project
from verel_site.audit.models import AuditEntry

SESSION = FIXTURES / "claude_code.jsonl"
FORK = FIXTURES / "claude_code.fork.jsonl"


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def record(number: int, kind: str, content: Any, **extra: Any) -> str:
    message = {"role": kind, "content": content, **extra.pop("message", {})}
    fields = {
        "type": kind,
        "uuid": f"00000000-0000-4000-8000-{number:012d}",
        "sessionId": "s-1",
        "timestamp": f"2026-11-20T12:00:{number:02d}.000Z",
        "message": message,
    }
    return json.dumps({**fields, **extra})


def types_of(branch: Branch) -> list[str]:
    rows = Event.objects.filter(branch=branch).order_by("seq")
    return list(rows.values_list("type", flat=True))


def test_a_session_becomes_a_run_with_messages_calls_and_results(
    project: Project, run_import: RunImport
) -> None:
    summary = run_import(SESSION)

    run = Run.objects.get(project=project)
    assert (run.goal, run.agent, run.model) == (
        "Check the clamp function",
        "Claude Code",
        "claude-sonnet-4-5",
    )
    trunk = run.branches.get()
    assert trunk.status == Status.COMPLETED
    data = [event for event in iter_lineage(trunk) if event.type.startswith("data.")]
    assert [event.type for event in data] == [
        "data.message.user",
        "data.message.assistant",
        "data.tool.call",
        "data.tool.result",
        "data.message.assistant",
    ]
    assert data[2].payload["arguments"] == {
        "command": "cat clamp.py",
        "description": "Show clamp.py",
    }
    assert data[3].payload["name"] == "Bash"
    assert data[0].ts.isoformat() == "2026-11-21T01:36:46.830000+00:00"
    assert summary.told().startswith("claude_code.jsonl: 10 events, 1 branch, in 1 run")


def test_records_that_are_no_message_are_kept_and_counted(
    project: Project, run_import: RunImport
) -> None:
    summary = run_import(SESSION)

    kept = Event.objects.filter(project=project, type=terms.UNKNOWN_RECORD).order_by("seq")
    payloads = [payload_of(row) for row in kept]
    assert [payload["line"] for payload in payloads] == [1, 2, 4, 5, 10]
    assert payloads[0]["raw"] == lines_of(SESSION)[0]
    assert "records of type 'attachment'; kept as they are (2)" in summary.skipped


def test_the_usage_of_a_message_counts_once_over_its_records(
    project: Project, run_import: RunImport
) -> None:
    run_import(SESSION)

    rows = [payload_of(row) for row in Event.objects.filter(project=project, source=SOURCE)]
    usages = [payload["usage"] for payload in rows if "usage" in payload]
    assert usages == [
        {"uncached": 12, "cache_read": 0, "cache_write": 900, "output": 21},
        {"uncached": 12, "cache_read": 900, "cache_write": 40, "output": 21},
    ]
    assert Branch.objects.get(project=project).tokens == 42


def test_a_fork_shares_what_it_copied_and_tells_the_rest(
    project: Project, run_import: RunImport
) -> None:
    run_import(SESSION)

    summary = run_import(FORK)

    trunk, fork = Branch.objects.filter(project=project).order_by("number")
    point = Event.objects.get(branch=trunk, seq=fork.fork_seq or 0)
    assert payload_of(point)["content"].startswith("clamp() returns the bound")
    assert (summary.branches, summary.duplicates, fork.status) == (1, 7, Status.COMPLETED)
    assert not fork.claimable
    said = [m["content"] for m in rehydrate(fork).context.messages if m["role"] == "user"]
    assert said == ["Check the clamp function", "Now try the other approach"]
    assert types_of(fork)[0] == terms.FORKED


def test_importing_both_twice_changes_nothing(project: Project, run_import: RunImport) -> None:
    run_import(SESSION)
    run_import(FORK)
    before = (Event.objects.count(), AuditEntry.objects.count(), Import.objects.count())

    again = [run_import(SESSION), run_import(FORK)]

    assert (Event.objects.count(), AuditEntry.objects.count(), Import.objects.count()) == before
    assert [(one.events, one.branches, one.duplicates) for one in again] == [(0, 0, 10), (0, 0, 13)]


@pytest.mark.parametrize("order", [(SESSION, FORK), (FORK, SESSION)])
def test_a_session_and_its_fork_tell_the_same_in_either_order(
    project: Project, run_import: RunImport, order: tuple[Path, Path]
) -> None:
    summaries = [run_import(path) for path in order]

    run = Run.objects.get(project=project)
    assert [(one.branches, one.runs) for one in summaries] == [(1, (run.pk,)), (1, (run.pk,))]
    trunk, fork = run.branches.order_by("number")
    stories = {
        tuple(event.type for event in iter_lineage(branch) if event.type.startswith("data."))
        for branch in (trunk, fork)
    }
    session = (terms.USER, terms.ASSISTANT, terms.TOOL_CALL, terms.TOOL_RESULT, terms.ASSISTANT)
    assert stories == {session, (*session, terms.USER, terms.ASSISTANT)}
    assert (fork.parent, fork.status) == (trunk, Status.COMPLETED)
    heads = [bytes(branch.head_digest) for branch in (trunk, fork)]
    again = [run_import(path) for path in order]
    assert [(one.events, one.branches) for one in again] == [(0, 0), (0, 0)]
    assert [bytes(branch.head_digest) for branch in run.branches.order_by("number")] == heads


def test_a_session_that_is_in_one_run_is_refused_for_another(
    project: Project, run_import: RunImport
) -> None:
    run_import(SESSION)
    other, _ = make_run(project)

    assert "already" in run_import(SESSION, run_id=other.pk).fault
    assert other.branches.count() == 1


def test_a_session_that_has_grown_goes_on_on_its_own_branch(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    lines = lines_of(SESSION)
    run_import(write_file("part.jsonl", "\n".join(lines[:7]) + "\n"))
    grown = write_file("part.jsonl", "\n".join(lines) + "\n")

    summary = run_import(grown)

    branch = Branch.objects.get(project=project)
    assert (summary.events, summary.branches) == (3, 0)
    assert types_of(branch)[-3:] == [terms.ASSISTANT, terms.UNKNOWN_RECORD, terms.RUN_FINISHED]
    assert run_import(grown).events == 0


def test_a_torn_last_line_is_kept_and_the_rest_is_read(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    lines = lines_of(SESSION)
    torn = write_file("torn.jsonl", "\n".join([*lines[:6], lines[6][:80]]))

    summary = run_import(torn)

    assert summary.fault == ""
    assert "line 7 is torn or no JSON object; kept as it is" in summary.skipped
    last = Event.objects.filter(project=project, type=terms.UNKNOWN_RECORD).latest("seq")
    assert payload_of(last) == {"format": "claude-code", "line": 7, "raw": lines[6][:80]}


def test_hostile_lines_never_stop_the_import(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    deep = '{"type":"user","uuid":"u-deep","sessionId":"s-1","message":' + "[" * 500 + "]" * 500
    lines: list[bytes] = [
        record(1, "user", "Begin").encode(),
        deep.encode() + b"}",
        b'{"type":"user","uuid":"u-nul","sessionId":"s-1","message":{"content":"a\\u0000b"}}',
        b'{"type":"user","uuid":"u-half","sessionId":"s-1","message":{"content":"\\ud800"}}',
        b"\xff\xfe not text",
        b"[1, 2, 3]",
        b'{"type":7,"uuid":["x"],"sessionId":null,"message":"text"}',
        record(2, "user", [7, None, {"type": "image", "source": {"data": "?"}}]).encode(),
        record(3, "assistant", {"type": "text"}).encode(),
        record(4, "assistant", [{"type": "tool_use", "input": "x"}, "text"]).encode(),
        record(5, "assistant", [{"type": "text", "text": "x" * 1_100_000}]).encode(),
        b'{"type":"user","uuid":"u-raw","sess\x00ionId":"s-1"}',
        record(6, "assistant", [{"type": "text", "text": "End"}]).encode(),
    ]

    summary = run_import(write_file("hostile.jsonl", b"\n".join(lines)))

    assert summary.fault == ""
    rows = Event.objects.filter(project=project).order_by("seq")
    said = [payload_of(row).get("content") for row in rows if row.type == terms.ASSISTANT]
    assert said == ["End"]
    raws = [payload_of(row)["raw"] for row in rows if row.type == terms.UNKNOWN_RECORD]
    assert raws[-1] == lines[-2].decode().replace("\0", "\ufffd")
    assert "line 11 is too large or too deep; cut" in summary.skipped
    again = run_import(write_file("hostile.jsonl", b"\n".join(lines)))
    assert (again.events, again.branches) == (0, 0)


def test_thinking_is_a_thought_and_a_failed_tool_an_error(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    text = [{"type": "text", "text": "No such file"}]
    result = {"type": "tool_result", "tool_use_id": "t1", "content": text, "is_error": True}
    lines = [
        record(1, "user", [{"type": "text", "text": "Begin"}]),
        record(2, "assistant", [{"type": "thinking", "thinking": "Look first."}]),
        record(3, "assistant", [{"type": "tool_use", "id": "t1", "name": "Read", "input": {}}]),
        record(4, "user", [result, {"type": "text", "text": "Go on"}]),
    ]

    run_import(write_file("one.jsonl", "\n".join(lines)))

    rows = [payload_of(r) for r in Event.objects.filter(project=project, source=SOURCE)]
    assert rows[:5] == [
        {"content": "Begin"},
        {"text": "Look first."},
        {"call_id": "t1", "name": "Read", "arguments": {}},
        {
            "call_id": "t1",
            "content": [{"kind": "text", "text": "No such file"}],
            "name": "Read",
            "is_error": True,
        },
        {"content": "Go on"},
    ]


def test_a_record_that_stands_twice_is_told_once(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    usage = {"message": {"id": "m1", "usage": {"output_tokens": 5}}}
    twice = record(2, "assistant", [{"type": "text", "text": "Yes."}], **usage)

    summary = run_import(write_file("one.jsonl", "\n".join([record(1, "user", "A"), twice, twice])))

    assert (summary.fault, summary.events, summary.duplicates) == ("", 2, 1)


def test_a_subagents_records_are_kept_aside(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    lines = [record(1, "user", "Begin"), record(2, "user", "Search", isSidechain=True)]

    summary = run_import(write_file("one.jsonl", "\n".join(lines)))

    assert summary.skipped == ("records of a subagent; kept as they are",)
    messages = rehydrate(Branch.objects.get(project=project)).context.messages
    assert [message["content"] for message in messages] == ["Begin"]


def test_a_long_session_is_stored_in_batches_and_forked_late(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    lines = [record(number, "user", f"Say {number}") for number in range(1, 60)]
    many = [line.replace("4000", f"4{part:03d}") for part in range(20) for line in lines]
    run_import(write_file("long.jsonl", "\n".join(many)))
    copied = [line.replace('"s-1"', '"s-2"') for line in many[:1100]]
    other = record(60, "user", "Another way").replace('"s-1"', '"s-2"')

    summary = run_import(write_file("fork.jsonl", "\n".join([*copied, other])))

    fork = Branch.objects.get(project=project, number=1)
    assert (summary.events, summary.duplicates, fork.fork_seq) == (1, 1100, 1101)


def test_a_named_run_takes_the_session_as_a_branch(project: Project, run_import: RunImport) -> None:
    run, trunk = make_run(project)

    summary = run_import(SESSION, run_id=run.pk)

    branch = run.branches.get(number=1)
    assert (summary.branches, branch.parent, branch.fork_seq) == (1, trunk, 1)
    assert run_import(SESSION, run_id=run.pk).branches == 0


def test_metadata_of_an_odd_shape_does_not_break_a_named_run(
    project: Project, run_import: RunImport
) -> None:
    run, _ = make_run(project)
    Run.objects.filter(pk=run.pk).update(metadata={"sessions": ["mine"]})

    assert run_import(SESSION, run_id=run.pk).fault == ""


def chained(number: int, kind: str, content: Any, parent: int | None, **extra: Any) -> str:
    """A record that names the one before it, by its number."""
    after = None if parent is None else f"00000000-0000-4000-8000-{parent:012d}"
    message = {"message": {"id": extra.pop("id", f"m{number}")}} if kind == "assistant" else {}
    return record(number, kind, content, parentUuid=after, **message, **extra)


def stories(run: Run) -> dict[int, list[str]]:
    """What is said along each branch, by its number."""
    return {
        branch.number: [
            str(event.payload["content"])
            for event in iter_lineage(branch)
            if event.type in (terms.USER, terms.ASSISTANT)
        ]
        for branch in run.branches.all()
    }


REWOUND = [
    chained(1, "user", "Go", None),
    chained(2, "assistant", "Gone", 1),
    chained(3, "user", "Left", 2),
    chained(4, "assistant", "Left it is", 3),
    chained(5, "user", "Right", 2),
    chained(6, "assistant", "Right it is", 5),
    chained(7, "assistant", "No, left", 5),
    chained(8, "user", "Anew", None),
    chained(9, "assistant", "Begun anew", 8),
    chained(10, "user", "On the right", 6),
]


def test_what_was_rewound_and_said_anew_becomes_branches(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    path = write_file("one.jsonl", "\n".join(REWOUND))

    summary = run_import(path)

    run = Run.objects.get(project=project)
    assert (summary.fault, summary.branches, summary.events) == ("", 4, 10)
    assert stories(run) == {
        0: ["Go", "Gone", "Left", "Left it is"],
        1: ["Go", "Gone", "Right", "Right it is", "On the right"],
        2: ["Go", "Gone", "Right", "No, left"],
        3: ["Anew", "Begun anew"],
    }
    assert set(run.branches.values_list("status", flat=True)) == {Status.COMPLETED.value}
    again = run_import(path)
    assert (again.events, again.branches, again.duplicates) == (0, 0, 10)


@pytest.mark.parametrize("cut", range(1, len(REWOUND)))
def test_a_rewound_session_that_has_grown_tells_the_same(
    project: Project, run_import: RunImport, write_file: WriteFile, cut: int
) -> None:
    run_import(write_file("part.jsonl", "\n".join(REWOUND[:cut]) + "\n"))

    assert run_import(write_file("whole.jsonl", "\n".join(REWOUND))).fault == ""

    told = stories(Run.objects.get(project=project))
    assert sorted(map(len, told.values())) == [2, 4, 4, 5]
    assert told[1] == ["Go", "Gone", "Right", "Right it is", "On the right"]


def test_a_fork_of_a_rewound_session_goes_on_from_where_it_was_taken(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    run_import(write_file("one.jsonl", "\n".join(REWOUND[:6])))
    own = [*REWOUND[:6], chained(20, "user", "Elsewhere", 6), chained(21, "assistant", "Yes", 20)]
    text = "\n".join(own).replace('"s-1"', '"s-2"')

    summary = run_import(write_file("fork.jsonl", text))

    assert (summary.events, summary.branches, summary.duplicates) == (2, 1, 6)
    assert stories(Run.objects.get(project=project))[2] == [
        "Go", "Gone", "Right", "Right it is", "Elsewhere", "Yes",
    ]  # fmt: skip


def test_parallel_calls_and_blocks_of_one_message_part_no_ways(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    def call(name: str) -> list[dict[str, Any]]:
        return [{"type": "tool_use", "id": name, "name": "Read", "input": {}}]

    def result(name: str) -> list[dict[str, Any]]:
        return [{"type": "tool_result", "tool_use_id": name, "content": "text"}]

    lines = [
        chained(1, "user", "Go", None),
        chained(2, "assistant", call("a"), 1, id="m1"),
        chained(3, "assistant", call("b"), 2, id="m1"),
        chained(4, "user", result("a"), 2),
        chained(5, "assistant", call("c"), 2, id="m1"),
        chained(6, "user", result("b"), 3),
        chained(7, "user", result("c"), 5),
        chained(8, "assistant", "Done", 4),
        chained(9, "user", "A subagent's", None, isSidechain=True),
        chained(10, "user", "Thanks", 8),
    ]

    summary = run_import(write_file("one.jsonl", "\n".join(lines)))

    assert (summary.branches, summary.events) == (1, 10)


def test_pictures_of_messages_and_results_come_in_as_parts(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    small, large = ("iVBORw0KGgo=", base64.b64encode(bytes(range(256)) * 40).decode())

    def picture(data: str) -> dict[str, Any]:
        source = {"type": "base64", "media_type": "image/png", "data": data}
        return {"type": "image", "source": source}

    result = {"type": "tool_result", "tool_use_id": "t1", "content": [picture(large)]}
    lines = [
        record(1, "user", [{"type": "text", "text": "See"}, picture(small)]),
        record(2, "user", [result]),
    ]

    run_import(write_file("one.jsonl", "\n".join(lines)))

    run = Run.objects.get(project=project)
    said, shown = (
        payload_of(r)["content"] for r in Event.objects.filter(run=run, source=SOURCE)[:2]
    )
    assert run.goal == "See"
    assert said[1] == {"kind": "image", "mime": "image/png", "data": small}
    [blob] = Blob.objects.filter(project=project)
    assert shown == [{"kind": "image", "mime": "image/png", "blob": blob.sha256, "size": 10_240}]
