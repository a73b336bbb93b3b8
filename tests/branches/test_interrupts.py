"""An agent built on LangGraph asks, a person answers, and the agent is resumed."""

from typing import Any
from uuid import uuid4

import pytest

from branches.domain import terms
from branches.models import Branch, Directive
from tests.api_client import Api, data, problem
from tests.make import make_key, make_run, make_user
from verel_site.access.rights import Role
from verel_site.inbox.models import Item

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]

EDITED = {"to": "icu"}


def interrupt(**config: bool) -> dict[str, Any]:
    return {
        "approval_id": str(uuid4()),
        "action_request": {"action": "send_email", "args": {"to": "ward", "body": "The cap"}},
        "config": {f"allow_{name}": config.get(name, False) for name in ANSWERS},
        "description": "It reaches the whole ward.",
    }


ANSWERS = ("accept", "edit", "respond", "ignore")


@pytest.fixture
def trunk() -> Branch:
    return make_run()[1]


@pytest.fixture
def agent(trunk: Branch) -> Api:
    return Api(make_key(trunk.project, "events:write", "branches:run", "context:read"))


@pytest.fixture
def person(trunk: Branch) -> Api:
    return Api(user=make_user(trunk.project, Role.REVIEWER))


def push(agent: Api, trunk: Branch, payload: dict[str, Any]) -> Any:
    event = {
        "event_id": str(uuid4()),
        "type": terms.APPROVAL_REQUESTED,
        "source": "graph",
        "ts": "2026-11-20T12:00:00Z",
        "payload": payload,
    }
    return agent.post(f"branches/{trunk.pk}/events", {"events": [event]})


@pytest.mark.parametrize(
    ("answer", "extra", "response"),
    [
        ("accept", {}, {"type": "accept", "args": None}),
        ("ignore", {}, {"type": "ignore", "args": None}),
        (
            "respond",
            {"text": "Ask the pharmacist"},
            {"type": "response", "args": "Ask the pharmacist"},
        ),
        (
            "edit",
            {"args": EDITED},
            {"type": "edit", "args": {"action": "send_email", "args": EDITED}},
        ),
    ],
)
def test_each_answer_that_is_allowed_comes_back_in_the_shape_that_resumes_the_graph(
    trunk: Branch, agent: Api, person: Api, answer: str, extra: Any, response: Any
) -> None:
    payload = interrupt(**{answer: True})
    data(push(agent, trunk, payload), 201)
    (row,) = data(person.get("approvals"))["results"]
    assert (row["action"], row["allow"]) == ("send_email", [answer])
    assert row["args"] == payload["action_request"]["args"]
    assert Item.objects.get().title == "send_email ward"
    refused = next(other for other in ANSWERS if other != answer)
    body = {"request_digest": row["request_digest"], "args": EDITED, "text": "x"}
    path = f"approvals/{row['id']}/answer"
    problem(person.post(path, {**body, "answer": refused}), 422, "answer_refused", "/answer")
    body = {"request_digest": row["request_digest"], "answer": answer, **extra}
    data(person.post(path, body))
    told = data(agent.get("directives"))["results"][-1]
    assert told["kind"] == "approval_answered"
    assert told["body"]["response"] == response


def test_who_asked_in_our_own_shape_is_told_no_response(
    trunk: Branch, agent: Api, person: Api
) -> None:
    own = {"approval_id": str(uuid4()), "action": "deploy", "args": {}}
    data(push(agent, trunk, own), 201)
    (row,) = data(person.get("approvals"))["results"]
    body = {"request_digest": row["request_digest"], "answer": "accept"}
    data(person.post(f"approvals/{row['id']}/answer", body))
    assert "response" not in Directive.objects.latest("pk").body


def test_an_interrupt_that_cannot_be_read_stores_nothing(trunk: Branch, agent: Api) -> None:
    before = trunk.head_seq
    answer = push(agent, trunk, interrupt())
    problem(answer, 422, "bad_approval", "/events/0/payload/config")
    nameless = interrupt(accept=True) | {"action_request": {"args": {}}}
    at = "/events/0/payload/action_request/action"
    problem(push(agent, trunk, nameless), 422, "bad_approval", at)
    trunk.refresh_from_db()
    assert trunk.head_seq == before
    assert not Item.objects.exists()
