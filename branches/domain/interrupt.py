"""The question of an agent that was built on LangGraph, and the answer that it waits for.

Such an agent interrupts itself with a HumanInterrupt `{action_request: {action, args}, config:
{allow_accept, allow_edit, allow_respond, allow_ignore}, description}` and goes on with a
HumanResponse `{type, args}`. Both are the shapes of LangGraph's `prebuilt.interrupt`.
"""

from collections.abc import Mapping
from typing import Any, Final

from branches.domain.terms import Answer

_CONFIG: Final = {f"allow_{answer.value}": answer.value for answer in Answer}
_TYPES: Final = {Answer.RESPOND.value: "response"}


class BadInterrupt(ValueError):
    """`pointer` is the place within the payload."""

    def __init__(self, detail: str, pointer: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


def is_interrupt(payload: Mapping[str, Any]) -> bool:
    return "action_request" in payload


def read_request(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payload with `action`, `args` and `allow` of its own, read from an interrupt where it is
    one. Raises BadInterrupt."""
    if not is_interrupt(payload):
        return payload
    if "action" in payload or "args" in payload or "allow" in payload:
        raise BadInterrupt("An interrupt says its action in action_request alone.", "")
    request = payload["action_request"]
    if not isinstance(request, dict) or not isinstance(request.get("args", {}), dict):
        raise BadInterrupt("action_request is {action, args}.", "/action_request")
    return {
        **payload,
        "action": request.get("action"),
        "args": request.get("args", {}),
        "allow": _read_config(payload.get("config")),
    }


def _read_config(config: Any) -> list[str] | None:
    """None where nothing is said: then every answer is taken."""
    if config is None:
        return None
    if not isinstance(config, dict):
        raise BadInterrupt("config is an object.", "/config")
    for name, value in config.items():
        if name in _CONFIG and not isinstance(value, bool):
            raise BadInterrupt(f"{name} is true or false.", f"/config/{name}")
    allowed = [answer for name, answer in _CONFIG.items() if config.get(name)]
    if not allowed:
        raise BadInterrupt("config allows one answer at least.", "/config")
    return allowed


def tell_response(
    *, answer: str, action: str, args: Mapping[str, Any] | None, text: str
) -> dict[str, Any]:
    """The HumanResponse: an edit carries the whole request anew, a response its text."""
    told: Any = None
    if answer == Answer.EDIT:
        told = {"action": action, "args": dict(args or {})}
    elif answer == Answer.RESPOND:
        told = text
    return {"type": _TYPES.get(answer, answer), "args": told}
