"""Every POST that creates takes an Idempotency-Key: read off the schema, so none is forgotten."""

import json
from typing import Any, Final
from uuid import UUID

import pytest
from django.test import Client

from memory.consolidation.jobs import cancel_consolidation
from tests.access.policies import Row
from tests.access.table import API, pack_skill
from tests.access.world import World, make_clients
from tests.api_client import operations, schema
from verel_site.access.actors import SYSTEM

pytestmark = pytest.mark.django_db

# Another body for the same operation, as a field of it; text or bytes for what takes no JSON.
OTHER: Final[dict[str, Any]] = {
    "/api/v1/projects/<project>/runs": {"goal": "another"},
    "/api/v1/branches/<branch>/events": {"expected_seq": 1},
    "/api/v1/branches/<branch>/forks": {"override": "another"},
    "/api/v1/branches/<branch>/reports": {"summary": "another"},
    "/api/v1/branches/<branch>/reports/import": '<testsuite><testcase name="b"/></testsuite>',
    "/api/v1/suites": {"grader": "lint"},
    "/api/v1/suites/<suite>/results": {"passed": 0},
    "/api/v1/comparisons/<comparison>/label": {"choice": "right"},
    "/api/v1/merges": {"note": "another"},
    "/api/v1/memory/proposals": {"text": "another"},
    "/api/v1/memory/promotions": {"gate_decision": "11111111-1111-4111-8111-111111111111"},
    "/api/v1/memory/intentions": {"ttl_seconds": 10},
    "/api/v1/memory/skills/archives": pack_skill("another"),
    "/api/v1/memory/scores": {"scores": []},
    "/api/v1/memory/consolidations": {"project": "{project_id}"},
    "/api/v1/contests": {"reviewers": 2},
    "/api/v1/projects/<project>/pair-rules": {"on_finished": False},
    "/api/v1/datasets": {"filter": {"run": "11111111-1111-4111-8111-111111111111"}},
}


def entry(path: str) -> Any:
    return schema()["paths"][path]["post"]


def takes_key(path: str) -> bool:
    named = [part["name"] for part in entry(path).get("parameters", [])]
    return "Idempotency-Key" in named


CREATING: Final = [
    path for method, path in operations() if method == "POST" and "201" in entry(path)["responses"]
]
# They create nothing, and may still not be taken twice.
DECIDING: Final = ["/api/v1/memory/decisions", "/api/v1/memory/promotions/{promotion}/decide"]


def test_whatever_answers_201_takes_a_key_and_decisions_on_memory_do() -> None:
    taking = [path for method, path in operations() if method == "POST" and takes_key(path)]
    assert sorted(taking) == sorted([*CREATING, *DECIDING])


@pytest.mark.parametrize("path", CREATING)
def test_a_repeat_is_answered_once_and_another_body_is_a_conflict(path: str) -> None:
    address = path.replace("{", "<").replace("}", ">")
    assert address in OTHER, "name another body for it in OTHER"
    world, row = World(), API[f"POST {address}"]
    # A project has one consolidation under way, and the world's has one.
    cancel_consolidation(job_id=UUID(world.ids["consolidation"]), actor=SYSTEM)
    client = make_clients(world)[min(row.let_in)]
    first, again = (send(client, world, row, address) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201), first.content
    assert again.content == first.content
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    other = send(client, world, row, address, other=OTHER[address])
    assert other.status_code == 409, other.content
    assert other.json()["code"] == "idempotency_mismatch"


def send(client: Client, world: World, row: Row, address: str, *, other: Any = None) -> Any:
    text = other if isinstance(other, str | bytes) else row.raw
    body = text or json.dumps(world.fill(dict(row.body or {}) | (other or {})))
    return client.post(
        row.fill_address(address, world.ids),
        body,
        content_type="application/octet-stream" if text else "application/json",
        headers={"Idempotency-Key": "k-1"},
    )
