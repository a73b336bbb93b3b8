from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from tests.api_client import Api, data, problem
from tests.make import make_key
from tests.memory.steps import consolidate, fail_once, follow
from verel_site.access.models import Project

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]
FAULT = "ERROR the pump does not answer"


@pytest.fixture
def reader(project: Project) -> Api:
    return Api(make_key(project, "context:read"))


def test_an_episode_tells_what_was_done_seen_and_said_of_it(project: Project, reader: Api) -> None:
    trunk = fail_once(project, FAULT)
    follow(project)
    failed, passed = data(reader.get("memory/episodes"))["results"]
    assert (failed["run"], failed["branch"]) == (str(trunk.run_id), str(trunk.pk))
    assert (failed["agent"], failed["goal"]) == ("agent", "Cap the dose")
    assert failed["action"]["tool"] == "pytest"
    assert len(failed["action"]["args_digest"]) == 64
    seen = failed["observation"]
    assert (seen["says"], seen["verdict"], len(seen["signature"])) == (FAULT, "fail", 64)
    assert [(issue["grader"], issue["message"]) for issue in seen["issues"]] == [("test", FAULT)]
    assert (failed["outcome"], failed["salience"]) == ("regressed", None)
    assert (passed["outcome"], passed["observation"]["verdict"]) == ("progressed", None)
    job = consolidate(project)
    failed, passed = data(reader.get("memory/episodes"))["results"]
    assert failed["salience"] == {
        "kept": True,
        "hard": True,
        "score": failed["salience"]["score"],
        "consolidation": job.number,
    }
    assert passed["salience"]["consolidation"] == job.number
    event = data(reader.get(f"events?event_id={failed['event']}"))["results"]
    assert event[0]["payload"]["content"] == FAULT


def test_they_are_filtered_and_walked_by_cursor(project: Project, reader: Api) -> None:
    first, second = fail_once(project, FAULT), fail_once(project, "FAILED test_cap")
    follow(project)
    page = data(reader.get("memory/episodes?limit=3"))
    rest = data(reader.get(f"memory/episodes?limit=3&after={page['next']}"))
    assert ([len(page["results"]), len(rest["results"])], rest["next"]) == ([3, 1], None)

    def told(query: str) -> list[str]:
        return [one["branch"] for one in data(reader.get(f"memory/episodes?{query}"))["results"]]

    signature = page["results"][0]["observation"]["signature"]
    assert told(f"signature={signature}") == [str(first.pk)]
    assert told(f"branch={second.pk}&outcome=regressed") == [str(second.pk)]
    assert told(f"run={first.run_id}") == [str(first.pk)] * 2
    assert len(told("tool=pytest&agent=agent")) == 4
    assert told("skill=none") == told(f"run={uuid4()}") == []
    for query in ("outcome=odd", "run=x", "branch=5", "after=-1", "limit=0", "outcom=done"):
        body = problem(reader.get(f"memory/episodes?{query}"), 400, "bad_input")
        assert body["parameter"] == query.partition("=")[0]


def test_more_episodes_cost_no_more_queries(
    project: Project, reader: Api, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(2):
        fail_once(project, FAULT, looks=True)
        consolidate(project)
        data(reader.get("memory/episodes"))
        with django_assert_num_queries(7):
            data(reader.get("memory/episodes"))
