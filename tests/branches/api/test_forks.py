from typing import Any

import pytest

from branches.domain import terms
from branches.models import Branch, Directive
from tests.api_client import Api, data, problem
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_key,
    make_message,
    make_run,
    make_user,
)
from verel_site.access.rights import Role

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


@pytest.fixture
def trunk() -> Branch:
    trunk = make_run()[1]
    append(trunk, make_message("user", "Cap it"), make_message("assistant", "At 80mg"))
    return trunk


@pytest.fixture
def person(trunk: Branch) -> Api:
    return Api(user=make_user(trunk.project, Role.REVIEWER))


def test_a_fork_says_what_it_read_and_where_its_prefix_is(trunk: Branch, person: Api) -> None:
    body = {"fork_seq": 2, "override": "Dose = 50mg\nStay below it.", "note": "too high"}
    fork = data(person.post(f"branches/{trunk.pk}/forks", body), 201)
    assert [(patch["name"], patch["value"]) for patch in fork["patches"]] == [("Dose", "50mg")]
    assert fork["patches"][0]["typed"] == {"kind": "quantity", "value": 50, "unit": "mg"}
    assert fork["unread"] == [{"line": 2, "text": "Stay below it."}]
    branch = data(person.get(f"branches/{fork['branch']}"))
    assert (branch["parent"], branch["fork_seq"], branch["base"]) == (str(trunk.pk), 2, 2)
    assert branch["head"] == fork["head"]
    assert branch["cached_prefix_id"] == fork["cached_prefix_id"]
    assert Directive.objects.get(branch_id=fork["branch"]).kind == "fork_claimable"


def test_parent_and_fork_render_the_shared_prefix_to_the_same_bytes(
    trunk: Branch, person: Api
) -> None:
    fork = make_fork(trunk, 2).branch
    for format in ("openai", "anthropic", "events"):
        told = data(person.get(f"branches/{fork.pk}/context?format={format}"))
        shared = data(person.get(f"branches/{trunk.pk}/context?format={format}&upto=2"))
        assert told["messages"][: len(shared["messages"])] == shared["messages"]
        assert told["cache_key"] == shared["cache_key"]
        assert told["cached_prefix_id"] == shared["cached_prefix_id"]
        assert told["variables"] == {"Dose": "50mg"}
        assert ("system" in told) == (format == "anthropic")


def test_a_context_ends_where_it_was_cut(trunk: Branch, person: Api) -> None:
    whole = data(person.get(f"branches/{trunk.pk}/context"))
    assert whole["head"] == {"seq": 3, "digest": bytes(trunk.head_digest).hex()}
    assert [message["role"] for message in whole["messages"]] == ["user", "assistant"]
    assert data(person.get(f"branches/{trunk.pk}/context?upto=0"))["messages"] == []


def test_a_person_pauses_resumes_completes_and_abandons(trunk: Branch, person: Api) -> None:
    path = f"branches/{trunk.pk}"
    assert data(person.post(f"{path}/pause", {"reason": "wait"}))["status"] == "paused"
    problem(person.post(f"{path}/pause"), 409, "move_refused")
    assert data(person.post(f"{path}/resume"))["status"] == "running"
    assert data(person.post(f"{path}/complete"))["status"] == "completed"
    problem(person.post(f"{path}/abandon"), 422, "reason_missing", "/reason")
    assert data(person.post(f"{path}/abandon", {"reason": "no use"}))["status"] == "abandoned"
    kinds = Directive.objects.filter(branch=trunk).values_list("kind", flat=True)
    assert list(kinds) == ["pause", "resume", "stop"]


def test_an_agent_completes_its_branch_and_no_more(trunk: Branch) -> None:
    agent = Api(make_key(trunk.project, "branches:run"))
    problem(agent.post(f"branches/{trunk.pk}/pause"), 403, "forbidden")
    assert data(agent.post(f"branches/{trunk.pk}/complete"))["status"] == "completed"


def test_a_session_without_its_token_may_read_and_not_write(trunk: Branch) -> None:
    user = make_user(trunk.project, Role.REVIEWER)
    browser = Api(user=user, enforce_csrf_checks=True)
    assert browser.get(f"branches/{trunk.pk}").status_code == 200
    problem(browser.post(f"branches/{trunk.pk}/pause"), 403, "permission_denied")
    trunk.refresh_from_db()
    assert trunk.status == "running"
    browser.client.cookies["csrftoken"] = "a" * 32
    answer = browser.post(f"branches/{trunk.pk}/pause", X_CSRFToken="a" * 32)
    assert data(answer)["status"] == "paused"


def test_a_contexts_head_is_the_branchs_though_its_last_event_is_no_part_of_it(
    trunk: Branch, person: Api
) -> None:
    append(trunk, make_draft(terms.PATCHED, {"name": "Dose", "value": "9"}))
    found = data(person.get(f"branches/{trunk.pk}/context"))
    assert found["head"] == {"seq": trunk.head_seq, "digest": bytes(trunk.head_digest).hex()}
    assert found["variables"] == {}


@pytest.mark.parametrize("blob", [[], {}, 7, None, "0" * 64])
def test_a_part_that_names_no_known_blob_does_not_spoil_the_context(
    blob: Any, trunk: Branch, person: Api
) -> None:
    part = {"kind": "image", "mime": "image/png", "blob": blob}
    append(trunk, make_draft(terms.USER, {"content": [part]}))
    assert data(person.get(f"branches/{trunk.pk}/context"))["messages"]
