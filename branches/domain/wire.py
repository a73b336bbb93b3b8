"""How messages, tool calls and results are written for a model's API, as JSON text.

Each wire writes one thing and keeps no memory; `context` decides what is written and when. What
stands as its JSON text already is written as it stands: a long lineage is mostly that.

Out-of-line parts (`blob` in place of `data`) are written as text that names the blob: put the data
back before rendering where a model shall see it. A part that an API would refuse where it stands
(a sound, an image of a rare kind, an image that an assistant said) is written as text that names
it.
"""

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol

from branches.domain.events import (
    Call,
    json_bytes,
    json_text,
    plain_text,
    quote_json,
    text_of,
)

type Json = dict[str, Any]
type Parts = Mapping[str, Callable[[Mapping[str, Any]], Json | None]]

IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
BEGIN: Final = "[the agent speaks first]"

_UNFIT_NAME = re.compile(r"[\s<|\\/>]+")
_UNFIT_ID = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME: Final = 64
_OPENAI_HEADS: Final = {
    role: b'{"role":"%b","content":' % role.encode() for role in ("user", "system", "assistant")
}
# A JSON string that begins like this is not blank.
_WORDED = re.compile(rb'"[!#-\[\]-~]')


class Message:
    """A message that may still grow, as JSON so far: `head`, then `parts` that more may follow."""

    __slots__ = ("head", "parts", "role")

    def __init__(self, role: str, head: bytes, parts: list[bytes]) -> None:
        self.role = role
        self.head = head
        self.parts = parts

    def copy(self) -> "Message":
        return Message(self.role, self.head, list(self.parts))


class Wire(Protocol):
    """What a message API must be able to say."""

    leading_system: bool  # leading system messages travel apart from the messages
    alternates: bool  # turns alternate: what one role says in a row is one message of many blocks
    unique_ids: bool  # a call's id stands once in a conversation
    opening: bytes  # a message before those of a conversation that an assistant begins

    def message(self, role: str, content: object, name: object = None) -> Message | bytes | None:
        """A message, whole where it can not grow; `None` where this API can not say it empty."""

    def calling(self) -> Message:
        """An assistant message that only calls tools."""

    def call_id(self, call_id: str) -> str:
        """The id as this API takes it."""

    def call(self, call: Call, call_id: str) -> bytes:
        """A call, as a part of an assistant message after all that it has."""

    def result(self, call_id: str, content: object, is_error: bool) -> Message | bytes:
        """The message that answers a call."""

    def write(self, message: Message) -> bytes:
        """The whole message."""


class OpenAIWire:
    """Chat completions. A tool result is text, and so are binary parts of all but users.

    The parts of a message are its tool calls.
    """

    leading_system = False
    alternates = False
    unique_ids = False
    opening = b""

    def message(self, role: str, content: object, name: object = None) -> Message | bytes:
        head = _OPENAI_HEADS[role]
        if type(name) is str and name:
            fit = json_text(_UNFIT_NAME.sub("_", name)[:_LONGEST_NAME])
            head = head.replace(b'"content"', b'"name":' + fit + b',"content"')
        told = content if type(content) is bytes else _openai_content(role, content)
        return Message(role, head + told, []) if role == "assistant" else head + told + b"}"

    def calling(self) -> Message:
        return Message("assistant", b'{"role":"assistant","content":null', [])

    def call_id(self, call_id: str) -> str:
        return call_id

    def call(self, call: Call, call_id: str) -> bytes:
        return b'{"id":%b,"type":"function","function":{"name":%b,"arguments":%b}}' % (
            json_text(call_id),
            json_text(call.name),
            _arguments_text(call),
        )

    def result(self, call_id: str, content: object, is_error: bool) -> bytes:
        told = content if type(content) is bytes else json_text(plain_text(content))
        return b'{"role":"tool","tool_call_id":%b,"content":%b}' % (json_text(call_id), told)

    def write(self, message: Message) -> bytes:
        if message.parts:
            return b'%b,"tool_calls":[%b]}' % (message.head, b",".join(message.parts))
        return message.head + b"}"


class AnthropicWire:
    """Messages API: content blocks; roles are only user and assistant, and alternate; no audio; no
    blank text; ids of letters, digits, `_` and `-`.

    The parts of a message are its blocks.
    """

    leading_system = True
    alternates = True
    unique_ids = True
    # The Messages API takes no conversation that an assistant begins.
    opening = json_bytes({"role": "user", "content": [{"type": "text", "text": BEGIN}]})

    def message(self, role: str, content: object, name: object = None) -> Message | None:
        spoken = role == "assistant"
        blocks = anthropic_blocks(content, images=not spoken)
        return self._message("assistant" if spoken else "user", blocks) if blocks else None

    def calling(self) -> Message:
        return self._message("assistant", [])

    def call_id(self, call_id: str) -> str:
        fit = _UNFIT_ID.sub("_", call_id)
        if fit == call_id:
            return fit
        # What told two ids apart is kept.
        return f"{fit}_{sha256(call_id.encode(errors='surrogatepass')).hexdigest()[:8]}"

    def call(self, call: Call, call_id: str) -> bytes:
        return b'{"type":"tool_use","id":%b,"name":%b,"input":%b}' % (
            json_text(call_id),
            json_text(call.name),
            _arguments_object(call),
        )

    def result(self, call_id: str, content: object, is_error: bool) -> Message:
        blocks = b",".join(anthropic_blocks(content))
        block = b'{"type":"tool_result","tool_use_id":%b,"content":[%b]%b}' % (
            json_text(call_id),
            blocks,
            b',"is_error":true' if is_error else b"",
        )
        return self._message("user", [block])

    def write(self, message: Message) -> bytes:
        return b"%b%b]}" % (message.head, b",".join(message.parts))

    def _message(self, role: str, blocks: list[bytes]) -> Message:
        return Message(role, b'{"role":"%b","content":[' % role.encode(), blocks)


def _openai_content(role: str, content: object) -> bytes:
    if isinstance(content, list | tuple):
        return json_bytes(_parts(content, _OPENAI_PARTS if role == "user" else {}))
    return json_text(text_of(content))


def anthropic_blocks(content: object, *, images: bool = True) -> list[bytes]:
    """Content as Anthropic blocks; blank texts are left out, for that API refuses them."""
    if isinstance(content, list | tuple):
        blocks = _parts(content, _ANTHROPIC_PARTS if images else {})
        return [json_bytes(block) for block in blocks if not _is_blank(block)]
    text = content if type(content) is bytes else json_text(text_of(content))
    return [b'{"type":"text","text":%b}' % text] if _is_worded(text) else []


def _is_blank(block: Json) -> bool:
    return block["type"] == "text" and not block["text"].strip()


def _is_worded(text: bytes) -> bool:
    return _WORDED.match(text) is not None or bool(json.loads(text).strip())


def _arguments_text(call: Call) -> bytes:
    """The arguments as JSON in a JSON string."""
    told = call.arguments
    return quote_json(told) if type(told) is bytes else json_text(call.arguments_text)


def _arguments_object(call: Call) -> bytes:
    told = call.arguments
    return told if type(told) is bytes else json_bytes(call.arguments_object)


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
