"""How messages, tool calls and results are written for a model's API.

Each wire turns one thing into one JSON object and keeps no memory; `context` decides what is
written and when. Out-of-line parts (`blob` in place of `data`) are written as text that names the
blob: put the data back before rendering where a model shall see it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from branches.domain.events import Call, plain_text, text_of

type Json = dict[str, Any]


class Wire(Protocol):
    """What a message API must be able to say."""

    leading_system: bool  # leading system messages travel apart from the messages

    def message(self, role: str, content: object, name: object = None) -> Json | None:
        """A message, or `None` where this API has no way to say an empty one."""

    def calling(self) -> Json:
        """An assistant message that only calls tools; calls are added by `add_call`."""

    def add_call(self, message: Json, call: Call) -> None:
        """Append a call to an assistant message, after all it has."""

    def result(self, call_id: str, content: object, is_error: bool) -> Json:
        """The message that answers a call."""


class OpenAIWire:
    """Chat completions. A tool result is text: binary parts of one are named, not sent."""

    leading_system = False

    def message(self, role: str, content: object, name: object = None) -> Json | None:
        fields: Json = {"role": role}
        if isinstance(name, str) and name:
            fields["name"] = name
        parts = isinstance(content, list | tuple)
        fields["content"] = _parts(content, _OPENAI_PARTS) if parts else text_of(content)
        return fields

    def calling(self) -> Json:
        return {"role": "assistant", "content": None}

    def add_call(self, message: Json, call: Call) -> None:
        function = {"name": call.name, "arguments": call.arguments_text}
        message.setdefault("tool_calls", []).append(
            {"id": call.call_id, "type": "function", "function": function}
        )

    def result(self, call_id: str, content: object, is_error: bool) -> Json:
        return {"role": "tool", "tool_call_id": call_id, "content": plain_text(content)}


class AnthropicWire:
    """Messages API: content blocks; roles are only user and assistant; no audio; no empty text."""

    leading_system = True

    def message(self, role: str, content: object, name: object = None) -> Json | None:
        blocks = anthropic_blocks(content)
        if not blocks:
            return None
        return {"role": "assistant" if role == "assistant" else "user", "content": blocks}

    def calling(self) -> Json:
        return {"role": "assistant", "content": []}

    def add_call(self, message: Json, call: Call) -> None:
        message["content"].append(
            {
                "type": "tool_use",
                "id": call.call_id,
                "name": call.name,
                "input": call.arguments_object,
            }
        )

    def result(self, call_id: str, content: object, is_error: bool) -> Json:
        block: Json = {"type": "tool_result", "tool_use_id": call_id}
        block["content"] = anthropic_blocks(content)
        if is_error:
            block["is_error"] = True
        return {"role": "user", "content": [block]}


def anthropic_blocks(content: object) -> list[Json]:
    """Content as Anthropic blocks; empty texts are left out, for that API refuses them."""
    parts = content if isinstance(content, list | tuple) else [text_of(content)]
    blocks = _parts(parts, _ANTHROPIC_PARTS)
    return [block for block in blocks if block.get("text") != ""]


def _parts(content: Any, table: Mapping[str, Callable[[Mapping[str, Any]], Json]]) -> list[Json]:
    return [_part(part, table) for part in content]


def _part(part: object, table: Mapping[str, Callable[[Mapping[str, Any]], Json]]) -> Json:
    if isinstance(part, Mapping) and isinstance(part.get("data"), str):
        write = table.get(text_of(part.get("kind")))
        if write:
            return write(part)
    if isinstance(part, Mapping) and isinstance(part.get("blob"), str):
        return _text(f"{plain_text([part])[:-1]} blob {part['blob']}]")
    return _text(plain_text([part]))


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _openai_image(part: Mapping[str, Any]) -> Json:
    url = f"data:{text_of(part.get('mime'))};base64,{part['data']}"
    return {"type": "image_url", "image_url": {"url": url}}


def _openai_audio(part: Mapping[str, Any]) -> Json:
    sound = text_of(part.get("mime")).rpartition("/")[2].removeprefix("x-")
    form = "mp3" if sound == "mpeg" else sound
    return {"type": "input_audio", "input_audio": {"data": part["data"], "format": form}}


def _anthropic_image(part: Mapping[str, Any]) -> Json:
    mime = text_of(part.get("mime"))
    source = {"type": "base64", "media_type": mime, "data": part["data"]}
    return {"type": "image", "source": source}


_OPENAI_PARTS = {"image": _openai_image, "audio": _openai_audio}
_ANTHROPIC_PARTS = {"image": _anthropic_image}
