from typing import Any
from uuid import uuid4

import pytest

from branches.domain import terms
from branches.models import Branch
from tests.api_client import Api, data, problem
from tests.make import append, make_draft, make_key, make_project, make_run, make_user
from verel_site.access.rights import Role

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


def ask(branch: Branch, **extra: Any) -> str:
    approval_id = str(uuid4())
    payload = {"approval_id": approval_id, "action": "deploy", "args": {"to": "prod"}, **extra}
    append(branch, make_draft(terms.APPROVAL_REQUESTED, payload))
    return approval_id


@pytest.fixture
def trunk() -> Branch:
    return make_run()[1]


@pytest.fixture
def person(trunk: Branch) -> Api:
    return Api(user=make_user(trunk.project, Role.REVIEWER))


def test_a_person_reads_a_request_and_answers_it_once(trunk: Branch, person: Api) -> None:
    approval_id = ask(trunk, allow=["accept", "edit"])
    (row,) = data(person.get("approvals"))["results"]
    assert (row["id"], row["branch"], row["answer"]) == (approval_id, str(trunk.pk), None)
    body = {"answer": "edit", "args": {"to": "test"}, "request_digest": row["request_digest"]}
    path = f"approvals/{approval_id}/answer"
    answered = data(person.post(path, body))
    assert (answered["answer"], answered["answer_args"]) == ("edit", {"to": "test"})
    problem(person.post(path, body), 409, "approval_closed")
    assert data(person.get("approvals"))["results"] == []
    assert data(person.get("approvals?state=answered"))["results"] == [answered]
    assert data(person.get(f"branches/{trunk.pk}"))["status"] == "running"


@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"answer": "respond", "text": "no"}, 422, "answer_refused", "/answer"),
        ({"answer": "maybe"}, 400, "bad_input", "/answer"),
        ({"answer": "edit"}, 422, "answer_refused", "/args"),
        ({"args": []}, 400, "bad_input", "/args"),
        ({"request_digest": "11" * 32}, 409, "request_moved", None),
        ({"request_digest": "00"}, 400, "bad_input", "/request_digest"),
        ({"request_digest": None}, 400, "bad_input", "/request_digest"),
    ],
)
def test_an_answer_that_does_not_fit_changes_nothing(
    change: dict[str, Any], status: int, code: str, pointer: str | None, trunk: Branch, person: Api
) -> None:
    approval_id = ask(trunk, allow=["accept", "edit"])
    (row,) = data(person.get("approvals"))["results"]
    body = {"answer": "accept", "request_digest": row["request_digest"], **change}
    problem(person.post(f"approvals/{approval_id}/answer", body), status, code, pointer)
    assert data(person.get("approvals"))["results"] == [row]


def test_the_cursor_walks_all_requests_once(trunk: Branch, person: Api) -> None:
    asked = [ask(make_run(trunk.project)[1]) for _ in range(5)]
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = data(person.get(f"approvals?limit=2&after={after}"))
        seen += [row["id"] for row in page["results"]]
        after = page["next"]
    assert seen == asked


def test_requests_of_another_project_are_not_there(trunk: Branch, person: Api) -> None:
    other = make_project()
    approval_id = ask(make_run(other)[1])
    assert data(person.get("approvals"))["results"] == []
    problem(person.get(f"approvals?project={other.slug}"), 404, "not_found")
    problem(person.post(f"approvals/{approval_id}/answer", {}), 404, "not_found")


def test_an_agents_key_cannot_answer(trunk: Branch) -> None:
    approval_id = ask(trunk)
    agent = Api(make_key(trunk.project, "events:write", "branches:run"))
    digest = data(agent.get("approvals"))["results"][0]["request_digest"]
    body = {"answer": "accept", "request_digest": digest}
    problem(agent.post(f"approvals/{approval_id}/answer", body), 403, "forbidden")
