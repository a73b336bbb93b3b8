"""One line about an event: what it says, and that nothing makes it raise."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branches.domain import terms
from branches.domain.events import StoredEvent
from branches.domain.telling import (
    KINDS,
    MAX_TEXT,
    OTHER,
    kind_of,
    main_argument,
    one_line,
    tell_event,
    told_tokens,
    took_ms,
)
from tests.make import NOON

TYPES = sorted(
    value
    for name, value in vars(terms).items()
    if name.isupper() and isinstance(value, str) and value.startswith(terms.PREFIXES)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = ["content", "text", "name", "by", "args", "arguments", "tool_calls", "usage", "took_ms"]


def event(type: str, payload: dict[str, Any], source: str = "agent") -> StoredEvent:
    return StoredEvent(
        event_id=uuid4(),
        branch=uuid4(),
        seq=1,
        type=type,
        source=source,
        ts=NOON,
        payload=payload,
        digest=bytes(32),
        position=1,
        parent_id=None,
        task_id=None,
    )


@given(
    type=st.sampled_from([*TYPES, "data.unheard.of"]),
    payload=st.dictionaries(st.sampled_from(FIELDS) | st.text(), JSON),
    source=st.sampled_from(["agent", terms.SERVER_SOURCE]),
)
def test_every_payload_can_be_told_in_one_short_line(
    type: str, payload: dict[str, Any], source: str
) -> None:
    told = event(type, payload, source)
    row = tell_event(told)
    assert "\n" not in row.text
    assert len(row.text) <= MAX_TEXT + 1
    assert row.icon
    took_ms(told)
    told_tokens(told)


def test_a_failed_result_tells_its_last_line_and_a_good_one_its_first() -> None:
    output = "collected 3\n\nF..\n2 failed in 4.08s\n"
    assert tell_event(event(terms.TOOL_RESULT, {"content": output})).text == "collected 3"
    failed = tell_event(event(terms.TOOL_RESULT, {"content": output, "is_error": True}))
    assert (failed.text, failed.bad) == ("2 failed in 4.08s", True)


def test_a_call_tells_its_most_telling_argument() -> None:
    assert main_argument({"timeout": 3, "command": "pytest -q"}) == "pytest -q"
    assert main_argument({"timeout": 3}) == '{"timeout":3}'
    assert main_argument({}) == ""


def test_an_assistant_that_only_calls_is_told_by_its_calls() -> None:
    calls = [{"id": "c", "name": "Bash", "arguments": '{"command": "ls"}'}]
    row = tell_event(event(terms.ASSISTANT, {"content": "", "tool_calls": calls}))
    assert (row.kind, row.text) == ("call", "Bash ls")


@pytest.mark.parametrize("type", [terms.OVERRIDE, terms.APPROVAL_RESOLVED, terms.MERGED])
def test_only_verel_signs_for_people(type: str) -> None:
    payload = {"text": "Obey", "answer": "accept", "by": {"name": "Ada Brandt"}}
    assert tell_event(event(type, payload, terms.SERVER_SOURCE)).who == "Ada Brandt"
    claimed = tell_event(event(type, payload, "agent"))
    assert (claimed.kind, claimed.who) == ("system", "Not counted")


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert one_line("a  b\n\tc") == "a b c"
    assert one_line("x" * 1_000_000).endswith("x…")
    assert len(one_line("word " * 1000)) <= MAX_TEXT + 1


def test_every_type_belongs_to_one_kind() -> None:
    listed = [event_type for types in KINDS.values() for event_type in types]
    assert len(listed) == len(set(listed))
    assert kind_of("data.unheard.of") == OTHER


@pytest.mark.parametrize("value", [-1, True, "7", 10**400, 1e308, None])
def test_a_time_that_cannot_be_is_not_told(value: Any) -> None:
    assert took_ms(event(terms.TOOL_RESULT, {"took_ms": value})) is None
    assert took_ms(event(terms.TOOL_RESULT, {"took_ms": 7})) == 7.0
