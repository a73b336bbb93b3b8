"""Schemathesis over the OpenAPI schema: each operation alone, and chains of them along its links.

Seeds are fixed, so that a run is the same run every time; what it costs is bounded by the numbers
below. Every answer is also held against the schema: its status, its media type, its shape.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.checks import not_a_server_error
from schemathesis.generation.stateful.state_machine import StepInput
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.access.table import API
from tests.access.world import KEYS, World
from tests.make import make_key

pytestmark = pytest.mark.django_db

EXAMPLES, CHAINS, STEPS = 12, 25, 10
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# What each chain begins with: a run, an event, a fork.
CREATIONS: Final = (
    "POST /api/v1/projects/{project}/runs",
    "POST /api/v1/branches/{branch}/events",
    "POST /api/v1/branches/{branch}/forks",
)
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def load() -> Any:
    generator: Any = SchemaGenerator
    raw = json.loads(json.dumps(generator().get_schema(public=True), default=str))
    for path in [path for path in raw["paths"] if not path.startswith("/api/v1/")]:
        del raw["paths"][path]
    schema = from_dict(raw)
    schema.app = get_wsgi_application()
    return schema


SCHEMA: Final = load()
OPERATIONS: Final = {made.ok().label: made.ok() for made in SCHEMA.get_all_operations()}


class Caller:
    """Asks each operation with a key that may, and of what is there as often as of what is not."""

    def __init__(self) -> None:
        self.world = World()
        self.keys = {who: make_key(self.world.project, who.removeprefix("key ")) for who in KEYS}

    def headers(self, case: Any) -> dict[str, str]:
        row = _row(case.operation)
        may = sorted(KEYS & row.let_in) if row is not None else []
        return {"Authorization": f"Bearer {self.keys[may[0] if may else 'key admin']}"}

    def settle(self, case: Any, *, chained: bool = False) -> None:
        parts = case.path_parameters or {}
        for name, value in parts.items():
            theirs = name in self.world.ids and not chained and _is_even(value)
            if name == "project" or theirs:
                parts[name] = self.world.ids[name]
        query = case.query or {}
        # A long poll is no fault, and would use up the time.
        query.pop("wait", None)
        if "project" in query:
            query["project"] = self.world.project.slug
        if isinstance(case.body, dict) and "project" in case.body:
            case.body["project"] = self.world.project.slug

    def make_sense(self, case: Any) -> None:
        """Every other body gives way to one that is taken, or a chain would hardly ever grow."""
        body = self.body_of(case.operation)
        if body and len(str(case.body)) % 2:
            case.body = body
            case.media_type = "application/json"

    def body_of(self, operation: Any) -> Any:
        """A body that the operation takes, of the table of routes; None where it needs none."""
        row = _row(operation)
        return self.world.fill(row.body) if row is not None else None


def _row(operation: Any) -> Any:
    path = operation.path.replace("{", "<").replace("}", ">")
    return API.get(f"{operation.method.upper()} {path}")


def _is_even(value: Any) -> bool:
    try:
        return UUID(str(value)).int % 2 == 0
    except ValueError:
        return True


@pytest.fixture
def caller() -> Iterator[Caller]:
    """All in the test's own transaction, whose connection no request may close."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield Caller()
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation_answers_whatever_it_is_sent_as_its_schema_says(
    label: str, caller: Caller
) -> None:
    @bounded
    @given(case=OPERATIONS[label].as_strategy())
    def ask(case: Any) -> None:
        caller.settle(case)
        response = case.call(headers=caller.headers(case))
        case.validate_response(response, checks=CHECKS)

    ask()


def test_chains_of_operations_answer_as_the_schema_says(caller: Caller) -> None:
    """Each begins with a run of its own, so that something is there to go on with."""
    created: Counter[str] = Counter()

    class Chains(SCHEMA.as_state_machine()):  # type: ignore[misc]  # a class made at run time
        def setup(self) -> None:
            # Each chain begins with the same world, or the same choices would lead elsewhere.
            self._undone = transaction.atomic()
            self._undone.__enter__()
            super().setup()
            parts = {"project": caller.world.project.slug}
            for label in CREATIONS:
                parts |= self.create(label, parts).response.json()

        def create(self, label: str, parts: dict[str, str]) -> Any:
            """One creation that cannot fail, and whose answer the chain may go on from."""
            case = OPERATIONS[label].Case(
                path_parameters={name: parts[name] for name in parts if f"{{{name}}}" in label},
                body=caller.body_of(OPERATIONS[label]),
                media_type="application/json",
            )
            self.recorder.record_case(case=case)
            output = self.step(StepInput.initial(case))
            self._add_results_to_targets(("",), [output])
            return output

        def teardown(self) -> None:
            super().teardown()
            transaction.set_rollback(True)
            self._undone.__exit__(None, None, None)

        def before_call(self, case: Any) -> None:
            super().before_call(case)
            caller.settle(case, chained=True)
            caller.make_sense(case)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": caller.headers(case)}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            created[case.operation.label] += response.status_code == 201
            case.validate_response(response, checks=CHECKS)

    run_state_machine_as_test(
        Chains, settings=settings(bounded, max_examples=CHAINS, stateful_step_count=STEPS)
    )
    assert all(created[label] >= CHAINS for label in CREATIONS), created
