"""OpenAI chat messages as the journal's events."""

import re
from collections.abc import Mapping
from typing import Any, Final

from branches.domain import terms
from branches.domain.events import compact_json, text_of

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)
_TYPE_OF_ROLE: Final = {
    "system": terms.SYSTEM,
    "developer": terms.SYSTEM,
    "user": terms.USER,
    "assistant": terms.ASSISTANT,
    "tool": terms.TOOL_RESULT,
    "function": terms.TOOL_RESULT,
}


def read_message(message: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """`(event type, payload)`, or None for a role that is not known. Total on every object."""
    role = message.get("role")
    event_type = _TYPE_OF_ROLE.get(role) if isinstance(role, str) else None
    if event_type is None:
        return None
    content = read_content(message.get("content"))
    if event_type == terms.TOOL_RESULT:
        return event_type, _read_result(message, content)
    payload: dict[str, Any] = {"content": content}
    if isinstance(message.get("name"), str) and message["name"]:
        payload["name"] = message["name"]
    if event_type == terms.ASSISTANT:
        payload |= _read_assistant(message)
    return event_type, payload


def _read_result(message: Mapping[str, Any], content: Any) -> dict[str, Any]:
    name = text_of(message.get("name"))
    payload = {"call_id": text_of(message.get("tool_call_id")), "content": content}
    return {**payload, "name": name} if name else payload


def _read_assistant(message: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    calls = message.get("tool_calls")
    listed = calls if isinstance(calls, list) else []
    read = [_read_call(call) for call in listed if isinstance(call, dict)]
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        read.append(_read_call({"function": legacy}))
    if read:
        fields["tool_calls"] = read
    usage = _read_usage(message.get("usage"))
    if usage:
        fields["usage"] = usage
    if isinstance(message.get("refusal"), str) and not message.get("content"):
        fields["content"] = message["refusal"]
    return fields


def _read_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    named = function if isinstance(function, dict) else {}
    arguments = named.get("arguments")
    return {
        "id": text_of(call.get("id")),
        "name": text_of(named.get("name")),
        # Arguments are text on this wire, and stay the text that the model wrote.
        "arguments": arguments if isinstance(arguments, str | dict) else text_of(arguments),
    }


def _read_usage(usage: object) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    prompt = _count(usage.get("prompt_tokens"))
    figures = {
        "uncached": None if prompt is None else max(prompt - (cached or 0), 0),
        "cache_read": cached,
        "output": _count(usage.get("completion_tokens")),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_content(content: object) -> str | list[dict[str, Any]]:
    """A string, or canonical parts; nothing is an empty string."""
    if isinstance(content, list):
        return [_read_part(part) for part in content]
    return text_of(content)


def said_text(content: object) -> str:
    """The words alone of canonical content, without a word for a picture or a sound."""
    if not isinstance(content, list):
        return text_of(content)
    return " ".join(part["text"] for part in content if part.get("kind") == "text")


def _read_part(part: object) -> dict[str, Any]:
    if isinstance(part, dict):
        if isinstance(part.get("text"), str):
            return {"kind": "text", "text": part["text"]}
        if isinstance(part.get("refusal"), str):
            return {"kind": "text", "text": part["refusal"]}
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        if isinstance(url, str):
            return _read_image(url)
        sound = part.get("input_audio")
        if isinstance(sound, dict) and isinstance(sound.get("data"), str):
            mime = f"audio/{text_of(sound.get('format')) or 'wav'}"
            return binary_part("audio", mime, sound["data"])
    return {"kind": "text", "text": part if isinstance(part, str) else compact_json(part)}


def _read_image(url: str) -> dict[str, Any]:
    match = _DATA_URL.fullmatch(url)
    if match:
        return binary_part("image", match[1], match[2])
    return {"kind": "text", "text": f"[image {url}]"}


def binary_part(kind: str, mime: str, data: str) -> dict[str, Any]:
    """A part whose data is base64, or a text that says what stood there where it is none."""
    packed = re.sub(r"\s+", "", data)
    if not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", packed) or len(packed) % 4 or len(mime) > 120:
        return {"kind": "text", "text": f"[{kind} {mime[:120]}: not base64]"}
    return {"kind": kind, "mime": mime, "data": packed}
