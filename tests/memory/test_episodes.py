import math
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from branches.models import Branch, Event
from branches.storage.payloads import UnreadableEvent
from memory.consolidation.jobs import order_consolidation
from memory.episodes import (
    EpisodesInUse,
    find_strays,
    follow_episodes,
    project_batch,
    rebuild_episodes,
)
from memory.models import Episode, MemoryCursor
from memory.steps import CALLS, sign_fault
from tests.guards import unguarded
from tests.make import append, make_draft, make_fork, make_message, make_project, make_run
from tests.memory.dying import die_doing, kill_self
from tests.memory.make import at_once
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project

pytestmark = pytest.mark.django_db


def call(number: int, **args: Any) -> Any:
    payload = {"call_id": f"c{number}", "name": "pytest", "arguments": args or {"n": number}}
    return make_draft("data.tool.call", payload)


def result(number: int, text: str, *, bad: bool = False) -> Any:
    return make_draft(
        "data.tool.result",
        {"call_id": f"c{number}", "name": "pytest", "content": text, "is_error": bad},
    )


def rows_of(project: Project) -> list[dict[str, Any]]:
    rows = Episode.objects.filter(project=project).order_by("position")
    return [{k: v for k, v in row.items() if k != "id"} for row in rows.values()]


def tell(trunk: Branch) -> None:
    append(
        trunk,
        call(1),
        result(1, "FAILED test_cap: 45 != 50", bad=True),
        make_message("assistant", "Again"),
        call(2),
        result(2, "FAILED test_cap: 45 != 51", bad=True),
        call(3),
        result(3, "12 passed"),
        make_draft("harness.run.finished", {"outcome": "done"}),
    )


def test_steps_are_projected_with_their_call_and_their_outcome() -> None:
    project = make_project()
    trunk = make_run(project, goal="Cap the dose")[1]
    tell(trunk)
    while follow_episodes():
        pass
    rows = list(Episode.objects.order_by("position"))
    assert [row.outcome for row in rows] == ["regressed", "stuck", "progressed", "done"]
    assert {row.goal for row in rows} == {"Cap the dose"}
    assert rows[0].signature == rows[1].signature != ""
    assert rows[0].args_digest != rows[1].args_digest
    assert rows[0].tool == "pytest"
    # The fault comes, stays, goes, and is not back. Of two ways to end, the other one before and this
    # one after: KL of (2/3, 1/3) against (1/3, 2/3) is ln 2 / 3.
    changed = pytest.approx(math.log(2) / 3)
    assert [row.surprise for row in rows] == [changed, 0, changed, 0]


def test_dropped_and_replayed_they_are_the_same_rows() -> None:
    project = make_project()
    for _ in range(3):
        tell(make_run(project)[1])
    while follow_episodes():
        pass
    before = rows_of(project)
    assert len(before) == 12
    assert rebuild_episodes(project_id=project.pk) == 12
    assert rows_of(project) == before


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batch=st.integers(1, 9))
def test_how_the_journal_is_cut_into_batches_changes_nothing(batch: int) -> None:
    project = make_project()
    tell(make_run(project)[1])
    rebuild_episodes(project_id=project.pk)
    whole = rows_of(project)
    rebuild_episodes(project_id=project.pk, batch=batch)
    assert rows_of(project) == whole


def follow(project: Project) -> None:
    while project_batch(project_id=project.pk):
        pass


def test_what_stands_before_a_fork_counts_for_the_fork() -> None:
    project = make_project()
    trunk = make_run(project)[1]
    append(trunk, call(1), result(1, "FAILED test_cap: 45 != 50", bad=True), call(2))
    append(trunk, result(2, "12 passed"))
    branch = make_fork(trunk, trunk.head_seq - 1).branch
    # However far up it is: each fork begins with nothing of its own.
    for _ in range(3):
        branch.refresh_from_db()
        branch = make_fork(branch, 1).branch
    append(branch, result(2, "FAILED test_cap: 45 != 51", bad=True))
    follow(project)
    forked = Episode.objects.get(branch=branch)
    last = Episode.objects.get(branch=trunk, tool="pytest", outcome="progressed")
    assert forked.outcome == "stuck"
    assert forked.args_digest == last.args_digest != ""
    before = rows_of(project)
    rebuild_episodes(project_id=project.pk, batch=1)
    assert rows_of(project) == before
    assert [*find_strays(project_id=project.pk, batch=2)] == []


def test_a_step_has_its_tokens_and_the_skill_that_it_took_up() -> None:
    project = make_project()
    trunk = make_run(project)[1]
    said = make_draft("data.message.assistant", {"content": "a", "usage": {"output": 40}})
    odd = make_draft("data.usage", {"usage": {"output": -3}})
    taken = {"call_id": "s", "name": "Skill", "arguments": {"skill": "unit-conversion"}}
    append(trunk, said, odd, call(1), result(1, "ok"), call(2), result(2, "0 failed, 2 passed"))
    append(trunk, make_draft("data.tool.call", {**taken, "usage": {"output": 7}}))
    append(trunk, make_draft("data.tool.result", {"call_id": "s", "content": "# Convert"}))
    append(trunk, make_draft("harness.run.finished", {"outcome": "error: out of budget"}))
    follow(project)
    told = Episode.objects.order_by("position").values_list("tokens", "skill", "outcome")
    assert [*told] == [
        (40, "", "progressed"),
        (0, "", "progressed"),
        (7, "unit-conversion", "progressed"),
        (0, "", "regressed"),
    ]
    before = rows_of(project)
    rebuild_episodes(project_id=project.pk, batch=1)
    assert rows_of(project) == before


def test_a_call_is_looked_for_so_far_back_and_no_further() -> None:
    project = make_project()
    trunk = make_run(project)[1]
    append(
        trunk, call(0), *[call(n + 1) for n in range(CALLS)], result(0, "far"), result(1, "near")
    )
    for batch in (500, CALLS // 2):
        rebuild_episodes(project_id=project.pk, batch=batch)
        far, near = Episode.objects.order_by("position")
        assert (far.args_digest, len(near.args_digest)) == ("", 64)


def sealed(number: int) -> tuple[str, bytes]:
    return f"k{number}", bytes([number]) * 32


def test_a_missing_key_holds_up_its_own_project_until_it_is_back(settings: Settings) -> None:
    open_one = make_project()
    tell(make_run(open_one)[1])
    settings.VEREL_EVENT_KEYS = [sealed(1)]
    shut = make_project()
    tell(make_run(shut)[1])
    rebuild_episodes(project_id=shut.pk)
    told = rows_of(shut)
    assert [row["tool"] for row in told] == ["pytest"] * 3 + [""]
    Episode.objects.all().delete()
    MemoryCursor.objects.all().delete()
    settings.VEREL_EVENT_KEYS = [sealed(2)]
    for _ in range(2):
        with pytest.raises(UnreadableEvent, match="k1"):
            follow_episodes()
    assert (len(rows_of(open_one)), rows_of(shut)) == (4, [])
    settings.VEREL_EVENT_KEYS = [sealed(2), sealed(1)]
    follow_episodes()
    assert rows_of(shut) == told


def test_a_damaged_row_holds_up_nobody(settings: Settings) -> None:
    settings.VEREL_EVENT_KEYS = [sealed(1)]
    project = make_project()
    trunk = make_run(project)[1]
    tell(trunk)
    row = Event.objects.get(branch=trunk, seq=3)
    payload = bytes(row.payload)
    with unguarded():
        Event.objects.filter(pk=row.pk).update(payload=payload[:-1] + bytes([payload[-1] ^ 1]))
    follow(project)
    assert [row["says"][:6] for row in rows_of(project)] == ["", "FAILED", "12 pas", "done"]


@pytest.mark.django_db(transaction=True)
def test_followers_at_once_and_a_rebuild_among_them_make_each_row_once() -> None:
    project = make_project()
    trunks = [make_run(project)[1] for _ in range(3)]

    def act(number: int) -> None:
        if number < 3:
            tell(trunks[number])
        elif number == 3:
            rebuild_episodes(project_id=project.pk, batch=2)
        for _ in range(4):
            project_batch(project_id=project.pk, batch=3)

    at_once(act)
    follow(project)
    assert len(rows_of(project)) == 12
    assert [*find_strays(project_id=project.pk, batch=5)] == []


@pytest.mark.django_db(transaction=True)
def test_a_follower_that_is_killed_as_it_writes_leaves_nothing_half() -> None:
    project = make_project()
    tell(make_run(project)[1])

    def die_after(execute: Any, sql: str, *args: Any) -> Any:
        told = execute(sql, *args)
        if sql.startswith('INSERT INTO "memory_episode"'):
            kill_self()
        return told

    def die() -> None:
        with connection.execute_wrapper(die_after):
            project_batch(project_id=project.pk)

    die_doing(die)
    assert (rows_of(project), [*MemoryCursor.objects.values_list("position", flat=True)]) == (
        [],
        [0],
    )
    follow(project)
    assert len(rows_of(project)) == 4
    assert [*find_strays(project_id=project.pk)] == []


def test_what_strays_is_named_and_a_rebuild_mends_it() -> None:
    project = make_project()
    tell(make_run(project)[1])
    follow(project)
    first, second = Episode.objects.order_by("position")[:2]
    Episode.objects.filter(pk=first.pk).update(says="otherwise")
    second.delete()
    told = StringIO()
    with pytest.raises(CommandError, match="differ"):
        call_command("project_episodes", "--check", "--project", project.slug, stdout=told)
    assert told.getvalue().splitlines() == [
        f"{project.slug}: position {at.position:,} differs" for at in (first, second)
    ]
    call_command("project_episodes", "--rebuild", stdout=told)
    call_command("project_episodes", "--check", stdout=told)
    assert told.getvalue().endswith(f"{project.slug}: 4 episodes\nNothing differs.\n")
    order_consolidation(project_id=project.pk, actor=SYSTEM)
    with pytest.raises(EpisodesInUse):
        rebuild_episodes(project_id=project.pk)


def test_a_fault_is_the_same_wherever_it_is_seen() -> None:
    one = sign_fault("AssertionError at /tmp/a/x.py: 45 != 50 at 0x7f12")
    assert one == sign_fault("AssertionError at /home/b/x.py: 9 != 1 at 0x9a")
    assert one != sign_fault("TypeError at /tmp/a/x.py")
