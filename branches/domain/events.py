"""An event as the pure rooms see it, and the few readings of its payload that they share.

Payloads come from outside and are only known to be JSON objects. Every function here is total:
a payload of an unexpected shape is read as far as it goes, and never raises.

No JSON value is `bytes`. So where a chat is told of an event, a text (`content`, `text`) and an
object of `arguments` may stand as `bytes`: their compact JSON, which nobody had to decode and which
is written out as it is.
"""

import json
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from json.encoder import encode_basestring as _quote
from typing import Any, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One immutable row of the journal, payload decoded.

    `seq` is 1-based within the branch's own suffix, `position` is the project-wide order, `digest`
    is the rolling content digest of the lineage up to and with this event. The payload belongs to
    the event: do not change it.
    """

    event_id: UUID
    branch: UUID
    seq: int
    type: str
    source: str
    ts: datetime
    payload: Mapping[str, Any]
    digest: bytes
    position: int
    parent_id: UUID | None
    task_id: UUID | None


class Told(Protocol):
    """What a chat needs of an event. `branch` only tells one branch from another."""

    @property
    def branch(self) -> Hashable: ...

    @property
    def type(self) -> str: ...

    @property
    def payload(self) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class Call:
    """A tool call as an agent wrote it. `call_id` is empty where the agent gave none.

    `arguments` are any JSON value; as `bytes` they are for a wire alone, which writes them out.
    """

    call_id: str
    name: str
    arguments: Any

    @property
    def arguments_text(self) -> str:
        """The arguments as JSON text: compact, key order kept; a string is taken to be JSON text
        already and passes verbatim."""
        if isinstance(self.arguments, str):
            return self.arguments
        return compact_json({} if self.arguments is None else self.arguments)

    @property
    def arguments_object(self) -> dict[str, Any]:
        """The arguments as an object; text that is no JSON object comes as `{"arguments": text}`."""
        value = self.arguments
        if isinstance(value, str):
            value = _parsed(value)
        if isinstance(value, Mapping):
            return dict(value)
        return {} if value is None else {"arguments": value}


def _parsed(text: str) -> Any:
    if not text.strip():
        return None
    try:
        value = _FINITE(text)
        if not isinstance(value, dict):
            return text
        # What cannot be written again (half a surrogate pair, a thousand lists in one another) is
        # no object that a message may hold.
        compact_json(value).encode()
    except (ValueError, RecursionError):
        return text
    return value


def _read_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_FINITE = json.JSONDecoder(parse_float=_read_float, parse_constant=_read_float).decode


def compact_json(value: Any) -> str:
    """JSON text without spaces, key order kept, no ASCII escapes: the form whose bytes count."""
    return _COMPACT(value)


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_bytes(value: Any) -> bytes:
    """The value as compact JSON in UTF-8."""
    return _COMPACT(value).encode(errors="surrogatepass")


def json_text(text: str) -> bytes:
    """A text as JSON in UTF-8."""
    return _quote(text).encode(errors="surrogatepass")


def quote_json(text: bytes) -> bytes:
    """Compact JSON as a JSON string: it holds no control characters to be escaped."""
    return b'"%b"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def prefix_json(prefix: str, text: bytes) -> bytes:
    """A JSON string with this text before its own."""
    return json_text(prefix)[:-1] + text[1:]


def text_of(value: object) -> str:
    """A string as it is, nothing for `None`, and any other JSON value as compact JSON text."""
    if isinstance(value, str):
        return value
    return "" if value is None else compact_json(value)


def plain_text(content: object) -> str:
    """The text of a message's `content`: a string, or a list of parts, one line per part.

    A binary part becomes `[image image/png]`; what is no known part is shown as compact JSON.
    """
    if isinstance(content, list | tuple):
        return "\n".join(_part_text(part) for part in content)
    return text_of(content)


def _part_text(part: object) -> str:
    if isinstance(part, Mapping):
        if part.get("kind") == "text" or isinstance(part.get("text"), str):
            return text_of(part.get("text"))
        if part.get("kind") in ("image", "audio"):
            return f"[{part['kind']} {text_of(part.get('mime'))}]"
    return text_of(part)


def calls_of(event: Told) -> tuple[Call, ...]:
    """The calls that an event states: an assistant message's `tool_calls`, or one tool call."""
    if event.type == "data.tool.call":
        return (_call(event.payload, event.payload.get("call_id")),)
    if event.type != "data.message.assistant":
        return ()
    announced = event.payload.get("tool_calls")
    if not isinstance(announced, list | tuple):
        return ()
    return tuple([_call(item, item.get("id")) for item in announced if isinstance(item, Mapping)])


def _call(fields: Mapping[str, Any], call_id: object) -> Call:
    return Call(text_of(call_id), text_of(fields.get("name")), fields.get("arguments"))


def told_calls[E: Told](events: Iterable[E]) -> Iterator[tuple[E, tuple[Call, ...]]]:
    """Every event with the calls it is the first to tell.

    Many agents tell a call twice: in `tool_calls` of the assistant message, and again as a
    `data.tool.call` of the same id when it runs. The second telling brings no call here. An id
    that comes once more after that is a new call: some agents count from one in every turn.
    """
    announced: set[str] = set()
    for event in events:
        calls = calls_of(event)
        if event.type != "data.tool.call":
            announced.update(call.call_id for call in calls if call.call_id)
        elif calls[0].call_id in announced:
            announced.remove(calls[0].call_id)
            calls = ()
        yield event, calls
