"""LangGraph's question and answer, shape by shape."""

from typing import Any

import pytest

from branches.domain.interrupt import BadInterrupt, read_request, tell_response

REQUEST = {"action": "send_email", "args": {"to": "ward"}}


def make_config(**allowed: bool) -> dict[str, bool]:
    return {f"allow_{name}": allowed.get(name, False) for name in ANSWERS}


ANSWERS = ("accept", "edit", "respond", "ignore")


@pytest.mark.parametrize(
    ("config", "allow"),
    [
        (make_config(accept=True, edit=True), ["accept", "edit"]),
        (make_config(ignore=True), ["ignore"]),
        ({"allow_respond": True, "some_later_option": 1}, ["respond"]),
        (None, None),
    ],
)
def test_an_interrupt_says_what_it_asks_and_which_answers_it_takes(
    config: Any, allow: list[str] | None
) -> None:
    told = read_request({"action_request": REQUEST, "config": config, "description": "d"})
    assert (told["action"], told["args"], told["allow"]) == ("send_email", {"to": "ward"}, allow)
    assert told["description"] == "d"


@pytest.mark.parametrize(
    ("payload", "pointer"),
    [
        ({"action_request": "x"}, "/action_request"),
        ({"action_request": {"action": "x", "args": []}}, "/action_request"),
        ({"action_request": REQUEST, "action": "x"}, ""),
        ({"action_request": REQUEST, "config": []}, "/config"),
        ({"action_request": REQUEST, "config": {}}, "/config"),
        ({"action_request": REQUEST, "config": make_config()}, "/config"),
        ({"action_request": REQUEST, "config": {"allow_edit": "yes"}}, "/config/allow_edit"),
    ],
)
def test_what_is_no_interrupt_is_refused_at_its_place(payload: Any, pointer: str) -> None:
    with pytest.raises(BadInterrupt) as refused:
        read_request(payload)
    assert refused.value.pointer == pointer


def test_what_is_no_interrupt_is_left_as_it_is() -> None:
    payload = {"action": "x", "args": {}}
    assert read_request(payload) is payload


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("accept", {"type": "accept", "args": None}),
        ("ignore", {"type": "ignore", "args": None}),
        ("respond", {"type": "response", "args": "not now"}),
        ("edit", {"type": "edit", "args": {"action": "send_email", "args": {"to": "icu"}}}),
    ],
)
def test_each_answer_is_told_as_the_agent_is_resumed(answer: str, told: dict[str, Any]) -> None:
    assert (
        tell_response(answer=answer, action="send_email", args={"to": "icu"}, text="not now")
        == told
    )
