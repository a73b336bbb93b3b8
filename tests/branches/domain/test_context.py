"""Rehydration: pairing of calls, three formats, and one prefix for parent and fork."""

import json
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branches.domain.context import (
    NO_RESULT,
    ContextFormat,
    ToolCall,
    mark_block,
    render_context,
    repeated_calls,
)
from branches.domain.events import StoredEvent, compact_json, json_bytes
from branches.domain.override import build_frame
from branches.domain.wire import BEGIN
from tests.branches.domain.make_events import (
    FORK,
    any_event,
    assistant,
    call,
    lineages,
    make_event,
    number,
    override,
    patch,
    result,
    system,
    thought,
    user,
)

FORMATS: tuple[ContextFormat, ...] = get_args(ContextFormat.__value__)
PNG = {"kind": "image", "mime": "image/png", "data": "aGk="}
WAV = {"kind": "audio", "mime": "audio/x-wav", "data": "aGk="}


def openai(*events: StoredEvent) -> list[dict[str, Any]]:
    return render_context(number(list(events)), format="openai").messages


def anthropic(*events: StoredEvent) -> list[dict[str, Any]]:
    return render_context(number(list(events)), format="anthropic").messages


def function(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def tool(call_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


# OpenAI


def test_a_message_and_the_calls_after_it_are_one_message() -> None:
    assert openai(
        user("Fix it"),
        assistant("Let me look."),
        call("c1", "Bash", {"z": 1, "a": "ä"}),
        call("c2", "Bash", '{"cmd": "ls"}'),
        result("c2", "two"),
        result("c1", "one"),
        assistant("Done."),
    ) == [
        {"role": "user", "content": "Fix it"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                function("c1", "Bash", '{"z":1,"a":"ä"}'),
                function("c2", "Bash", '{"cmd": "ls"}'),
            ],
        },
        tool("c2", "two"),
        tool("c1", "one"),
        {"role": "assistant", "content": "Done."},
    ]


def test_calls_without_a_message_open_their_own() -> None:
    opened = {"role": "assistant", "content": None, "tool_calls": [function("c1", "Bash", "{}")]}
    assert openai(user("Go"), call("c1", "Bash", {}))[1] == opened
    assert openai(thought("Hm."), call("c1", "Bash", {})) == [
        {"role": "assistant", "content": "Hm."},
        opened,
    ]


def test_a_call_after_a_result_is_a_new_message() -> None:
    roles = [
        message["role"]
        for message in openai(
            call("c1", "Bash", {}), result("c1", "1"), call("c2", "Bash", {}), result("c2", "2")
        )
    ]
    assert roles == ["assistant", "tool", "assistant", "tool"]


def test_calls_announced_and_run_one_by_one_stay_one_message() -> None:
    messages = openai(
        assistant("", ("c1", "Bash", {}), ("c2", "Edit", {})),
        call("c1", "Bash", {}),
        result("c1", "1"),
        call("c2", "Edit", {}),
        result("c2", "2"),
    )
    assert [m["role"] for m in messages] == ["assistant", "tool", "tool"]
    assert [c["id"] for c in messages[0]["tool_calls"]] == ["c1", "c2"]


def test_an_id_used_again_is_a_call_of_its_own() -> None:
    messages = openai(
        call("c1", "Bash", {}), result("c1", "1"), call("c1", "Edit", {}), result("c1", "2")
    )
    assert [m["role"] for m in messages] == ["assistant", "tool", "assistant", "tool"]


def test_unanswered_calls_are_answered_when_something_else_is_said() -> None:
    assert openai(
        call("c1", "Bash", {}), call("c2", "Edit", {}), result("c2", "ok"), override("Stop.")
    )[1:] == [
        tool("c2", "ok"),
        tool("c1", NO_RESULT),
        {"role": "system", "content": build_frame(directive="Stop.")},
    ]


def test_an_open_group_at_the_end_stays_open() -> None:
    assert len(openai(call("c1", "Bash", {}))) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [({}, "[result of Bash] late"), ({"name": "Shell"}, "[result of Shell] late")],
)
def test_a_result_that_comes_too_late_is_a_user_message(more: dict[str, str], said: str) -> None:
    messages = openai(call("c1", "Bash", {}), user("Wait"), result("c1", "late", **more))
    assert messages[-1] == {"role": "user", "content": said}


def test_a_result_of_an_unknown_call_is_a_user_message() -> None:
    assert openai(result("c9", "odd")) == [{"role": "user", "content": "[result of c9] odd"}]


def test_a_call_without_an_id_gets_one_that_depends_on_nothing_else() -> None:
    nameless = make_event("data.tool.call", {"name": "Bash", "arguments": {}})
    calls = openai(nameless, nameless)[0]["tool_calls"]
    assert [c["id"] for c in calls] == ["unnamed_1", "unnamed_2"]


def test_parts_are_written_as_the_api_wants_them() -> None:
    parts = [
        {"kind": "text", "text": "See"},
        PNG,
        WAV,
        {"kind": "image", "mime": "image/png", "blob": "ab12"},
    ]
    assert openai(user(parts))[0]["content"] == [
        text("See"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        text("[image image/png blob ab12]"),
    ]
    assert anthropic(user(parts))[0]["content"] == [
        text("See"),
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
        },
        text("[audio audio/x-wav]"),
        text("[image image/png blob ab12]"),
    ]


def test_a_name_goes_with_its_message() -> None:
    named = make_event("data.message.user", {"content": "hi", "name": "ines"})
    assert openai(named) == [{"role": "user", "name": "ines", "content": "hi"}]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"answer": "accept"}, {"role": "system", "content": "[APPROVAL] push: accept"}),
        (
            {"answer": "edit", "args": {"to": "dev\u2028\n"}},
            {"role": "system", "content": '[APPROVAL] push: edit {"to":"dev\\u2028\\n"}'},
        ),
        (
            {"answer": "ignore", "text": "not\nnow"},
            {"role": "system", "content": "[APPROVAL] push: ignore (not\\nnow)"},
        ),
        ({"answer": "respond", "text": "Use dev."}, {"role": "user", "content": "Use dev."}),
    ],
)
def test_an_answer_to_an_approval_is_told(payload: dict[str, Any], message: dict[str, Any]) -> None:
    request = make_event("harness.approval.requested", {"approval_id": "a", "action": "push"})
    answer = make_event("harness.approval.resolved", {"approval_id": "a", **payload})
    assert openai(request, answer) == [message]


def test_other_harness_events_are_no_messages() -> None:
    quiet = [
        make_event("harness.branch.paused"),
        make_event("harness.error", {"message": "x"}),
        make_event("data.usage", {"uncached": 1}),
        make_event("data.unknown", {"x": 1}),
        patch("Dose", "50mg"),
    ]
    assert openai(*quiet) == []
    assert len(openai(assistant("a"), *quiet, call("c1", "Bash", {}))) == 1


# Anthropic


def test_leading_system_messages_travel_apart_and_later_ones_as_user_messages() -> None:
    context = render_context(
        number([system("Be kind."), system(""), user("Hi"), system("Be brief.")]),
        format="anthropic",
    )
    assert context.system == [text("Be kind.")]
    assert context.messages == [{"role": "user", "content": [text("Hi"), text("Be brief.")]}]


def test_the_frame_is_a_user_message_even_where_nothing_was_said_before() -> None:
    context = render_context(number([system("Be kind."), override("Stop.")]), format="anthropic")
    frame = build_frame(directive="Stop.")
    assert context.messages == [{"role": "user", "content": [text(frame)]}]


def test_calls_are_tool_use_blocks_and_results_blocks_of_user_messages() -> None:
    assert anthropic(
        assistant("Look.", ("c1", "Bash", '{"cmd": "ls"}')),
        call("c2", "Edit", {"path": "a"}),
        result("c1", [PNG, {"kind": "text", "text": ""}], is_error=True),
        assistant(""),
        call("c3", "Bash", "no json"),
    ) == [
        {"role": "user", "content": [text(BEGIN)]},
        {
            "role": "assistant",
            "content": [
                text("Look."),
                {"type": "tool_use", "id": "c1", "name": "Bash", "input": {"cmd": "ls"}},
                {"type": "tool_use", "id": "c2", "name": "Edit", "input": {"path": "a"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "content": [
                        {
                            "type": "image",
                            "source": {
                                "type": "base64",
                                "media_type": "image/png",
                                "data": "aGk=",
                            },
                        }
                    ],
                    "is_error": True,
                },
                {"type": "tool_result", "tool_use_id": "c2", "content": [text(NO_RESULT)]},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {
                    "type": "tool_use",
                    "id": "c3",
                    "name": "Bash",
                    "input": {"arguments": "no json"},
                }
            ],
        },
    ]


def test_what_one_role_says_in_a_row_is_one_message() -> None:
    messages = anthropic(
        user("a"), user("Stop."), thought("Hm."), assistant("So."), call("c1", "Bash", {}),
        result("c1", "ok"), user("b"),
    )  # fmt: skip
    assert [m["role"] for m in messages] == ["user", "assistant", "user"]
    assert [b["type"] for b in messages[1]["content"]] == ["text", "text", "tool_use"]
    assert [b["type"] for b in messages[2]["content"]] == ["tool_result", "text"]


def test_an_id_used_again_or_unfit_for_the_api_is_another_in_every_place() -> None:
    messages = anthropic(
        user("a"), call("c1", "Bash", {}), result("c1", "1"), call("c1", "Bash", {}),
        result("c1", "2"), call("functions.Bash:0", "Bash", {}), call("functions_Bash_0", "B", {}),
    )  # fmt: skip
    blocks = [block for message in messages for block in message["content"]]
    used = [block["id"] for block in blocks if block["type"] == "tool_use"]
    answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    assert used[:2] == answered == ["c1", "c1_2"]
    assert len(set(used)) == 4
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", call_id) for call_id in used)


@pytest.mark.parametrize("blank", ["", " \n", [{"kind": "text", "text": "\t"}]])
def test_blank_texts_are_not_said(blank: object) -> None:
    assert anthropic(user(blank), assistant(blank), user("a")) == [
        {"role": "user", "content": [text("a")]}
    ]


def test_what_an_api_refuses_of_a_role_or_a_kind_is_named_in_words() -> None:
    svg, flac = {**PNG, "mime": "image/svg+xml"}, {**WAV, "mime": "audio/flac"}
    for render in (openai, anthropic):
        assert render(user([svg, flac]))[0]["content"] == [
            text("[image image/svg+xml]"),
            text("[audio audio/flac]"),
        ]
        assert render(user("Draw."), assistant([PNG]))[1]["content"] == [text("[image image/png]")]
    assert openai(system([PNG]))[0]["content"] == [text("[image image/png]")]
    leading = render_context(number([system([PNG])]), format="anthropic").system
    assert leading == [text("[image image/png]")]


def test_a_name_is_made_fit_for_the_api() -> None:
    named = make_event("data.message.user", {"content": "hi", "name": "Ada <Lovelace>" + "x" * 99})
    assert openai(named)[0]["name"] == f"Ada_Lovelace_{'x' * 51}"


# Events and facts


def test_the_format_events_shows_every_event_as_on_the_wire() -> None:
    (event,) = number([patch("Dose", "50mg")])
    assert render_context([event], format="events").messages == [
        {
            "event_id": str(event.event_id),
            "branch": str(event.branch),
            "seq": 1,
            "type": "harness.variable.patched",
            "source": "agent",
            "ts": "2026-01-01T00:00:01+00:00",
            "payload": {"name": "Dose", "value": "50mg"},
        }
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_variables_and_tools_are_folded_over_the_lineage(format: ContextFormat) -> None:
    tools = [{"type": "function", "function": {"name": "Bash"}}]
    context = render_context(
        number(
            [
                make_event("harness.run.started", {"goal": "g", "tools": tools}),
                make_event("data.state", {"variables": {"Dose": "45mg", "n": 3}}),
                patch("Dose", "50mg"),
            ]
        ),
        format=format,
    )
    assert context.variables == {"Dose": "50mg", "n": 3}
    assert context.tools == tools


def test_breakpoints_stand_before_each_fork_or_override_and_at_the_end() -> None:
    trunk = number([user("a"), assistant("b"), call("c1", "Bash", {})])
    fork = number([patch("x", "1"), override("Stop."), assistant("ok")], branch=FORK)
    context = render_context([*trunk, *fork], format="openai")
    assert [m["role"] for m in context.messages] == [
        "user",
        "assistant",
        "tool",
        "system",
        "assistant",
    ]
    assert context.breakpoints == [1, 4]


def test_there_are_at_most_four_breakpoints_the_latest() -> None:
    events = number([event for n in range(9) for event in (user(str(n)), override(str(n)))])
    assert render_context(events, format="openai").breakpoints == [12, 14, 16, 17]


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_lineage_is_an_empty_context(format: ContextFormat) -> None:
    context = render_context([], format=format)
    assert (context.messages, context.breakpoints, context.approx_tokens) == ([], [], 1)


# Properties


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=60)
@given(events=lineages, later=st.lists(any_event, max_size=3))
def test_every_prefix_renders_to_the_same_bytes_for_parent_and_fork(
    format: ContextFormat, events: list[StoredEvent], later: list[StoredEvent]
) -> None:
    for cut in range(len(events) + 1):
        parent = render_context(events[:cut], format=format)
        count = len(parent.messages)
        for first in ([patch("x", "1"), override("Stop.")], []):
            suffix = number([*first, *later], branch=FORK)
            fork = render_context([*events[:cut], *suffix], format=format)
            assert compact_json(fork.messages[:count]) == compact_json(parent.messages)
            assert count == 0 or compact_json(fork.system) == compact_json(parent.system)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=60)
@given(events=lineages)
def test_only_the_last_message_may_grow_when_a_branch_goes_on(
    format: ContextFormat, events: list[StoredEvent]
) -> None:
    whole = render_context(events, format=format)
    for cut in range(len(events) + 1):
        settled = render_context(events[:cut], format=format).messages[:-1]
        assert compact_json(whole.messages[: len(settled)]) == compact_json(settled)


@given(lineages)
def test_a_tool_message_answers_a_call_of_the_message_it_follows(
    events: list[StoredEvent],
) -> None:
    waiting: list[str] = []
    for message in render_context(events, format="openai").messages:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        else:
            assert waiting == []
            waiting = [c["id"] for c in message.get("tool_calls", [])]
            assert len(set(waiting)) == len(waiting)


def together(messages: Sequence[Any]) -> list[tuple[str, list[Any]]]:
    """As the API takes them: messages of one role that follow each other are one turn."""
    return [
        (role, [block for message in turn for block in message["content"]])
        for role, turn in groupby(messages, key=lambda message: message["role"])
    ]


@given(lineages)
def test_a_tool_result_block_answers_a_tool_use_of_the_message_it_follows(
    events: list[StoredEvent],
) -> None:
    waiting: list[str] = []
    seen: list[str] = []
    turns = together(render_context(events, format="anthropic").messages)
    for place, (role, blocks) in enumerate(turns, start=1):
        kinds = [block["type"] for block in blocks]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        # What answers stands first, in the one turn after the calls.
        assert kinds[: len(results)] == ["tool_result"] * len(results)
        assert set(results) <= set(waiting)
        # At the very end a call may still wait.
        assert set(results) == set(waiting) or place == len(turns)
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        seen += waiting
        assert role == "assistant" or not waiting
    assert len(set(seen)) == len(seen)


@given(lineages)
def test_turns_alternate_and_begin_with_a_user(events: list[StoredEvent]) -> None:
    # A frame begins a turn of its own, which the API takes together with a user's before.
    plain = [event for event in events if event.type != "harness.override.injected"]
    roles = [m["role"] for m in render_context(plain, format="anthropic").messages]
    assert roles == [("user", "assistant")[place % 2] for place in range(len(roles))]


@given(lineages)
def test_cache_points_are_at_most_four_blocks_that_can_carry_one(
    events: list[StoredEvent],
) -> None:
    context = render_context(events, format="anthropic")
    texts = [json_bytes(message) for message in context.messages]
    for message, block in context.cache_points:
        texts[message] = mark_block(texts[message], block)
    messages = [json.loads(message) for message in texts]
    marked = [
        block
        for message in messages
        for block in message["content"]
        if block.pop("cache_control", None)
    ]
    assert len(marked) == len(context.cache_points) <= 4
    assert bool(marked) == bool(context.messages)
    assert messages == context.messages


def test_a_cache_point_stands_on_the_last_block_before_the_fork() -> None:
    trunk = number([user("a"), assistant("b"), user("c"), user("d")])
    fork = number([override("Stop."), assistant("ok")], branch=FORK)
    context = render_context([*trunk, *fork], format="anthropic")
    assert context.cache_points == [(2, 1), (4, 0)]
    assert context.messages[2]["content"][1] == text("d")
    assert context.breakpoints == [2, 4]


def test_nothing_of_a_fork_enters_a_message_of_its_parent() -> None:
    trunk = number([user("a"), assistant("b")])
    fork = number([call("c1", "Bash", {}), result("c1", "ok")], branch=FORK)
    for format in FORMATS:
        count = len(render_context(trunk, format=format).messages)
        whole = render_context([*trunk, *fork], format=format).messages
        assert whole[:count] == render_context(trunk, format=format).messages


@pytest.mark.parametrize("format", FORMATS)
@given(events=lineages)
def test_figures_agree_with_the_messages(format: ContextFormat, events: list[StoredEvent]) -> None:
    context = render_context(events, format=format)
    size = len(compact_json([*context.system, *context.messages]).encode())
    assert context.approx_tokens == (size + 3) // 4
    assert context.breakpoints == sorted(set(context.breakpoints))
    assert len(context.breakpoints) <= 4
    if context.messages:
        assert context.breakpoints[-1] == len(context.messages) - 1


@pytest.mark.parametrize(
    "text",
    ['{"a":NaN}', '{"a":-Infinity}', '{"a":1e400}', '{"a":"\\ud800"}', '{"a":' * 5000, '["a"]'],
)
def test_argument_text_that_is_no_object_to_be_written_again_stays_text(text: str) -> None:
    called = anthropic(user("a"), call("c1", "Bash", text))[1]["content"][0]
    assert called["input"] == {"arguments": text}


# Calls that may run again


def test_calls_left_behind_are_listed_once_with_their_count() -> None:
    later = number(
        [
            assistant("", ("c1", "Edit", {"path": "a"}), ("c2", "Bash", {"cmd": "ls"})),
            call("c1", "Edit", {"path": "a"}),
            result("c1", "ok"),
            call("c9", "Bash", '{"cmd":"ls"}'),
            user("hi"),
        ]
    )
    assert repeated_calls(later) == [
        ToolCall("Edit", '{"path":"a"}', 1),
        ToolCall("Bash", '{"cmd":"ls"}', 2),
    ]
