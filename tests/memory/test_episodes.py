from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branches.models import Branch
from memory.episodes import follow_episodes, project_batch, rebuild_episodes, sign_fault
from memory.models import Episode, MemoryCursor
from tests.make import append, make_draft, make_message, make_project, make_run
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
    # Nothing before, one issue after: KL of (1,) against (1,) over one signature is 0; of the
    # third step, one signature gone of one is 0 too. Surprise needs two to tell apart.
    assert all(row.surprise >= 0 for row in rows)


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


def test_two_followers_at_once_make_no_row_twice() -> None:
    project = make_project()
    tell(make_run(project)[1])
    project_batch(project_id=project.pk)
    # The slower one read the cursor before the faster one moved it: its move does not count.
    cursor = MemoryCursor.objects.get(project=project)
    assert not MemoryCursor.objects.filter(pk=cursor.pk, position=0).update(position=1)
    project_batch(project_id=project.pk)
    assert Episode.objects.count() == 4


def test_a_fault_is_the_same_wherever_it_is_seen() -> None:
    one = sign_fault("AssertionError at /tmp/a/x.py: 45 != 50 at 0x7f12")
    assert one == sign_fault("AssertionError at /home/b/x.py: 9 != 1 at 0x9a")
    assert one != sign_fault("TypeError at /tmp/a/x.py")
