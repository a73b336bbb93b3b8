from typing import Any

import pytest

from tests.api_client import Api, data, problem
from tests.make import make_key, make_project, make_user
from verel_site.access.models import Project
from verel_site.access.rights import Role, Scope

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]
SECRET = "what is the cap of a child of 12 kg"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def curator(project: Project) -> Api:
    return Api(user=make_user(project, Role.CURATOR))


def body(project: Project, **change: Any) -> dict[str, Any]:
    case = {"name": SECRET, "body": {"ask": SECRET}}
    return {
        "project": project.slug,
        "grader": "test",
        "name": "bolus",
        "cases": [case],
        "holdout": [{"name": "held", "body": SECRET}],
        "reserve": [{"name": "fresh", "body": SECRET}],
        **change,
    }


def test_a_suite_lives_from_its_making_to_its_retirement(project: Project, curator: Api) -> None:
    made = data(curator.post("suites", body(project), Idempotency_Key="k"), 201)
    assert data(curator.post("suites", body(project), Idempotency_Key="k"), 201) == made
    path = f"suites/{made['suite']}"
    assert (made["cases"], made["holdout"], made["reserve"]) == (1, 1, 1)
    assert (made["frozen_at"], made["rotate_days"], made["rotate_at"]) == (None, 30, None)
    frozen = data(curator.post(f"{path}/freeze", {"reason": "agreed"}))
    assert frozen["frozen_at"]
    assert frozen["fresh_cases_needed"] == 0
    runner = Api(make_key(project, "suites:run"))
    cases = data(runner.get(f"{path}/cases"))
    assert cases["canary"].startswith("verel-canary-")
    assert cases["digest"] == made["digest"]
    assert [case["part"] for case in cases["results"]] == ["case", "holdout"]
    told = data(runner.post(f"{path}/results", {"passed": 1, "total": 1}), 201)
    assert (told["passed"], told["holdout_total"]) == (1, 0)
    new = data(curator.post(f"{path}/rotate", {"reason": "leaked"}))
    assert (new["follows"], new["reserve"], new["fresh_cases_needed"]) == (made["suite"], 0, 1)
    more = {"cases": [{"name": "fresher", "body": 1}]}
    grown = data(curator.post(f"suites/{new['suite']}/cases", more))
    assert (grown["reserve"], grown["digest"]) == (1, new["digest"])
    data(curator.post(f"suites/{new['suite']}/retire", {"reason": "over"}))
    listed = data(curator.get(f"suites?project={project.slug}"))["results"]
    assert [row["retired_reason"] for row in listed] == ["over", "leaked"]
    problem(runner.post(f"{path}/results", {"passed": 1, "total": 1}), 409, "suite_not_live")


def test_no_answer_but_the_runner_s_holds_a_case(project: Project, curator: Api) -> None:
    made = curator.post("suites", body(project))
    path = f"suites/{data(made, 201)['suite']}"
    said = [made, curator.post(f"{path}/freeze", {"reason": "x"})]
    agents = [Api(make_key(project, scope.value)) for scope in Scope if scope != Scope.SUITES_RUN]
    for api in [*agents, Api(user=make_user(project, Role.REVIEWER))]:
        said += [api.get(f"suites?project={project.slug}"), api.get(path)]
        problem(api.get(f"{path}/cases"), 403, "forbidden")
    said += [curator.post("suites", body(project)), curator.post(f"{path}/rotate", {"reason": "x"})]
    assert all(SECRET.encode() not in answer.content for answer in said)
    assert all(b"verel-canary" not in answer.content for answer in said)
    assert SECRET.encode() in curator.get(f"{path}/cases").content


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"cases": "all"}, 400, "bad_input", "/cases"),
        ({"cases": []}, 422, "bad_suite", "/cases"),
        ({"cases": [{"name": 7, "body": 1}]}, 422, "bad_suite", "/cases/0/name"),
        ({"rotate_days": 0}, 400, "bad_input", "/rotate_days"),
        ({"rotate_days": "30"}, 400, "bad_input", "/rotate_days"),
        ({"grader": "oracle"}, 422, "bad_suite", "/grader"),
        ({"name": " "}, 400, "bad_input", "/name"),
        ({"rubric": 1}, 400, "bad_input", "/rubric"),
    ],
)
def test_a_faulty_suite_is_refused_with_a_pointer(
    change: dict[str, Any], status: int, code: str, pointer: str, project: Project, curator: Api
) -> None:
    problem(curator.post("suites", body(project, **change)), status, code, pointer)
    assert data(curator.get(f"suites?project={project.slug}"))["results"] == []


def test_a_suite_that_is_not_to_be_rotated_says_null(project: Project, curator: Api) -> None:
    made = data(curator.post("suites", body(project, rotate_days=None)), 201)
    assert made["rotate_days"] is None
    frozen = data(curator.post(f"suites/{made['suite']}/freeze", {"reason": "x"}))
    assert frozen["rotate_at"] is None
