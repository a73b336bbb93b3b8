from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from branches.models import Run
from branches.steering import pause_branch
from tests.api_client import Api, data, problem
from tests.make import append, make_fork, make_key, make_message, make_project, make_run
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def api(project: Project) -> Api:
    return Api(make_key(project, "events:write"))


def test_a_started_run_has_a_trunk_with_one_event(project: Project, api: Api) -> None:
    run_id = str(uuid4())
    body = {"goal": "Cap the dose", "run": run_id, "spec": {"agent": "a" * 300, "model": "m"}}
    started = data(api.post(f"projects/{project.slug}/runs", body), 201)
    assert started["run"] == run_id
    assert started["number"] == 1
    run = data(api.get(f"runs/{run_id}"))
    assert run["counts"] == {"branches": 1, "events": 1, "tokens": 0}
    assert (run["goal"], run["model"], len(run["agent"])) == ("Cap the dose", "m", 120)
    branch = data(api.get(f"branches/{started['branch']}"))
    assert branch["head"] == started["head"]
    assert branch["parent"] is None


def test_a_project_may_be_named_by_its_id(project: Project, api: Api) -> None:
    assert data(api.post(f"projects/{project.pk}/runs", {"goal": "x"}), 201)["number"] == 1


def test_a_run_id_cannot_be_taken_twice(project: Project, api: Api) -> None:
    run, _ = make_run(make_project())
    answer = api.post(f"projects/{project.slug}/runs", {"goal": "x", "run": str(run.pk)})
    problem(answer, 409, "run_taken", "/run")


def test_runs_are_listed_by_cursor_status_and_text(project: Project, api: Api) -> None:
    runs = [make_run(project, goal=f"goal {index}") for index in range(5)]
    pause_branch(branch_id=runs[3][1].pk, actor=SYSTEM)
    make_run(make_project(), goal="goal of another")
    path = f"projects/{project.slug}/runs"
    first = data(api.get(f"{path}?limit=3"))
    assert [row["number"] for row in first["results"]] == [1, 2, 3]
    rest = data(api.get(f"{path}?limit=3&after={first['next']}"))
    assert [row["number"] for row in rest["results"]] == [4, 5]
    assert rest["next"] is None
    paused = data(api.get(f"{path}?status=paused"))["results"]
    assert [row["run"] for row in paused] == [str(runs[3][0].pk)]
    assert [row["number"] for row in data(api.get(f"{path}?q=GOAL 2"))["results"]] == [3]
    assert [row["number"] for row in data(api.get(f"{path}?q=r-4"))["results"]] == [4]
    assert data(api.get(f"{path}?q=nothing"))["results"] == []


def test_a_deep_tree_is_a_flat_list_with_parents_first(project: Project, api: Api) -> None:
    run, tip = make_run(project)
    for _ in range(40):
        append(tip, make_message("user", "on"))
        tip = make_fork(tip, tip.head_seq).branch
    tree = data(api.get(f"runs/{run.pk}/tree"))
    rows = tree["branches"]
    assert len(rows) == 41
    seen: set[str | None] = {None}
    for row in rows:
        assert row["parent"] in seen
        seen.add(row["branch"])
    assert rows[-1]["branch"] == str(tip.pk)
    assert rows[-1]["counts"]["lineage"] == tip.base + tip.head_seq


def test_a_tree_costs_as_many_queries_for_forty_branches_as_for_one(
    project: Project, api: Api
) -> None:
    run, trunk = make_run(project)
    api.get(f"runs/{run.pk}/tree")
    with CaptureQueriesContext(connection) as few:
        api.get(f"runs/{run.pk}/tree")
    for _ in range(5):
        make_fork(trunk, 1)
    with CaptureQueriesContext(connection) as many:
        api.get(f"runs/{run.pk}/tree")
    assert len(many) == len(few)


def test_another_projects_runs_do_not_exist(project: Project, api: Api) -> None:
    other = make_project()
    run, trunk = make_run(other)
    for path in [f"runs/{run.pk}", f"runs/{run.pk}/tree", f"projects/{other.slug}/runs"]:
        problem(api.get(path), 404, "not_found")
    problem(api.post(f"projects/{other.slug}/runs", {"goal": "x"}), 404, "not_found")
    assert Run.objects.filter(project=other).count() == 1
    problem(api.get(f"branches/{trunk.pk}"), 404, "not_found")


def test_an_unknown_address_is_a_problem_document(api: Api) -> None:
    problem(api.get("nowhere"), 404, "not_found")
    problem(api.get("runs/not-a-uuid"), 404, "not_found")
    problem(api.post("runs/not-a-uuid"), 404, "not_found")
    problem(Api().get("nowhere"), 401, "not_authenticated")


def test_a_method_that_is_not_taken_is_answered_with_those_that_are(
    project: Project, api: Api
) -> None:
    _, trunk = make_run(project)
    told = problem(api.get(f"branches/{trunk.pk}/events"), 405, "method_not_allowed")
    assert told["detail"] == "This address takes POST. /api/docs/ lists what each one takes."
