import pytest
from pytest_django.fixtures import Settings

from branches.indexing import index_batch
from tests.api_client import Api, data, problem
from tests.branches.story import Story, tell_story
from tests.make import append, make_key, make_message

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


@pytest.fixture
def story() -> Story:
    return tell_story()


@pytest.fixture
def api(story: Story) -> Api:
    return Api(make_key(story.project, "context:read"))


def test_hits_tell_their_place_and_what_matched(api: Api, story: Story) -> None:
    index_batch(project_id=story.project.pk)
    append(story.trunk, make_message("assistant", "The expected value stays."))
    answer = data(api.get('search?q="expected value"'))
    assert [hit["seq"] for hit in answer["results"]] == [8, 7]
    assert answer["results"][0]["snippet"] == [
        {"text": "The ", "hit": False},
        {"text": "expected value", "hit": True},
        {"text": " stays.", "hit": False},
    ]
    assert answer["next"] is None
    assert answer["index"] | {"upto": ""} == {
        "position": story.event(7).position,
        "upto": "",
        "compared": 1,
        "complete": True,
        "cut": 0,
    }


def test_pages_go_on_after_the_cursor(api: Api, story: Story) -> None:
    first = data(api.get(f"search?project={story.project.slug}&q=clamp&limit=1"))
    second = data(api.get(f"search?q=clamp&limit=1&after={first['next']}"))
    assert [hit["seq"] for hit in first["results"] + second["results"]] == [4, 3]
    assert second["next"] is None


def test_nothing_asked_is_nothing_found(api: Api) -> None:
    assert data(api.get("search?q="))["results"] == []
    answer = data(api.get("search?q=%2B%2B"))
    assert answer["notes"] == ["“++” has no letter or digit and was left out."]


def test_another_project_is_not_there(api: Api) -> None:
    other = tell_story()
    problem(api.get(f"search?project={other.project.slug}&q=clamp"), 404, "not_found")
    assert data(api.get(f"search?q=run:{other.run.pk}"))["results"] == []


def test_an_encrypted_installation_says_that_search_is_off(api: Api, settings: Settings) -> None:
    settings.VEREL_EVENT_KEYS = [("k1", bytes(32))]
    body = problem(api.get("search?q=clamp"), 409, "search_off")
    assert "encrypts" in body["detail"]
