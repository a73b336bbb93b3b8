"""What the log says of a request, and what it never says."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.test import Client

from tests.make import make_key, make_project, make_run, make_user
from verel_site.kit.logs import REQUESTS, Lines, mask

SECRET = "a payload that nobody may find in a log"


class Log:
    """Everything that the process logs, as production writes it."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(Lines())

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def requests(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["logger"] == REQUESTS]


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    root, requests = logging.getLogger(), logging.getLogger(REQUESTS)
    before = root.level, requests.level
    root.addHandler(log.handler)
    root.setLevel(logging.DEBUG)
    requests.setLevel(logging.DEBUG)
    yield log
    root.removeHandler(log.handler)
    root.setLevel(before[0])
    requests.setLevel(before[1])


@pytest.mark.django_db
def test_an_append_is_one_line_without_its_key_or_its_payload(log: Log) -> None:
    project = make_project()
    key = make_key(project, "events:write")
    branch = make_run(project)[1]
    event = {
        "event_id": str(uuid4()),
        "type": "data.percept",
        "source": "agent",
        "ts": "2026-11-20T12:00:00Z",
        "payload": {"text": SECRET},
    }
    answer = Client().post(
        f"/api/v1/branches/{branch.pk}/events?note={key}",
        {"events": [event]},
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 201
    (line,) = log.requests
    assert line["request_id"] == answer["X-Request-ID"]
    assert (line["method"], line["status"]) == ("POST", 201)
    assert line["path"] == f"/api/v1/branches/{branch.pk}/events"
    assert (line["actor"], line["project"]) == ("key", str(project.pk))
    assert line["ms"] > 0
    assert key not in log.text
    assert key.rpartition("_")[2] not in log.text
    assert SECRET not in log.text


@pytest.mark.django_db
def test_a_page_names_its_person_and_project_and_keeps_the_id_that_a_proxy_gave(log: Log) -> None:
    project = make_project()
    user = make_user(project)
    client = Client()
    client.force_login(user)
    answer = client.get(f"/p/{project.slug}/runs/", headers={"X-Request-ID": "proxy-7f3a9c"})
    assert answer["X-Request-ID"] == "proxy-7f3a9c"
    (line,) = log.requests
    assert (line["actor"], line["actor_id"]) == ("person", str(user.pk))
    assert (line["project"], line["request_id"]) == (project.slug, "proxy-7f3a9c")


@pytest.mark.django_db
@pytest.mark.parametrize("given", ["short", "x" * 65, 'forged", "level": "debug'])
def test_an_id_that_is_none_is_replaced(given: str) -> None:
    answer = Client().get("/healthz", headers={"X-Request-ID": given})
    assert answer["X-Request-ID"] != given
    assert len(answer["X-Request-ID"]) == 32


@pytest.mark.django_db
def test_a_sign_in_link_and_a_key_in_an_address_are_masked(log: Log) -> None:
    Client().get("/sign-in/a-token-that-opens/")
    Client().get("/nowhere/vk_abc_secretsecret/x")
    assert [line["path"] for line in log.requests] == ["/sign-in/***/", "/nowhere/vk_***/x"]
    assert "a-token-that-opens" not in log.text
    assert "secretsecret" not in log.text


@pytest.mark.django_db
def test_a_failure_is_logged_with_the_request_and_without_the_row_that_the_database_quotes(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise psycopg.errors.CheckViolation(
            f'new row violates check "x"\nDETAIL:  Failing row contains (1, {SECRET}).'
        )

    monkeypatch.setattr("verel_site.pages.look_at_all", fail)
    answer = Client(raise_request_exception=False).get("/readyz")
    assert answer.status_code == 500
    failures = [json.loads(line) for line in log.text.splitlines() if '"error": "' in line]
    assert failures
    assert all("CheckViolation" in failure["error"] for failure in failures)
    assert SECRET not in log.text


def test_masking_leaves_the_lines_round_what_it_masks() -> None:
    told = mask("before\nDETAIL:  Key (a)=(b)\n  more of it\nafter vk_1_2.")
    assert told == "before\nDETAIL: ***\nafter vk_***"
