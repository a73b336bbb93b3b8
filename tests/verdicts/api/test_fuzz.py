"""No body, however odd, is answered with a 5xx, by any operation that takes one."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.access.table import API
from tests.access.world import World
from tests.api_client import ROOT, Api
from tests.make import make_key, make_user
from verel_site.access.rights import Role

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]

POSTS = sorted(name for name in API if not name.startswith(("GET", "ANY")))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0, -1])
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["", " ", "\0", "\ud800", "null", "00" * 32, "11" * 32, "x" * 300, "-0.0"])
    | st.uuids().map(str)
    | st.datetimes().map(lambda moment: f"{moment.isoformat()}+14:00")
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
names = [
    "goal", "run", "spec", "metadata", "events", "expected_seq", "lease_epoch", "event_id", "type",
    "source", "ts", "task_id", "parent_id", "payload", "schema_version", "fork_seq", "override",
    "note", "name", "claimable", "reason", "project", "worker", "seconds", "format", "epoch",
    "answer", "args", "text", "request_digest", "grader", "issues", "head_digest", "kind",
    "severity", "message", "locator", "confidence", "detail", "cost_usd", "elapsed_ms", "receipt",
    "trace", "artifacts", "capabilities", "winner", "losers", "expected_heads", "granularity",
    "bypass_reason", "filter",
]  # fmt: skip
events = st.fixed_dictionaries(
    {
        "event_id": st.uuids().map(str),
        "type": st.sampled_from(
            ["data.x", "data.message.assistant", "data.tool.call", "harness.approval.requested"]
        ),
        "source": st.just("agent"),
        "ts": st.just("2026-11-20T12:00:00Z"),
        "payload": st.dictionaries(
            st.sampled_from(
                ["content", "usage", "approval_id", "action", "allow", "args", "expires_at", "name"]
            ),
            anything | st.just({"output": 10**30}) | st.just(str(uuid4())),
        ),
    },
    optional=dict.fromkeys(("task_id", "parent_id", "schema_version", "branch"), anything),
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def callers(world: World) -> list[Api]:
    """Whoever may do anything at all, so that bodies get past permissions."""
    keys = [("events:write", "branches:run"), ("reports:write",), ("exports:read",)]
    return [
        Api(user=make_user(world.project, Role.ADMIN)),
        *(Api(make_key(world.project, *scopes)) for scopes in keys),
    ]


odd = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def address(world: World, operation: str) -> str:
    """Below the API's root."""
    filled = API[operation].fill_address(operation.split(" ")[1], world.ids)
    return filled.removeprefix(ROOT)


def send(world: World, callers: list[Api], operation: str, body: Any) -> None:
    method, path = operation.split(" ")[0], address(world, operation)
    for api in callers:
        answer = api.call(method, path, body, Idempotency_Key=str(uuid4()))
        assert answer.status_code < 500, (operation, body, answer.content)


@pytest.mark.parametrize("operation", POSTS)
def test_any_json_is_answered_below_500(operation: str, world: World, callers: list[Api]) -> None:
    known: dict[str, Any] = world.fill(dict(API[operation].body or {}))

    @odd
    @given(anything | st.dictionaries(st.sampled_from(names), anything, max_size=4))
    def arbitrary(body: Any) -> None:
        send(world, callers, operation, body)

    @odd
    @given(st.sampled_from([*known, *names]), anything)
    def one_field_off(name: str, value: Any) -> None:
        send(world, callers, operation, {**known, name: value})

    arbitrary()
    one_field_off()


def test_any_payload_and_any_bytes_are_answered_below_500(world: World, callers: list[Api]) -> None:
    operation = "POST /api/v1/branches/<branch>/events"

    @odd
    @given(st.lists(events, max_size=3))
    def batches(batch: list[dict[str, Any]]) -> None:
        send(world, callers, operation, {"events": batch})
        for format in ("openai", "anthropic", "events"):
            path = f"branches/{world.ids['branch']}/context?format={format}"
            assert callers[0].get(path).status_code < 500

    @odd
    @given(st.binary(max_size=60))
    def raw(body: bytes) -> None:
        send(world, callers, operation, body)

    batches()
    raw()


def test_any_query_is_answered_below_500(world: World, callers: list[Api]) -> None:
    reads = sorted(name for name in API if name.startswith(f"GET {ROOT}"))
    fields = ["after", "limit", "format", "upto", "status", "q", "project", "state", "name",
              "event_id", "branch", "run", "task_id", "type", "source"]  # fmt: skip

    @odd
    @given(
        st.sampled_from(reads),
        st.dictionaries(st.sampled_from(fields), st.binary(max_size=12) | st.just(b"9" * 30)),
    )
    def queries(operation: str, query: dict[str, bytes]) -> None:
        asked = "&".join(
            f"{name}={''.join(f'%{byte:02x}' for byte in value)}" for name, value in query.items()
        )
        for api in callers:
            answer = api.get(f"{address(world, operation)}?{asked}")
            assert answer.status_code < 500, (operation, query, answer.content)

    queries()
