import gzip
import json
from typing import Any
from uuid import uuid4

import pytest
import zstandard
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application

from branches.models import Branch
from tests.api_client import Api, data, problem
from tests.make import append, make_draft, make_fork, make_key, make_message, make_run

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


def make_event(**changes: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid4()),
        "type": "data.message.assistant",
        "source": "agent",
        "ts": "2026-11-20T12:00:00Z",
        "payload": {"content": "Done."},
        **changes,
    }


@pytest.fixture
def trunk() -> Branch:
    return make_run()[1]


@pytest.fixture
def api(trunk: Branch) -> Api:
    return Api(make_key(trunk.project, "events:write"))


def test_a_pushed_batch_is_read_back_as_it_was_sent(trunk: Branch, api: Api) -> None:
    first = make_event(task_id=str(uuid4()), payload={"b": 1e22, "a": [-0.0, None, "é 🎲"]})
    second = make_event(parent_id=first["event_id"])
    pushed = data(api.post(f"branches/{trunk.pk}/events", {"events": [first, second]}), 201)
    assert [row["seq"] for row in pushed["results"]] == [2, 3]
    assert pushed["head"] == {"seq": 3, "digest": pushed["results"][1]["digest"]}
    read = data(api.get(f"events?branch={trunk.pk}&source=agent"))["results"]
    for sent, got, told in zip([first, second], read, pushed["results"], strict=True):
        assert got["payload"] == sent["payload"]
        assert got["ts"] == "2026-11-20T12:00:00+00:00"
        assert got["task_id"] == sent.get("task_id")
        assert got["parent_id"] == sent.get("parent_id")
        assert {name: got[name] for name in ("event_id", "seq", "position", "digest")} == {
            name: told[name] for name in ("event_id", "seq", "position", "digest")
        }


def test_a_batch_sent_again_is_answered_with_the_first_rows(trunk: Branch, api: Api) -> None:
    body = {"events": [make_event(), make_event()]}
    first = data(api.post(f"branches/{trunk.pk}/events", body), 201)
    again = data(api.post(f"branches/{trunk.pk}/events", body), 200)
    assert all(row.pop("duplicate") for row in again["results"])
    assert not any(row.pop("duplicate") for row in first["results"])
    assert again == first


@pytest.mark.parametrize("kind", ["application/jsonl", "application/x-ndjson"])
@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_json_lines_are_a_batch(trunk: Branch, api: Api, kind: str, encoding: str) -> None:
    lines = b"\n".join(json.dumps(make_event()).encode() for _ in range(3)) + b"\n\n"
    headers = {"content_type": kind, **({"Content_Encoding": encoding} if encoding else {})}
    path = f"branches/{trunk.pk}/events?expected_seq=1"
    pack = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}.get(encoding, bytes)
    raw = pack(lines)
    assert len(data(api.post(path, raw, **headers), 201)["results"]) == 3
    moved = problem(api.post(path, json.dumps(make_event()).encode(), **headers_plain(kind)), 409,
                    "seq_moved", "/expected_seq")  # fmt: skip
    assert moved["current_seq"] == 4


def headers_plain(kind: str) -> dict[str, str]:
    return {"content_type": kind}


def test_the_fault_of_a_line_points_at_that_line(trunk: Branch, api: Api) -> None:
    lines = json.dumps(make_event()).encode() + b'\n{"event_id": NaN}\n'
    answer = api.post(f"branches/{trunk.pk}/events", lines, content_type="application/jsonl")
    problem(answer, 400, "malformed_json", "/events/1/event_id")


def test_events_are_found_by_each_filter(trunk: Branch, api: Api) -> None:
    task, parent = uuid4(), make_draft()
    append(trunk, parent)
    child = make_event(task_id=str(task), parent_id=str(parent.event_id), source="o'neil; --")
    data(api.post(f"branches/{trunk.pk}/events", {"events": [child]}), 201)
    make_fork(trunk, 1)

    def ids(query: str) -> list[str]:
        return [row["event_id"] for row in data(api.get(f"events?{query}"))["results"]]

    mine = child["event_id"]
    assert ids(f"event_id={mine}") == [mine]
    assert ids(f"task_id={task}") == [mine]
    assert ids(f"parent_id={parent.event_id}") == [mine]
    assert ids("source=o'neil%3B+--") == [mine]
    assert ids(f"type=data.message.assistant&branch={trunk.pk}") == [str(parent.event_id), mine]
    assert ids("type=data.message.assistant&task_id=null") == [str(parent.event_id)]
    assert ids(f"branch={uuid4()}") == []
    assert len(ids(f"run={trunk.run_id}")) == 3 + 3
    assert ids("type=null") == []


def test_the_cursor_walks_all_events_once_in_order(trunk: Branch, api: Api) -> None:
    append(trunk, *(make_message("user", str(index)) for index in range(7)))
    seen: list[int] = []
    cursor: int | None = 0
    while cursor is not None:
        page = data(api.get(f"events?limit=3&after={cursor}"))
        seen += [row["seq"] for row in page["results"]]
        cursor = page["next"]
    assert seen == list(range(1, 9))


def test_another_projects_events_are_not_there(trunk: Branch, api: Api) -> None:
    other = make_run()[1]
    assert data(api.get(f"events?branch={other.pk}"))["results"] == []
    problem(api.post(f"branches/{other.pk}/events", {"events": [make_event()]}), 404, "not_found")


@pytest.mark.django_db(transaction=True)
async def test_a_chunked_body_is_read_though_it_names_no_length() -> None:
    from asgiref.sync import sync_to_async

    trunk = (await sync_to_async(make_run)())[1]
    key = await sync_to_async(make_key)(
        await sync_to_async(lambda: trunk.project)(), "events:write"
    )
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": f"/api/v1/branches/{trunk.pk}/events",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"transfer-encoding", b"chunked"),
            (b"authorization", f"Bearer {key}".encode()),
        ],
    }
    communicator: Any = ApplicationCommunicator
    asked = communicator(get_asgi_application(), scope)
    body = json.dumps({"events": [make_event()]}).encode()
    await asked.send_input({"type": "http.request", "body": body[:40], "more_body": True})
    await asked.send_input({"type": "http.request", "body": body[40:], "more_body": False})
    assert (await asked.receive_output(10))["status"] == 201
