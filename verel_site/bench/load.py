"""Agent work to measure with: prose and code that every Python has, cut into events.

None of it is what the compression dictionary was trained on.
"""

import inspect
import json
import random
import tarfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pydoc_data import topics
from typing import Any, Final
from uuid import UUID

from django.db import connection

from branches.domain import terms
from branches.journal import Draft, append_events
from branches.models import Branch
from branches.runs import start_run
from verel_site.access.actors import SYSTEM
from verel_site.access.keys import create_key
from verel_site.access.models import Project
from verel_site.access.projects import create_project
from verel_site.bench.served import Call

PAYLOAD_BYTES: Final = 700
NOON: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
FILLED_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class Ground:
    """A project of its own to measure in, and keys of an agent and of a person's script."""

    project: Project
    agent_key: str
    steering_key: str


def make_ground(name: str) -> Ground:
    make_empty_table()
    project = create_project(slug=f"bench-{name}-{Project.objects.count()}")
    _, agent = create_key(project=project, scopes=["events:write", "context:read"], name="agent")
    _, steering = create_key(
        project=project, scopes=["branches:run", "context:read"], name="steering"
    )
    return Ground(project, agent, steering)


def make_trunk(project: Project) -> Branch:
    return start_run(project_id=project.pk, actor=SYSTEM, goal="Be measured")[1]


def make_empty_table() -> None:
    """What the empty write request of `bench.urls` writes to."""
    serial = "bigserial PRIMARY KEY" if connection.vendor == "postgresql" else "integer PRIMARY KEY"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS bench_empty (id {serial}, told text)")


@cache
def _prose() -> str:
    return " ".join(" ".join(topics.topics.values()).split())


@cache
def _code() -> str:
    return inspect.getsource(tarfile) + inspect.getsource(zipfile)


def make_wire_events(count: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """Events as an agent pushes them, with payloads of about PAYLOAD_BYTES; equal for equal seeds."""
    pick = random.Random(seed)  # noqa: S311 -- repeatable, not secret
    kinds = (_say, _answer, _call, _result)
    return [
        {
            "event_id": str(UUID(int=pick.getrandbits(128), version=4)),
            "type": (told := kinds[index % len(kinds)](pick))[0],
            "source": "bench-agent",
            "ts": f"2026-11-20T12:{index // 60 % 60:02}:{index % 60:02}.{index % 1000:03}Z",
            "payload": told[1],
        }
        for index in range(count)
    ]


def make_batches(branch: Branch, count: int, *, rows: int, seed: int) -> list[Call]:
    """Requests that push `count` events to a branch, `rows` at a time."""
    events = make_wire_events(count, seed=seed)
    return [
        (
            "POST",
            f"/api/v1/branches/{branch.pk}/events",
            json.dumps({"events": events[start : start + rows]}).encode(),
        )
        for start in range(0, count, rows)
    ]


def make_drafts(count: int, *, seed: int = 1) -> list[Draft]:
    return [
        Draft(
            type=event["type"],
            source=event["source"],
            ts=NOON,
            payload=event["payload"],
            event_id=UUID(event["event_id"]),
        )
        for event in make_wire_events(count, seed=seed)
    ]


def fill_branch(branch: Branch, count: int, *, seed: int = 1) -> None:
    """Appends that many events."""
    drafts = make_drafts(count, seed=seed)
    for start in range(0, count, FILLED_AT_ONCE):
        rows = drafts[start : start + FILLED_AT_ONCE]
        append_events(branch_id=branch.pk, actor=SYSTEM, drafts=rows)


type _Told = tuple[str, dict[str, Any]]


def _cut(pick: random.Random, text: str, size: int) -> str:
    start = pick.randrange(len(text) - size)
    return text[start : start + size]


def _call_id(pick: random.Random) -> str:
    return f"call_{pick.getrandbits(96):024x}"


def _say(pick: random.Random) -> _Told:
    return terms.USER, {"content": _cut(pick, _prose(), PAYLOAD_BYTES - 20)}


def _answer(pick: random.Random) -> _Told:
    arguments = {"path": f"src/{_cut(pick, _prose(), 12)}.py", "limit": pick.randrange(400)}
    call = {"id": _call_id(pick), "name": "read_file", "arguments": arguments}
    usage = {"uncached": pick.randrange(900), "cache_read": pick.randrange(90_000), "output": 181}
    text = _cut(pick, _prose(), PAYLOAD_BYTES - 230)
    return terms.ASSISTANT, {"content": text, "tool_calls": [call], "usage": usage}


def _call(pick: random.Random) -> _Told:
    arguments = {"path": "src/archive.py", "new_text": _cut(pick, _code(), PAYLOAD_BYTES - 150)}
    return terms.TOOL_CALL, {"call_id": _call_id(pick), "name": "edit", "arguments": arguments}


def _result(pick: random.Random) -> _Told:
    text = _cut(pick, _code(), PAYLOAD_BYTES - 120)
    return terms.TOOL_RESULT, {
        "call_id": _call_id(pick),
        "content": text,
        "is_error": False,
        "took_ms": pick.randrange(5000),
    }
