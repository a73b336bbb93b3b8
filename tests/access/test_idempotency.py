import gzip
import json
import threading
from typing import Any

import pytest
from django.db import connection

from branches.models import Branch, Event, Run
from tests.api_client import Api, data, problem
from tests.branches.api.test_events import make_event
from tests.make import make_key, make_run, make_user
from verel_site.access.models import RememberedAnswer
from verel_site.access.rights import Role

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


@pytest.fixture
def trunk() -> Branch:
    return make_run()[1]


@pytest.fixture
def api(trunk: Branch) -> Api:
    return Api(make_key(trunk.project, "events:write", "branches:run"))


def keyed(api: Api, path: str, body: Any, key: str = "k-1", **headers: str) -> Any:
    return api.post(path, body, Idempotency_Key=key, **headers)


def test_a_repeat_is_answered_with_the_first_answer_byte_for_byte(trunk: Branch, api: Api) -> None:
    path = f"branches/{trunk.pk}/forks"
    body = {"fork_seq": 1, "override": "b = 1e22\na = -0.0\né = 🎲"}
    first = keyed(api, path, body)
    again = keyed(api, path, body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert not first.has_header("Idempotency-Replayed")
    assert again["Idempotency-Replayed"] == "true"
    assert Branch.objects.filter(parent=trunk).count() == 1


def test_another_request_under_the_same_key_is_refused(trunk: Branch, api: Api) -> None:
    path = f"projects/{trunk.project.slug}/runs"
    data(keyed(api, path, {"goal": "one"}), 201)
    refused = problem(keyed(api, path, {"goal": "two"}), 409, "idempotency_mismatch")
    assert refused["key"] == "k-1"
    other = keyed(api, f"branches/{trunk.pk}/forks", {"fork_seq": 1, "override": "x"})
    problem(other, 409, "idempotency_mismatch")
    assert Run.objects.count() == 2
    data(keyed(api, path, {"goal": "two"}, key="k-2"), 201)


def test_a_batch_is_remembered_by_its_hash_and_recognised_though_compressed(
    trunk: Branch, api: Api
) -> None:
    path = f"branches/{trunk.pk}/events"
    body = {"events": [make_event(payload={"content": "secret " * 100})]}
    first = keyed(api, path, body)
    packed = gzip.compress(json.dumps(body, indent=1).encode())
    again = keyed(api, path, packed, Content_Encoding="gzip")
    assert again.content == first.content
    # Without the key it would have been a 200 that names a duplicate.
    assert again.status_code == 201
    assert "secret" not in json.dumps(list(RememberedAnswer.objects.values("body")))


def test_a_refusal_is_not_remembered_and_leaves_nothing(trunk: Branch, api: Api) -> None:
    path = f"branches/{trunk.pk}/forks"
    problem(keyed(api, path, {"fork_seq": 9, "override": "x"}), 422, "unknown_fork_point",
            "/fork_seq")  # fmt: skip
    assert RememberedAnswer.objects.count() == 0
    data(keyed(api, path, {"fork_seq": 1, "override": "x"}), 201)


def test_keys_of_two_actors_do_not_meet(trunk: Branch, api: Api) -> None:
    path = f"branches/{trunk.pk}/forks"
    person = Api(user=make_user(trunk.project, Role.REVIEWER))
    data(keyed(api, path, {"fork_seq": 1, "override": "x"}), 201)
    answer = keyed(person, path, {"fork_seq": 1, "override": "y"})
    assert answer.status_code == 201
    assert Branch.objects.filter(parent=trunk).count() == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\tb"])
def test_a_key_that_is_none_is_refused(key: str, trunk: Branch, api: Api) -> None:
    answer = keyed(api, f"projects/{trunk.project.slug}/runs", {"goal": "x"}, key=key)
    assert problem(answer, 400, "bad_input")["parameter"] == "Idempotency-Key"
    assert Run.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_acts_and_the_others_replay() -> None:
    trunk = make_run()[1]
    key = make_key(trunk.project, "events:write")
    body = {"events": [make_event()]}
    answers: list[Any] = []
    start = threading.Barrier(6)

    def push() -> None:
        api = Api(key)
        start.wait()
        answers.append(keyed(api, f"branches/{trunk.pk}/events", body))
        connection.close()

    threads = [threading.Thread(target=push) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({answer.content for answer in answers}) == 1
    assert sum(answer.has_header("Idempotency-Replayed") for answer in answers) == 5
    assert Event.objects.filter(branch=trunk).count() == 2
