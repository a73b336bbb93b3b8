"""Builders of events, and Hypothesis strategies that make crooked lineages out of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from branches.domain.events import StoredEvent
from branches.domain.override import build_frame

TRUNK = UUID(int=1)
FORK = UUID(int=2)
START = datetime(2026, 1, 1, tzinfo=UTC)


def make_event(
    type: str, payload: Mapping[str, Any] | None = None, *, seq: int = 1, branch: UUID = TRUNK
) -> StoredEvent:
    return StoredEvent(
        event_id=UUID(int=branch.int * 10_000 + seq),
        branch=branch,
        seq=seq,
        type=type,
        source="agent",
        ts=START + timedelta(seconds=seq),
        payload=payload or {},
        digest=sha256(f"{type} {payload}".encode()).digest(),
        position=seq,
        parent_id=None,
        task_id=None,
    )


def number(events: list[StoredEvent], *, branch: UUID = TRUNK) -> list[StoredEvent]:
    """The same events, with the seq of their place and on one branch."""
    return [
        make_event(event.type, event.payload, seq=seq, branch=branch)
        for seq, event in enumerate(events, start=1)
    ]


def user(content: Any) -> StoredEvent:
    return make_event("data.message.user", {"content": content})


def system(content: Any) -> StoredEvent:
    return make_event("data.message.system", {"content": content})


def assistant(content: Any, *calls: tuple[str, str, Any]) -> StoredEvent:
    payload: dict[str, Any] = {"content": content}
    if calls:
        payload["tool_calls"] = [
            {"id": call_id, "name": name, "arguments": arguments}
            for call_id, name, arguments in calls
        ]
    return make_event("data.message.assistant", payload)


def thought(text: str) -> StoredEvent:
    return make_event("data.thought", {"text": text})


def call(call_id: str, name: str, arguments: Any) -> StoredEvent:
    payload = {"call_id": call_id, "name": name, "arguments": arguments}
    return make_event("data.tool.call", payload)


def result(call_id: str, content: Any, **more: Any) -> StoredEvent:
    return make_event("data.tool.result", {"call_id": call_id, "content": content, **more})


def patch(name: str, value: str) -> StoredEvent:
    return make_event("harness.variable.patched", {"name": name, "value": value})


def override(text: str) -> StoredEvent:
    frame = build_frame(directive=text)
    return make_event("harness.override.injected", {"text": text, "frame": frame})


texts = st.sampled_from(["", "yes", "Grüße\n", '"quoted"'])
ids = st.sampled_from(["c1", "c2", "c3"])
names = st.sampled_from(["Bash", "Edit"])
arguments = st.sampled_from([{}, {"b": 1, "a": [2.5, None]}, '{"cmd":"ls"}', "no json"])
contents = st.one_of(
    texts,
    st.lists(
        st.sampled_from(
            [
                {"kind": "text", "text": "part"},
                {"kind": "image", "mime": "image/png", "data": "aGk="},
                {"kind": "audio", "mime": "audio/wav", "data": "aGk="},
                {"kind": "image", "mime": "image/png", "blob": "ab" * 32},
            ]
        ),
        max_size=2,
    ),
)
calls = st.builds(call, ids, names, arguments)
results = st.builds(result, ids, contents)
answers = st.sampled_from(["accept", "edit", "respond", "ignore"]).map(
    lambda answer: make_event(
        "harness.approval.resolved",
        {"approval_id": "a", "answer": answer, "text": "do so", "args": {"n": "1\u2028"}},
    )
)
crooked = st.sampled_from(
    [
        make_event("data.message.user"),
        make_event("data.message.assistant", {"content": 3, "tool_calls": [None, {"id": 7}]}),
        make_event("data.tool.call", {"name": None, "arguments": [1]}),
        make_event("data.tool.result", {"content": {"free": "object"}, "call_id": None}),
        make_event("harness.override.injected", {"text": "no frame"}),
        make_event("data.state", {"variables": "none"}),
        make_event("harness.branch.paused", {"by": {}}),
        make_event("data.unheard.of", {"x": 1}),
    ]
)
any_event = st.one_of(
    calls,
    calls,
    results,
    results,
    st.builds(user, contents),
    st.builds(system, texts),
    st.builds(assistant, contents),
    st.builds(assistant, texts, st.tuples(ids, names, arguments)),
    st.builds(assistant, texts, st.tuples(ids, names, arguments), st.tuples(ids, names, arguments)),
    st.builds(thought, texts),
    st.builds(patch, names, texts),
    st.builds(override, texts),
    answers,
    crooked,
)
lineages = st.lists(any_event, max_size=14).map(number)
