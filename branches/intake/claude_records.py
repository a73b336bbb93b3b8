"""The records of a Claude Code session, and the events that each of them is."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from branches.domain import terms
from branches.domain.events import compact_json, text_of
from branches.intake.files import derive_id
from branches.intake.messages import binary_part
from branches.intake.records import LineRecord, Part, text_field

FORMAT: Final = "claude-code"


@dataclass(frozen=True, slots=True)
class Record(LineRecord):
    """A record's `uuid` is empty where it names none."""

    @property
    def uuid(self) -> str:
        return text_field(self.fields, "uuid")

    @property
    def session(self) -> str:
        return text_field(self.fields, "sessionId")

    @property
    def message(self) -> Mapping[str, Any]:
        return self.object_field("message")

    @property
    def parent(self) -> str | None:
        """The uuid that it follows; empty for the first of all, None where it does not say."""
        if self.fields is None or "parentUuid" not in self.fields:
            return None
        return text_field(self.fields, "parentUuid")

    @property
    def aside(self) -> bool:
        """Whether it stands beside the conversation: a note, or what a subagent was told."""
        return not self.uuid or bool(self.fields and self.fields.get("isSidechain"))


@dataclass
class Told:
    """What later records need of those before: names by call id, and whose usage was counted."""

    moment: datetime
    names: dict[str, str] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)


def record_ids(record: Record, count: int, project_id: UUID, session: str) -> list[UUID]:
    """One id for each part, at least one. A note without a uuid is known by where it stands."""
    if record.uuid:
        parts = range(max(1, count))
        return [derive_id(project_id, FORMAT, record.uuid, index) for index in parts]
    sha256 = hashlib.sha256(record.line.raw).hexdigest()
    return [derive_id(project_id, FORMAT, session, f"line {record.line.number}", sha256)]


def read_parts(record: Record, told: Told) -> list[Part]:
    """The events of a record, at least one for each message; none for what is no message."""
    fields = record.fields
    if fields is None or not record.uuid or fields.get("isSidechain"):
        return []
    if record.kind == "user":
        return list(_user_parts(record.message.get("content"), told))
    if record.kind == "assistant":
        return _assistant_parts(record.message, told)
    return []


def _user_parts(content: object, told: Told) -> Iterator[Part]:
    """Results as they stand; texts and images between them as one message."""
    if isinstance(content, str):
        yield terms.USER, {"content": content}
        return
    said: list[dict[str, Any]] = []
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            yield terms.TOOL_RESULT, _read_result(block, told)
        else:
            said.append(_read_block(block))
    if len(said) == 1 and said[0]["kind"] == "text":
        yield terms.USER, {"content": said[0]["text"]}
    elif said:
        yield terms.USER, {"content": said}


def _read_result(block: Mapping[str, Any], told: Told) -> dict[str, Any]:
    call_id = text_of(block.get("tool_use_id"))
    content = block.get("content")
    payload: dict[str, Any] = {
        "call_id": call_id,
        "content": [_read_block(part) for part in content]
        if isinstance(content, list)
        else text_of(content),
    }
    if call_id in told.names:
        payload["name"] = told.names[call_id]
    if block.get("is_error") is True:
        payload["is_error"] = True
    return payload


def _read_block(block: object) -> dict[str, Any]:
    if isinstance(block, dict):
        if isinstance(block.get("text"), str):
            return {"kind": "text", "text": block["text"]}
        source = block.get("source")
        if isinstance(source, dict) and isinstance(source.get("data"), str):
            mime = text_of(source.get("media_type"))
            return binary_part(
                "image" if mime.startswith("image/") else "file", mime, source["data"]
            )
    return {"kind": "text", "text": block if isinstance(block, str) else compact_json(block)}


def _assistant_parts(message: Mapping[str, Any], told: Told) -> list[Part]:
    content = message.get("content")
    text = [{"type": "text", "text": content}] if isinstance(content, str) else []
    blocks = content if isinstance(content, list) else text
    parts = [_assistant_part(block, message, told) for block in blocks if isinstance(block, dict)]
    usage = _read_usage(message.get("usage"))
    message_id = text_of(message.get("id"))
    if parts and usage and message_id not in told.counted:
        # All records of one message repeat its usage; an id that is missing cannot be repeated.
        told.counted |= {message_id} if message_id else set()
        parts[0][1]["usage"] = usage
    return parts


def _assistant_part(block: Mapping[str, Any], message: Mapping[str, Any], told: Told) -> Part:
    kind = block.get("type")
    if kind in ("thinking", "redacted_thinking"):
        return terms.THOUGHT, {"text": text_of(block.get("thinking")) or "[redacted]"}
    if kind in ("tool_use", "server_tool_use"):
        call_id, name = text_of(block.get("id")), text_of(block.get("name"))
        told.names[call_id] = name
        given = block.get("input")
        arguments = given if isinstance(given, dict) else {"arguments": given}
        return terms.TOOL_CALL, {"call_id": call_id, "name": name, "arguments": arguments}
    model = text_of(message.get("model"))
    said = _read_block(block)
    content = said["text"] if said["kind"] == "text" else [said]
    return terms.ASSISTANT, {"content": content, **({"model": model} if model else {})}


def _read_usage(usage: object) -> dict[str, int]:
    """Verel's four figures; one that is absent is unknown, not 0."""
    if not isinstance(usage, dict):
        return {}
    names = {
        "uncached": "input_tokens",
        "cache_read": "cache_read_input_tokens",
        "cache_write": "cache_creation_input_tokens",
        "output": "output_tokens",
    }
    told = {ours: usage.get(theirs) for ours, theirs in names.items()}
    return {
        name: value
        for name, value in told.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
