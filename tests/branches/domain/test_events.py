"""Readings of payloads: total, and the same for every room."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branches.domain.events import Call, calls_of, plain_text, told_calls
from tests.branches.domain.make_events import assistant, call, lineages, make_event, user

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "text", "mime", "data", "x"]), inner)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("as it is", "as it is"),
        (None, ""),
        ([], ""),
        ([{"kind": "text", "text": "a"}, {"kind": "text", "text": "b"}], "a\nb"),
        ([{"kind": "image", "mime": "image/png", "data": "aGk="}], "[image image/png]"),
        ([{"kind": "audio", "mime": "audio/wav", "blob": "ab"}], "[audio audio/wav]"),
        (["bare", {"odd": 1}], 'bare\n{"odd":1}'),
        ({"free": [1]}, '{"free":[1]}'),
    ],
)
def test_content_becomes_text(content: object, text: str) -> None:
    assert plain_text(content) == text


@given(json_values)
def test_every_json_value_is_some_text(content: Any) -> None:
    assert isinstance(plain_text(content), str)


@pytest.mark.parametrize(
    ("arguments", "text", "value"),
    [
        ({"b": 1, "a": "ä"}, '{"b":1,"a":"ä"}', {"b": 1, "a": "ä"}),
        ('{"b": 1}', '{"b": 1}', {"b": 1}),
        ("no json", "no json", {"arguments": "no json"}),
        ("[1]", "[1]", {"arguments": "[1]"}),
        ("", "", {}),
        (None, "{}", {}),
        ([1], "[1]", {"arguments": [1]}),
    ],
)
def test_arguments_read_as_text_and_as_object(arguments: object, text: str, value: object) -> None:
    read = Call("c", "Bash", arguments)
    assert read.arguments_text == text
    assert read.arguments_object == value


def test_calls_are_read_from_messages_and_from_events() -> None:
    assert calls_of(assistant("", ("c1", "Bash", {}))) == (Call("c1", "Bash", {}),)
    assert calls_of(call("c1", "Bash", {})) == (Call("c1", "Bash", {}),)
    assert calls_of(user("hi")) == ()
    assert calls_of(make_event("data.message.assistant", {"tool_calls": [None, 3]})) == ()


def test_a_call_told_twice_is_told_once_and_a_reused_id_is_a_new_call() -> None:
    events = [assistant("", ("c1", "Bash", {})), call("c1", "Bash", {}), call("c1", "Edit", {})]
    assert [[c.name for c in calls] for _, calls in told_calls(events)] == [["Bash"], [], ["Edit"]]


@given(lineages)
def test_telling_calls_keeps_every_event_in_order(events: list[Any]) -> None:
    assert [event for event, _ in told_calls(events)] == events
