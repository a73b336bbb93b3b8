"""What one line of a Codex rollout says, as at most one event. Nothing here looks at what is stored.

A rollout tells most things twice: as a `response_item`, which is what the model was sent or
answered, and as an `event_msg`, which is what a screen was shown. The first is the transcript.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from branches.domain import terms
from branches.domain.events import text_of
from branches.intake.messages import read_content
from branches.intake.records import LineRecord, Part, text_field
from verel_site.kit.strict_json import MAX_DEPTH, MalformedJson, decode

_TYPE_OF_ROLE: Final = {
    "system": terms.SYSTEM,
    "developer": terms.SYSTEM,
    "user": terms.USER,
    "assistant": terms.ASSISTANT,
}
# What a screen was shown, said by response items too.
_REPEATS: Final = frozenset(
    {
        "agent_message", "agent_reasoning", "agent_reasoning_raw_content", "exec_command_begin",
        "exec_command_end", "item_completed", "item_started", "mcp_tool_call_begin",
        "mcp_tool_call_end", "patch_apply_begin", "patch_apply_end", "user_message",
    }
)  # fmt: skip
_EXIT: Final = re.compile(r"^Process exited with code (\d+)$", re.MULTILINE)
_EXIT_LOOKED_AT: Final = 400


@dataclass(frozen=True, slots=True)
class Record(LineRecord):
    """A line of a rollout, or of what `codex exec` prints."""

    @property
    def payload(self) -> Mapping[str, Any]:
        return self.object_field("payload")

    @property
    def what(self) -> str:
        return text_field(self.payload, "type")

    @property
    def ordinal(self) -> int | None:
        return whole(self.fields.get("ordinal")) if self.fields else None

    @property
    def response_id(self) -> str:
        return text_field(self.payload, "response_id") if self.kind == "token_usage_record" else ""

    @property
    def repeats(self) -> bool:
        return self.kind == "event_msg" and self.what in _REPEATS


@dataclass
class Told:
    """What later records need of those before: names by call id, and what usage was counted."""

    moment: datetime
    names: dict[str, str] = field(default_factory=dict)
    exact: bool = False
    total: object = None


def whole(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62
    return value if fits else None  # type: ignore[return-value]  # `fits` says that it is an int


def read_part(record: Record, told: Told) -> Part | None:
    """The event that a record is, or None for what is no part of the conversation."""
    if record.kind == "response_item":
        read = _ITEMS.get(record.what)
        return read(record.payload, told) if read else None
    if record.kind == "token_usage_record":
        told.exact = True
        usage = read_usage(record.payload.get("usage"))
        said = {"response_id": record.response_id} if record.response_id else {}
        return (terms.USAGE, {"usage": usage, **said}) if usage else None
    if record.kind == "event_msg" and record.what == "token_count":
        return _read_token_count(record.payload, told)
    if record.kind == "event_msg" and record.what == "error":
        return terms.ERROR, {"message": text_of(record.payload.get("message"))}
    return None


def _read_token_count(payload: Mapping[str, Any], told: Told) -> Part | None:
    """The usage of rollouts without usage records. It is told again whenever limits are; what has
    the same total was counted."""
    info = payload.get("info")
    if told.exact or not isinstance(info, dict):
        return None
    total = info.get("total_token_usage")
    usage = read_usage(info.get("last_token_usage"))
    if not usage or total == told.total:
        return None
    told.total = total
    return terms.USAGE, {"usage": usage}


def read_usage(usage: object) -> dict[str, int]:
    """Verel's four figures; one that is absent is unknown, not 0."""
    if not isinstance(usage, dict):
        return {}
    names = {
        "uncached": "input_tokens",
        "cache_read": "cached_input_tokens",
        "cache_write": "cache_write_input_tokens",
        "output": "output_tokens",
    }
    figures = {ours: whole(usage.get(theirs)) for ours, theirs in names.items()}
    told = {name: figure for name, figure in figures.items() if figure is not None}
    if "uncached" in told:
        # The input here is all of it, what came from a cache included.
        rest = told["uncached"] - told.get("cache_read", 0) - told.get("cache_write", 0)
        told["uncached"] = max(rest, 0)
    return told


def _read_message(item: Mapping[str, Any], told: Told) -> Part | None:
    event_type = _TYPE_OF_ROLE.get(text_field(item, "role"))
    if event_type is None:
        return None
    return event_type, {"content": one_text(read_content(item.get("content")))}


def one_text(content: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Content that is a single text as that text."""
    if isinstance(content, list) and len(content) == 1 and content[0]["kind"] == "text":
        return str(content[0]["text"])
    return content


def _read_reasoning(item: Mapping[str, Any], told: Told) -> Part:
    texts = [
        text_of(part.get("text"))
        for name in ("summary", "content")
        for part in (item.get(name) if isinstance(item.get(name), list) else [])  # type: ignore[union-attr]
        if isinstance(part, dict)
    ]
    return terms.THOUGHT, {"text": "\n\n".join(text for text in texts if text) or "[encrypted]"}


def _call(call_id: object, name: str, arguments: object, told: Told) -> Part:
    told.names[text_of(call_id)] = name
    payload = {"call_id": text_of(call_id), "name": name, "arguments": arguments}
    return terms.TOOL_CALL, payload


def _read_function_call(item: Mapping[str, Any], told: Told) -> Part:
    return _call(item.get("call_id"), text_field(item, "name"), _arguments(item), told)


def _arguments(item: Mapping[str, Any]) -> object:
    """The model wrote a text: an object where it is one, else that text."""
    text = item.get("arguments")
    try:
        value = decode(text.encode(), max_depth=MAX_DEPTH) if isinstance(text, str) else text
    except (MalformedJson, UnicodeEncodeError):
        value = text
    return value if isinstance(value, dict) else {"arguments": text_of(text)}


def _read_custom_call(item: Mapping[str, Any], told: Told) -> Part:
    return _call(item.get("call_id"), text_field(item, "name"), {"input": item.get("input")}, told)


def _read_shell_call(item: Mapping[str, Any], told: Told) -> Part:
    action = item.get("action")
    arguments = dict(action) if isinstance(action, dict) else {"action": action}
    command = arguments.get("command")
    if isinstance(command, list):
        arguments["command"] = " ".join(text_of(word) for word in command)
    return _call(item.get("call_id") or item.get("id"), "local_shell", arguments, told)


def _read_output(item: Mapping[str, Any], told: Told) -> Part:
    output, failed = item.get("output"), False
    if isinstance(output, dict):
        failed = output.get("success") is False
        output = output.get("content_items") or output.get("content")
    content = one_text(read_content(output))
    call_id = text_of(item.get("call_id"))
    payload: dict[str, Any] = {"call_id": call_id, "content": content}
    if call_id in told.names:
        payload["name"] = told.names[call_id]
    if failed or (isinstance(content, str) and _exit_code(content)):
        payload["is_error"] = True
    return terms.TOOL_RESULT, payload


def _exit_code(output: str) -> int:
    """The exit code that a shell's output begins by telling; 0 where it tells none."""
    found = _EXIT.search(output[:_EXIT_LOOKED_AT])
    if found:
        return int(found[1][:9])
    if not output.startswith('{"output":'):
        return 0
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        return 0
    metadata = value.get("metadata")
    return (whole(metadata.get("exit_code")) or 0) if isinstance(metadata, dict) else 0


_ITEMS: Final = {
    "message": _read_message,
    "reasoning": _read_reasoning,
    "function_call": _read_function_call,
    "custom_tool_call": _read_custom_call,
    "local_shell_call": _read_shell_call,
    "function_call_output": _read_output,
    "custom_tool_call_output": _read_output,
    "local_shell_call_output": _read_output,
}
