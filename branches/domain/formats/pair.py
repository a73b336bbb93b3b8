"""A triplet as every format reads it, and the few readings of a message that they share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from branches.domain.events import Call, text_of
from branches.domain.wire import Json

_KINDS: Final[Mapping[str, str]] = {"image_url": "an image", "input_audio": "audio"}
_SCHEMAS: Final = ("parameters", "input_schema", "inputSchema")


class Unfit(Exception):
    """A format cannot say this triplet without losing a part of it. The text says what."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A triplet: three lists of OpenAI messages (a call's arguments as JSON text), the run's tools
    as they were given, and the provenance."""

    prompt: Sequence[Json]
    chosen: Sequence[Json]
    rejected: Sequence[Json]
    tools: Sequence[Any] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def words(message: Json) -> str:
    """A message's content as text. Raises Unfit for what is no text: a word in its place would
    teach a model to answer what it cannot see."""
    content = message.get("content")
    if not isinstance(content, list):
        return text_of(content)
    for part in content:
        if part["type"] != "text":
            raise Unfit(f"It holds {_KINDS.get(part['type'], part['type'])}; only text fits.")
    return "\n".join(str(part["text"]) for part in content)


def calls_in(message: Json) -> list[Json]:
    return message.get("tool_calls") or []


def call_object(call: Json) -> Json:
    """`{name, arguments}` of a call, the arguments as an object."""
    function = call["function"]
    stated = Call(call["id"], function["name"], function["arguments"])
    return {"name": function["name"], "arguments": stated.arguments_object}


def only_message(side: Sequence[Json], format: str) -> Json:
    """The side's one message. Raises Unfit for a longer side."""
    if len(side) != 1:
        raise Unfit(f"{format} takes one message a side; this trajectory has {len(side)}.")
    return side[0]


def function_tools(tools: Iterable[Any]) -> list[Json]:
    """The tools as `{type: function, function: {name, description?, parameters}}`, from OpenAI's
    shapes (nested or flat), Anthropic's or MCP's. Raises Unfit for one without a name."""
    return [_function_tool(tool) for tool in tools]


def _function_tool(tool: Any) -> Json:
    stated = tool.get("function", tool) if isinstance(tool, Mapping) else {}
    if not isinstance(stated, Mapping) or not isinstance(stated.get("name"), str):
        raise Unfit("A tool of its run has no name.")
    schemas = (stated[key] for key in _SCHEMAS if isinstance(stated.get(key), Mapping))
    function: Json = {"name": stated["name"]}
    if isinstance(stated.get("description"), str):
        function["description"] = stated["description"]
    function["parameters"] = dict(next(schemas, {"type": "object", "properties": {}}))
    return {"type": "function", "function": function}
