"""The list of runs: what it tells, how it is narrowed, and what it costs."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from branches.domain import terms
from branches.runs import start_run
from branches.selectors import run_list
from branches.selectors.run_list import RunListPage
from branches.steering import complete_branch
from tests import make
from tests.branches.story import tell_story
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db


def sign_in(client: Client, project: Project, role: Role = Role.REVIEWER) -> Client:
    client.force_login(make.make_user(project, role))
    return client


def list_of(client: Client, project: Project, **query: str) -> RunListPage:
    answer = client.get(reverse("run-list", args=[project.slug]), query)
    assert answer.status_code == 200
    page = answer.context["page"]
    assert isinstance(page, RunListPage)
    return page


def ask(project: Project) -> None:
    story = tell_story(project=project)
    request = {"approval_id": "7a1f77a0-0000-4000-8000-000000000001", "action": "push"}
    make.append(story.trunk, make.make_draft(terms.APPROVAL_REQUESTED, dict(request)))


def test_a_row_tells_statuses_events_and_tokens(client: Client) -> None:
    story = tell_story(forks=2)
    make.append(
        story.trunk, make.make_draft(terms.ASSISTANT, {"content": "x", "usage": {"output": 120}})
    )
    complete_branch(branch_id=story.trunk.pk, actor=SYSTEM)
    row = list_of(sign_in(client, story.project), story.project).rows[0]
    assert [(one.status, one.count) for one in row.statuses] == [("running", 2), ("completed", 1)]
    assert (row.branches, row.tokens) == (3, 120)
    assert row.events == 9 + 2 * 4


def test_two_finished_branches_are_a_pair_to_compare(client: Client) -> None:
    story = tell_story(forks=1)
    for branch in story.run.branches.all():
        complete_branch(branch_id=branch.pk, actor=SYSTEM)
    assert list_of(sign_in(client, story.project), story.project).rows[0].to_compare == 2


def test_a_project_without_runs_says_how_to_begin(client: Client) -> None:
    project = make.make_project()
    sign_in(client, project)
    answer = client.get(reverse("run-list", args=[project.slug]))
    text = answer.content.decode()
    assert "No run in this project yet" in text
    assert reverse("import", args=[project.slug]) in text


def test_a_viewer_is_not_offered_to_import(client: Client) -> None:
    project = make.make_project()
    sign_in(client, project, Role.VIEWER)
    assert not list_of(client, project).import_href


def test_filters_that_match_nothing_can_be_cleared(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    answer = client.get(reverse("run-list", args=[story.project.slug]), {"q": "nowhere"})
    assert "No run matches" in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "TONES"}, ["Port the alarm tones"]),
        ({"q": "r-2"}, ["Port the alarm tones"]),
        ({"agent": "tone-smith"}, ["Port the alarm tones"]),
        ({"status": "merged"}, []),
        ({"status": "paused"}, ["Cap the dose"]),
        ({"waits": "1"}, ["Cap the dose"]),
        ({}, ["Port the alarm tones", "Cap the dose"]),
    ],
)
def test_filters_narrow_the_list(client: Client, query: dict[str, str], found: list[str]) -> None:
    project = make.make_project()
    ask(project)
    start_run(project_id=project.pk, actor=SYSTEM, goal="Port the alarm tones", agent="tone-smith")
    page = list_of(sign_in(client, project), project, **query)
    assert [row.goal for row in page.rows] == found


def test_older_runs_follow_without_gap_or_overlap(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "PAGE", 4)
    project = make.make_project()
    for number in range(10):
        make.make_run(project, f"goal {number}")
    sign_in(client, project)
    href, goals = reverse("run-list", args=[project.slug]), []
    while href:
        page = client.get(href).context["page"]
        goals += [row.goal for row in page.rows]
        href = page.older_href
    assert goals == [f"goal {number}" for number in range(9, -1, -1)]


def test_a_made_up_cursor_or_status_is_a_400(client: Client) -> None:
    project = make.make_project()
    sign_in(client, project)
    address = reverse("run-list", args=[project.slug])
    assert client.get(address, {"older": "yesterday"}).status_code == 400
    assert client.get(address, {"status": "asleep"}).status_code == 400


def test_a_project_of_others_does_not_exist(client: Client) -> None:
    sign_in(client, make.make_project())
    address = reverse("run-list", args=[make.make_project().slug])
    assert client.get(address).status_code == 404


def test_a_goal_is_inert_text(client: Client) -> None:
    project = make.make_project()
    make.make_run(project, "<img src=x onerror=alert(1)>\u202e")
    sign_in(client, project)
    text = client.get(reverse("run-list", args=[project.slug])).content.decode()
    assert "<img src=x" not in text
    assert "\u202e" not in text


def test_the_list_costs_the_same_queries_with_3_and_with_30_runs(client: Client) -> None:
    costs = []
    for runs in (3, 30):
        project = make.make_project()
        for _ in range(runs):
            tell_story(project=project, forks=1)
        sign_in(client, project)
        with CaptureQueriesContext(connection) as queries:
            list_of(client, project)
        costs.append(len(queries))
    assert costs[0] == costs[1]
    assert costs[0] <= 12
