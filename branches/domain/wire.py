"""How messages, tool calls and results are written for a model's API.

Each wire turns one thing into one JSON object and keeps no memory; `context` decides what is
written and when. Out-of-line parts (`blob` in place of `data`) are written as text that names the
blob: put the data back before rendering where a model shall see it. A part that an API would
refuse where it stands (a sound, an image of a rare kind, an image that an assistant said) is
written as text that names it.
"""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol

from branches.domain.events import Call, plain_text, text_of

type Json = dict[str, Any]
type Parts = Mapping[str, Callable[[Mapping[str, Any]], Json | None]]

IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
# The Messages API takes no conversation that an assistant begins.
BEGIN: Final = "[the agent speaks first]"

_UNFIT_NAME = re.compile(r"[\s<|\\/>]+")
_UNFIT_ID = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME: Final = 64


class Wire(Protocol):
    """What a message API must be able to say."""

    leading_system: bool  # leading system messages travel apart from the messages
    alternates: bool  # turns alternate: what one role says in a row is one message of many blocks
    unique_ids: bool  # a call's id stands once in a conversation

    def message(self, role: str, content: object, name: object = None) -> Json | None:
        """A message, or `None` where this API has no way to say an empty one."""

    def calling(self) -> Json:
        """An assistant message that only calls tools; calls are added by `add_call`."""

    def call_id(self, call_id: str) -> str:
        """The id as this API takes it."""

    def add_call(self, message: Json, call: Call, call_id: str) -> None:
        """Append a call to an assistant message, after all it has."""

    def result(self, call_id: str, content: object, is_error: bool) -> Json:
        """The message that answers a call."""


class OpenAIWire:
    """Chat completions. A tool result is text, and so are binary parts of all but users."""

    leading_system = False
    alternates = False
    unique_ids = False

    def message(self, role: str, content: object, name: object = None) -> Json | None:
        fields: Json = {"role": role}
        if isinstance(name, str) and name:
            fields["name"] = _UNFIT_NAME.sub("_", name)[:_LONGEST_NAME]
        if isinstance(content, str):
            fields["content"] = content
        elif isinstance(content, list | tuple):
            fields["content"] = _parts(content, _OPENAI_PARTS if role == "user" else {})
        else:
            fields["content"] = text_of(content)
        return fields

    def calling(self) -> Json:
        return {"role": "assistant", "content": None}

    def call_id(self, call_id: str) -> str:
        return call_id

    def add_call(self, message: Json, call: Call, call_id: str) -> None:
        function = {"name": call.name, "arguments": call.arguments_text}
        message.setdefault("tool_calls", []).append(
            {"id": call_id, "type": "function", "function": function}
        )

    def result(self, call_id: str, content: object, is_error: bool) -> Json:
        return {"role": "tool", "tool_call_id": call_id, "content": plain_text(content)}


class AnthropicWire:
    """Messages API: content blocks; roles are only user and assistant, and alternate; no audio; no
    blank text; ids of letters, digits, `_` and `-`."""

    leading_system = True
    alternates = True
    unique_ids = True

    def message(self, role: str, content: object, name: object = None) -> Json | None:
        spoken = role == "assistant"
        blocks = anthropic_blocks(content, images=not spoken)
        return {"role": "assistant" if spoken else "user", "content": blocks} if blocks else None

    def calling(self) -> Json:
        return {"role": "assistant", "content": []}

    def call_id(self, call_id: str) -> str:
        fit = _UNFIT_ID.sub("_", call_id)
        if fit == call_id:
            return fit
        # What told two ids apart is kept.
        return f"{fit}_{sha256(call_id.encode(errors='surrogatepass')).hexdigest()[:8]}"

    def add_call(self, message: Json, call: Call, call_id: str) -> None:
        block = {"type": "tool_use", "id": call_id, "name": call.name}
        message["content"].append({**block, "input": call.arguments_object})

    def result(self, call_id: str, content: object, is_error: bool) -> Json:
        block: Json = {"type": "tool_result", "tool_use_id": call_id}
        block["content"] = anthropic_blocks(content)
        if is_error:
            block["is_error"] = True
        return {"role": "user", "content": [block]}


def anthropic_blocks(content: object, *, images: bool = True) -> list[Json]:
    """Content as Anthropic blocks; blank texts are left out, for that API refuses them."""
    parts = content if isinstance(content, list | tuple) else [text_of(content)]
    blocks = _parts(parts, _ANTHROPIC_PARTS if images else {})
    return [block for block in blocks if block["type"] != "text" or block["text"].strip()]


def _parts(content: Any, table: Parts) -> list[Json]:
    return [_part(part, table) for part in content]


def _part(part: object, table: Parts) -> Json:
    if isinstance(part, str):
        return _text(part)
    if isinstance(part, Mapping):
        write = table.get(text_of(part.get("kind"))) if isinstance(part.get("data"), str) else None
        written = write(part) if write else None
        if written:
            return written
        if isinstance(part.get("blob"), str):
            return _text(f"{plain_text([part])[:-1]} blob {part['blob']}]")
    return _text(plain_text([part]))


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _openai_image(part: Mapping[str, Any]) -> Json | None:
    if part.get("mime") not in IMAGES:
        return None
    url = f"data:{part['mime']};base64,{part['data']}"
    return {"type": "image_url", "image_url": {"url": url}}


_SOUNDS: Final[Mapping[object, str]] = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}


def _openai_audio(part: Mapping[str, Any]) -> Json | None:
    sound = _SOUNDS.get(text_of(part.get("mime")))
    if sound is None:
        return None
    return {"type": "input_audio", "input_audio": {"data": part["data"], "format": sound}}


def _anthropic_image(part: Mapping[str, Any]) -> Json | None:
    if part.get("mime") not in IMAGES:
        return None
    source = {"type": "base64", "media_type": part["mime"], "data": part["data"]}
    return {"type": "image", "source": source}


_OPENAI_PARTS: Final[Parts] = {"image": _openai_image, "audio": _openai_audio}
_ANTHROPIC_PARTS: Final[Parts] = {"image": _anthropic_image}
