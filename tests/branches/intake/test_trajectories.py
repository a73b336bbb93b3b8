import json
from itertools import takewhile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from branches.domain.terms import Status
from branches.intake.files import TranscriptFile
from branches.intake.trajectories import SOURCE
from branches.intake.transcripts import import_transcript
from branches.models import Branch, Directive, Event, Import, Run
from branches.selectors.context import rehydrate
from branches.selectors.events import payload_of
from branches.selectors.lineage import iter_lineage
from tests.branches.intake.conftest import Import as RunImport
from tests.branches.intake.conftest import WriteFile
from tests.make import append, make_message, make_project, make_run
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import NotFound

SYSTEM_TEXT = {"role": "system", "content": "You look after infusion pumps."}


def said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def called(call_id: str, name: str, arguments: str = "{}") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


def answered(call_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "name": "read_pump", "content": content}


def trial(number: int, *messages: dict[str, Any], task: Any = 7, **extra: Any) -> dict[str, Any]:
    traj = [SYSTEM_TEXT, said("user", "Is the pump set right?"), *messages]
    return {"task_id": task, "trial": number, "traj": traj, **extra}


def told(branch: Branch) -> list[tuple[str, Any]]:
    """The imported messages of a branch's whole lineage, as role and content."""
    rows = iter_lineage(branch)
    return [
        (row.type.rpartition(".")[2], row.payload.get("content"))
        for row in rows
        if row.type.startswith("data.")
    ]


def _count_shared(left: list[str], right: list[str]) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))))


@pytest.mark.samples
def test_a_hundred_trials_of_25_tasks_become_branches_that_tell_every_message(
    project: Project, run_import: RunImport, samples: Path
) -> None:
    path = samples / "tau_bench" / "airline_tasks_00_24.json"
    trials = json.loads(path.read_text())

    summary = run_import(path)

    assert (summary.fault, summary.branches, len(summary.runs)) == ("", 100, 25)
    runs = Run.objects.filter(project=project)
    assert runs.count() == 25
    assert all(run.branches.count() == 4 for run in runs)
    assert Branch.objects.filter(status=Status.COMPLETED, claimable=False).count() == 100
    branches = {
        (b.run.metadata["task_id"], b.name): b for b in Branch.objects.select_related("run")
    }
    count = 0
    for one in trials:
        branch = branches[str(one["task_id"]), f"trial {one['trial']}"]
        lineage = told(branch)
        expected = [
            ("result" if m["role"] == "tool" else m["role"], m["content"] or "")
            for m in one["traj"]
        ]
        assert lineage == expected
        count += len(lineage)
    assert count == 2962


@pytest.mark.samples
def test_trials_of_the_samples_fork_where_they_truly_part(
    project: Project, run_import: RunImport, samples: Path
) -> None:
    path = samples / "tau_bench" / "airline_tasks_00_24.json"
    run_import(path)

    trials = json.loads(path.read_text())
    stories = {(t["task_id"], t["trial"]): [json.dumps(m) for m in t["traj"]] for t in trials}
    for branch in Branch.objects.filter(project=project).select_related("run"):
        task, number = int(branch.run.metadata["task_id"]), int(branch.name.removeprefix("trial "))
        shared = [
            _count_shared(stories[task, number], stories[task, earlier])
            for earlier in range(number)
        ]
        own = Event.objects.filter(branch=branch, type__startswith="data.").count()
        assert len(stories[task, number]) - own == max(shared, default=0)
    run = Run.objects.get(project=project, metadata__task_id="0")
    parents = {b.name: b.parent.name for b in run.branches.exclude(parent=None) if b.parent}
    assert parents == {"trial 1": "trial 0", "trial 2": "trial 0", "trial 3": "trial 0"}


@pytest.mark.samples
def test_importing_the_samples_twice_changes_nothing(
    project: Project, run_import: RunImport, samples: Path
) -> None:
    path = samples / "tau_bench" / "airline_tasks_00_24.json"
    first = run_import(path)
    before = (Event.objects.count(), Branch.objects.count(), AuditEntry.objects.count())

    second = run_import(path)

    after = (Event.objects.count(), Branch.objects.count(), AuditEntry.objects.count())
    assert after == before
    assert (second.events, second.branches, second.duplicates) == (0, 0, 2962)
    assert second.outcomes == first.outcomes
    assert Import.objects.count() == 1


def test_a_trial_forks_from_the_branch_that_owns_the_last_shared_message(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    trials = [
        trial(0, said("assistant", "Yes.")),
        trial(1, said("assistant", "No."), said("user", "Why?"), said("assistant", "The cap.")),
        trial(2, said("assistant", "No."), said("user", "Why?"), said("assistant", "The rate.")),
    ]

    run_import(write_file("trials.json", json.dumps(trials)))

    trunk, early, late = Branch.objects.filter(project=project).order_by("number")
    assert (trunk.name, early.parent, early.base) == ("trial 0", trunk, 3)
    # Of the fork's own: that it was forked, and the two messages that both tell.
    assert (late.parent, late.fork_seq) == (early, 3)
    assert told(late)[-1] == ("assistant", "The rate.")
    assert not Directive.objects.filter(project=project).exists()


def test_equal_trials_have_one_story_and_a_branch_each(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    trials = [trial(number, said("assistant", "Yes.")) for number in (0, 1)]

    summary = run_import(write_file("trials.json", json.dumps(trials)))

    trunk, twin = Branch.objects.filter(project=project).order_by("number")
    assert (summary.branches, told(twin)) == (2, told(trunk))
    assert bytes(twin.head_digest) == bytes(trunk.head_digest)
    assert twin.status == Status.COMPLETED


def test_drawn_call_ids_do_not_part_two_trials_and_results_still_find_their_calls(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    trials = [
        trial(0, called("call_a", "read_pump"), answered("call_a", "5 mg/mL")),
        trial(1, called("call_b", "read_pump"), answered("call_b", "offline")),
    ]

    run_import(write_file("trials.json", json.dumps(trials)))

    trunk, fork = Branch.objects.filter(project=project).order_by("number")
    assert fork.base == trunk.base + 4
    messages = rehydrate(fork).context.messages
    assert messages[-2]["tool_calls"][0]["id"] == messages[-1]["tool_call_id"] == "call_a"
    assert messages[-1]["content"] == "offline"


def test_trials_of_a_later_file_join_the_run_of_their_task(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    first = trial(0, called("call_a", "read_pump"), answered("call_a", "5"), said("assistant", "A"))
    later = trial(1, called("call_z", "read_pump"), answered("call_z", "5"), said("assistant", "B"))
    run_import(write_file("one.json", json.dumps([first])))

    summary = run_import(write_file("two.json", json.dumps([first, later])))

    assert (summary.branches, summary.duplicates) == (1, 5)
    run = Run.objects.get(project=project)
    assert run.origin == "one.json, task 7"
    fork = run.branches.get(number=1)
    assert (fork.base, told(fork)[-1]) == (5, ("assistant", "B"))


def test_another_benchmark_with_the_same_task_numbers_is_another_run(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    other = {"task_id": 7, "trial": 0, "traj": [said("system", "You sell shoes."), SYSTEM_TEXT]}
    run_import(write_file("trials.json", json.dumps([trial(0), other])))

    assert Run.objects.filter(project=project).count() == 2


def test_a_message_becomes_the_event_of_its_role(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    messages = [
        SYSTEM_TEXT,
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image], "name": "Ines"},
        {**called("c1", "read_pump", '{"id": 4}'), "usage": {"completion_tokens": 12}},
        answered("c1", "5 mg/mL"),
        {"role": "critic", "content": "hm"},
    ]

    summary = run_import(write_file("one.json", json.dumps(messages)))

    rows = Event.objects.filter(project=project, source=SOURCE).order_by("seq")
    assert [row.type for row in rows] == [
        "data.message.system",
        "data.message.user",
        "data.message.assistant",
        "data.tool.result",
        "harness.import.record",
        "harness.run.finished",
    ]
    payloads = [payload_of(row) for row in rows]
    assert payloads[1]["content"][1] == {"kind": "image", "mime": "image/png", "data": "aGk="}
    assert payloads[2] == {
        "content": "",
        "tool_calls": [{"id": "c1", "name": "read_pump", "arguments": '{"id": 4}'}],
        "usage": {"output": 12},
    }
    assert payloads[3] == {"call_id": "c1", "content": "5 mg/mL", "name": "read_pump"}
    assert json.loads(payloads[4]["raw"]) == messages[4]
    assert summary.skipped == ("trial 1: message 5 has an unknown role; kept as it is",)
    assert Branch.objects.get(project=project).tokens == 12


@pytest.mark.parametrize("shape", ["list", "object", "lines"])
def test_conversations_without_a_task_are_known_by_their_content(
    project: Project, run_import: RunImport, write_file: WriteFile, shape: str
) -> None:
    one = [SYSTEM_TEXT, said("user", "Is it on?"), said("assistant", "Yes.")]
    two = [SYSTEM_TEXT, said("user", "Is it on?"), said("assistant", "No.")]
    three = [SYSTEM_TEXT, said("user", "Stop it."), said("assistant", "Stopped.")]
    files = {
        "list": json.dumps([{"messages": one}, {"messages": two}, {"messages": three}]),
        "object": json.dumps([one, two, three], indent=2),
        "lines": "\n".join(json.dumps({"messages": m}) for m in (one, two, three)) + "\n",
    }
    path = write_file("some.json", files[shape])

    summary = run_import(path)
    again = run_import(write_file("other-name.json", path.read_bytes()))

    goals = set(Run.objects.filter(project=project).values_list("goal", flat=True))
    assert (summary.branches, goals) == (3, {"Is it on?", "Stop it."})
    assert (again.events, again.branches, again.duplicates) == (0, 0, 9)


def test_a_pretty_printed_object_with_messages_is_read(
    run_import: RunImport, write_file: WriteFile
) -> None:
    text = json.dumps({"messages": [said("user", "Hi"), said("assistant", "Hello")]}, indent=2)

    assert run_import(write_file("one.json", text)).events == 2


def test_tools_of_a_line_reach_the_context(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    tools = [{"type": "function", "function": {"name": "read_pump"}}]
    line = json.dumps({"messages": [said("user", "Hi"), said("assistant", "Yes")], "tools": tools})

    run_import(write_file("one.jsonl", f"{line}\n"))

    assert rehydrate(Branch.objects.get(project=project)).context.tools == tools


def test_a_reward_is_told_as_an_outcome_on_the_trials_head(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    scores = {"reward_info": {"info": {"r_actions": 0.0, "gt_data_hash": "ea14"}}}
    trials = [
        trial(0, said("assistant", "Yes."), reward=1.0, info={}),
        trial(1, said("assistant", "No."), reward=0.0, info=scores),
        trial(2, said("assistant", "Perhaps.")),
    ]

    won, lost = run_import(write_file("trials.json", json.dumps(trials))).outcomes

    heads = {b.pk: bytes(b.head_digest) for b in Branch.objects.filter(project=project)}
    assert (won.head_digest, won.message) == (heads[won.branch], "")
    assert lost.head_digest == heads[lost.branch]
    assert lost.message == "The trial earned a reward of 0 of 1. r_actions is 0."


def test_a_trial_that_cannot_be_read_is_told_and_the_others_are_read(
    run_import: RunImport, write_file: WriteFile
) -> None:
    lines = [
        json.dumps({"messages": [said("user", "A")]}),
        '{"messages": [{"role": "us',
        json.dumps({"messages": "none"}),
        json.dumps({"messages": ["text"]}),
        json.dumps({"messages": [said("user", "B")]}),
    ]

    summary = run_import(write_file("some.jsonl", "\n".join(lines)))

    assert (summary.branches, summary.fault) == (2, "")
    assert summary.skipped == (
        "line 2 is not JSON",
        "line 3 has no list of messages",
        "line 4 has a message that is no object",
    )


def test_a_message_over_the_limit_is_cut_and_told(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    large = said("assistant", "x" * (1024 * 1024 + 1))

    summary = run_import(write_file("one.json", json.dumps([said("user", "Hi"), large])))

    assert summary.skipped == ("trial 1: message 2 is too large or too deep; kept as it is",)
    kept = Event.objects.get(project=project, type="harness.import.record")
    assert payload_of(kept)["raw"].startswith('{"role": "assistant"')


def test_a_named_run_takes_all_trials(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    run, trunk = make_run(project)
    append(trunk, make_message("user", "Hello"))
    path = write_file("trials.json", json.dumps([trial(0), trial(1, said("assistant", "Yes."))]))

    summary = run_import(path, run_id=run.pk)

    assert summary.runs == (run.pk,)
    first, second = run.branches.exclude(number=0).order_by("number")
    assert (first.parent, first.fork_seq) == (trunk, 1)
    assert (second.parent, second.base) == (first, 4)
    assert run_import(path, run_id=run.pk).branches == 0


def test_a_named_run_that_is_not_there_is_started(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    run_id = uuid4()

    run_import(write_file("trials.json", json.dumps([trial(0)])), run_id=run_id)

    assert Run.objects.get(project=project).pk == run_id


def test_a_run_of_another_project_is_not_found(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    foreign, _ = make_run(make_project())
    path = write_file("trials.json", json.dumps([trial(0)]))

    with pytest.raises(NotFound, match="in this project"):
        run_import(path, run_id=foreign.pk)


def test_two_projects_can_import_the_same_file(
    project: Project, run_import: RunImport, write_file: WriteFile
) -> None:
    path = write_file("trials.json", json.dumps([trial(0)]))
    run_import(path)
    other = make_project()

    [summary] = import_transcript(
        project_id=other.pk, actor=SYSTEM, files=[TranscriptFile("trials.json", path)]
    )

    assert (summary.branches, summary.duplicates) == (1, 0)


def test_figures_beyond_any_float_are_no_reward(
    run_import: RunImport, write_file: WriteFile
) -> None:
    huge = 10**400
    scores = {"reward_info": {"info": {"r_actions": huge}}}
    trials = [
        trial(0, said("assistant", "Yes."), reward=huge),
        trial(1, said("assistant", "No."), reward=0, info=scores),
    ]

    summary = run_import(write_file("trials.json", json.dumps(trials)))

    assert [one.message for one in summary.outcomes] == ["The trial earned a reward of 0 of 1."]
