"""Rehydration: a lineage's events, in order, rendered for a model.

One pass, no look-ahead: a prefix of the events gives a prefix of the messages, so that a fork's
context begins with the same bytes as its parent's, and a model server's prefix cache still hits.
Nothing of a fork ever enters a message of its parent. Within a branch the very last message may
still grow: an assistant message by the tool calls that follow it directly, and, for an API whose
turns alternate, any message by further blocks of the same role. (Where a fork's first turn has the
role of its parent's last, that API takes both together itself.)

Tool calls come in groups: an assistant message and the calls told with it or directly after it
are one message. A group stays open until something other than an answer to it is said; calls
unanswered by then get `NO_RESULT`, since every API refuses a call without an answer. An answer
that comes later than that is told as a user message.

Messages are written once, as JSON text; who needs them as values decodes them.
"""

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from branches.domain.events import (
    Call,
    StoredEvent,
    Told,
    calls_of,
    compact_json,
    json_bytes,
    plain_text,
    prefix_json,
    text_of,
    told_calls,
)
from branches.domain.override import escape_breaks
from branches.domain.wire import (
    AnthropicWire,
    Json,
    Message,
    OpenAIWire,
    Wire,
    anthropic_blocks,
)

type ContextFormat = Literal["events", "openai", "anthropic"]
type _Marks = tuple[tuple[int, int], ...]

NO_RESULT = "[no result on this branch]"
MAX_BREAKPOINTS = 4
BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Context:
    """A rendered lineage.

    `messages`: in the API's own shape, or one object per event for the format `events`.
    `system`: text blocks of the leading system messages (format `anthropic` only, else empty).
    `variables`: the fold of patches (the value verbatim, a string) and of states that agents told.
    `tools`: tool objects as the run was started with, not converted.
    `cache_points`: ascending `(message, block)` indexes where a `cache_control` belongs, at most
    four: the last block before each fork or override, and the last of all; where there are more,
    the latest. The block is 0 where messages are not lists of blocks.
    """

    messages: list[Json]
    system: list[Json]
    variables: dict[str, Any]
    tools: list[Any]
    cache_points: list[tuple[int, int]]

    @property
    def breakpoints(self) -> list[int]:
        """The messages of the cache points."""
        return breakpoints_of(self.cache_points)

    @property
    def approx_tokens(self) -> int:
        """An estimate, a quarter of the UTF-8 bytes of `system` and `messages` as compact JSON,
        rounded up. No tokenizer stands behind it, and base64 counts as if it were text."""
        return approx_tokens([*self.system, *self.messages])


def breakpoints_of(cache_points: Iterable[tuple[int, int]]) -> list[int]:
    return sorted({message for message, _ in cache_points})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that may run again: how often it stands there with just these arguments."""

    name: str
    arguments_text: str
    count: int = 1


class Chat:
    """The messages of one lineage, told event by event (`add`) to one wire.

    `system` holds JSON texts, as messages do.
    """

    def __init__(self, wire: Wire) -> None:
        self.system: list[bytes] = []
        self._wire = wire
        self._finished: list[bytes] = []
        self._last: Message | None = None
        self._settled = False  # whether the last message stays as it is
        # Of the open group: by call id, what the call goes by on the wire; whether a call may still
        # join; whether there is an assistant message yet, the last one then, for it to join.
        self._waiting: dict[str, str] | None = None
        self._joinable = self._spoken = False
        self._names: dict[str, str] = {}  # by call id, for answers that come too late
        self._actions: dict[str, str] = {}  # by approval id
        self._wire_ids: set[str] = set()
        self._taken = 0  # so many messages are somebody else's by now
        self._unnamed = 0

    @property
    def messages(self) -> list[bytes]:
        """All messages that are not taken."""
        rest = [] if self._last is None else [self._wire.write(self._last)]
        return [*self._finished, *rest]

    def take_finished(self) -> list[bytes]:
        """Hands over every message but the last, which alone may still grow; it forgets them."""
        finished, self._finished = self._finished, []
        self._taken += len(finished)
        return finished

    def copy(self) -> "Chat":
        """A chat that goes on by itself from here."""
        twin = copy(self)
        twin.system, twin._finished = list(self.system), list(self._finished)
        twin._last = self._last.copy() if self._last else None
        twin._waiting = None if self._waiting is None else dict(self._waiting)
        twin._names, twin._actions = dict(self._names), dict(self._actions)
        twin._wire_ids = set(self._wire_ids)
        return twin

    def add(self, event: Told) -> None:
        """Tell one event. Events that are no message change nothing."""
        tell = _TELL.get(event.type)
        if tell:
            tell(self, event)

    def waiting(self) -> set[str]:
        """The ids of the calls that are open now."""
        return set(self._waiting or ())

    def seal(self) -> None:
        """Let no later call join what was said so far; its answers still may come."""
        self._joinable = False

    def close(self) -> None:
        """End the open group: each call that still waits is answered by `NO_RESULT`."""
        waiting, self._waiting = self._waiting, None
        for wire_id in waiting.values() if waiting else ():
            self._append(self._wire.result(wire_id, NO_RESULT, False))

    def say(self, role: str, content: object, name: object = None) -> bool:
        """Append a message of its own; False where this wire can not say it."""
        if self._waiting is not None:
            self.close()
        message = self._wire.message(role, content, name)
        if message is None:
            return False
        self._append(message)
        return True

    def say_system(self, content: object) -> None:
        """A system message of the agent's own; leading ones may travel apart."""
        if self._wire.leading_system and self._last is None:
            self.system.extend(anthropic_blocks(content, images=False))
        else:
            self.say("system", content)

    def say_assistant(self, content: object, name: object, calls: Iterable[Call]) -> None:
        """An assistant message; calls that follow directly will join it."""
        self._open(spoken=self.say("assistant", content, name))
        for call in calls:
            self.call(call)

    def call(self, call: Call) -> None:
        """A tool call; one that waits in the open group already is told a second time only."""
        call_id = call.call_id
        if call_id and self._waiting and call_id in self._waiting:
            return
        if self._waiting is None or not self._joinable:
            self.close()
            self._open(spoken=False)
        if not call_id:
            self._unnamed += 1
            call_id = f"unnamed_{self._unnamed}"
        if not self._spoken:
            self._append(self._wire.calling())
            self._spoken = True
        assert self._last is not None
        assert self._waiting is not None
        wire_id = self._waiting[call_id] = self._wire_id(call_id)
        self._last.parts.append(self._wire.call(call, wire_id))
        self._names[call_id] = call.name

    def answer(self, call_id: str, name: str, content: object, is_error: bool) -> None:
        """A tool's result: answers its call while that is open, else told as a user message."""
        if self._waiting and call_id in self._waiting:
            self._joinable = False
            self._append(self._wire.result(self._waiting.pop(call_id), content, is_error))
            return
        tool = name or self._names.get(call_id) or call_id or "a tool"
        said = f"[result of {tool}] "
        if type(content) is bytes:
            self.say("user", prefix_json(said, content))
        else:
            self.say("user", said + plain_text(content))

    def ask(self, approval_id: str, action: str) -> None:
        """Remember what an approval was asked for; the question is no message."""
        self._actions[approval_id] = action

    def resolve(self, payload: Mapping[str, Any]) -> None:
        """A person's answer: a reply is a user message, any other answer one system line."""
        answer = text_of(payload.get("answer"))
        text = text_of(payload.get("text"))
        if answer == "respond" and text:
            self.say("user", text)
            return
        action = self._actions.get(text_of(payload.get("approval_id")), "")
        line = f"[APPROVAL] {action}: {answer}" if action else f"[APPROVAL] {answer}"
        if answer == "edit":
            line += f" {compact_json(payload.get('args'))}"
        self.say("system", escape_breaks(f"{line} ({text})" if text else line))

    def settle(self) -> None:
        """Let nothing that is said later enter a message that stands here already."""
        self.seal()
        self._settled = True

    def mark(self) -> tuple[int, int]:
        """The place of what was said last: its message and its block; -1 before any message."""
        last = self._last
        count = self._taken + len(self._finished) + (last is not None)
        return count - 1, max(len(last.parts) - 1, 0) if last and self._wire.alternates else 0

    def _open(self, *, spoken: bool) -> None:
        self._waiting, self._joinable, self._spoken = {}, True, spoken

    def _append(self, message: Message | bytes) -> None:
        """Appends a message, or its blocks where the role goes on."""
        if self._last is not None:
            if self._wire.alternates and self._joins(self._last, message):
                return
            self._finished.append(self._wire.write(self._last))
        if isinstance(message, bytes):
            self._finished.append(message)
            self._last = None
            return
        if self._last is None and message.role == "assistant" and self._wire.opening:
            self._finished.append(self._wire.opening)
        self._last, self._settled = message, False

    def _joins(self, last: Message, message: Message | bytes) -> bool:
        """Whether the last message took the blocks of this one, as turns of its role go on."""
        if self._settled or isinstance(message, bytes) or message.role != last.role:
            return False
        last.parts += message.parts
        return True

    def _wire_id(self, call_id: str) -> str:
        wire_id = first = self._wire.call_id(call_id)
        if self._wire.unique_ids:
            count = 1
            while wire_id in self._wire_ids:
                count += 1
                wire_id = f"{first}_{count}"
            self._wire_ids.add(wire_id)
        return wire_id


def _tell_user(chat: Chat, event: Told) -> None:
    chat.say("user", event.payload.get("content"), event.payload.get("name"))


def _tell_system(chat: Chat, event: Told) -> None:
    chat.say_system(event.payload.get("content"))


def _tell_assistant(chat: Chat, event: Told) -> None:
    chat.say_assistant(event.payload.get("content"), event.payload.get("name"), calls_of(event))


def _tell_thought(chat: Chat, event: Told) -> None:
    text = event.payload.get("text")
    chat.say("assistant", text if type(text) is bytes else text_of(text))


def _tell_call(chat: Chat, event: Told) -> None:
    for call in calls_of(event):
        chat.call(call)


def _tell_result(chat: Chat, event: Told) -> None:
    payload = event.payload
    call_id, name = text_of(payload.get("call_id")), text_of(payload.get("name"))
    chat.answer(call_id, name, payload.get("content"), payload.get("is_error") is True)


def _tell_override(chat: Chat, event: Told) -> None:
    frame = event.payload.get("frame")
    if isinstance(frame, str) and frame:
        chat.say("system", frame)


def _tell_request(chat: Chat, event: Told) -> None:
    payload = event.payload
    asked = payload.get("action_request")
    told = asked if isinstance(asked, Mapping) else payload
    chat.ask(text_of(payload.get("approval_id")), text_of(told.get("action")))


def _tell_resolved(chat: Chat, event: Told) -> None:
    chat.resolve(event.payload)


_TELL: Mapping[str, Callable[[Chat, Told], None]] = {
    "data.message.user": _tell_user,
    "data.message.system": _tell_system,
    "data.message.assistant": _tell_assistant,
    "data.thought": _tell_thought,
    "data.tool.call": _tell_call,
    "data.tool.result": _tell_result,
    "harness.override.injected": _tell_override,
    "harness.approval.requested": _tell_request,
    "harness.approval.resolved": _tell_resolved,
}


class WireEvent(Protocol):
    """What the format `events` tells of an event. `payload` may stand as its JSON text."""

    @property
    def event_id(self) -> UUID: ...

    @property
    def branch(self) -> UUID: ...

    @property
    def seq(self) -> int: ...

    @property
    def type(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def ts(self) -> datetime: ...

    @property
    def payload(self) -> Mapping[str, Any] | bytes: ...


class _Rows:
    """The format `events`: every event as it is on the wire, nothing paired or left out."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.system: list[bytes] = []
        self._taken = 0

    def take_finished(self) -> list[bytes]:
        finished, self.messages = self.messages, []
        self._taken += len(finished)
        return finished

    def copy(self) -> "_Rows":
        twin = copy(self)
        twin.messages = list(self.messages)
        return twin

    def add(self, event: WireEvent) -> None:
        told = (
            f'{{"event_id":"{event.event_id}","branch":"{event.branch}","seq":{event.seq},'
            f'"type":{compact_json(event.type)},"source":{compact_json(event.source)},'
            f'"ts":"{event.ts.isoformat()}","payload":'
        )
        payload = event.payload
        text = payload if isinstance(payload, bytes) else json_bytes(dict(payload))
        self.messages.append(b"%b%b}" % (told.encode(errors="surrogatepass"), text))

    def mark(self) -> tuple[int, int]:
        return self._taken + len(self.messages) - 1, 0

    def settle(self) -> None:
        """Every event is a message of its own."""


class _Facts:
    """What a lineage says beside its messages: variables and tools."""

    def __init__(self) -> None:
        self.variables: dict[str, Any] = {}
        self.tools: list[Any] = []

    def copy(self) -> "_Facts":
        twin = copy(self)
        twin.variables = dict(self.variables)
        return twin

    def add(self, event: Told | WireEvent) -> None:
        payload = event.payload
        _FOLD[event.type](self, json.loads(payload) if isinstance(payload, bytes) else payload)


def _fold_patch(facts: _Facts, payload: Mapping[str, Any]) -> None:
    name = payload.get("name")
    if isinstance(name, str):
        facts.variables[name] = payload.get("value")


def _fold_state(facts: _Facts, payload: Mapping[str, Any]) -> None:
    variables = payload.get("variables")
    if isinstance(variables, Mapping):
        facts.variables.update(variables)


def _fold_start(facts: _Facts, payload: Mapping[str, Any]) -> None:
    tools = payload.get("tools")
    if isinstance(tools, list | tuple):
        facts.tools = list(tools)


_FOLD: Mapping[str, Callable[[_Facts, Mapping[str, Any]], None]] = {
    "harness.variable.patched": _fold_patch,
    "data.state": _fold_state,
    "harness.run.started": _fold_start,
}


def mark_block(message: bytes, block: int) -> bytes:
    """The message, written for `anthropic`, with a `cache_control` on one of its blocks.

    Marks stand where this branch forked: with them its bytes differ from its parent's there.
    """
    value = json.loads(message)
    value["content"][block]["cache_control"] = {"type": "ephemeral"}
    return json_bytes(value)


def open_chat(format: Literal["openai", "anthropic"]) -> Chat:
    """An empty chat for a message API."""
    return Chat(OpenAIWire() if format == "openai" else AnthropicWire())


def open_rendering(format: ContextFormat) -> "Rendering[Any]":
    """An empty rendering, to be told `WireEvent`s for the format `events`."""
    return Rendering(_Rows() if format == "events" else open_chat(format))


# What a chat, or the facts beside it, look into; the payload of any other event stays unread.
READ_TYPES: Final = frozenset(_TELL) | frozenset(_FOLD)


def render_context(events: Iterable[StoredEvent], *, format: ContextFormat) -> Context:
    """Render a lineage, root first, one event at a time; never raises on a payload's shape."""
    return _render(events, _Rows()) if format == "events" else render_chat(events, format=format)


def render_chat(events: Iterable[Told], *, format: Literal["openai", "anthropic"]) -> Context:
    """As `render_context`, of events that tell no more than a chat needs."""
    return _render(events, open_chat(format))


class _Talk[E: Told](Protocol):
    system: list[bytes]

    @property
    def messages(self) -> list[bytes]: ...

    def add(self, event: E) -> None: ...

    def mark(self) -> tuple[int, int]: ...

    def settle(self) -> None: ...

    def take_finished(self) -> list[bytes]: ...

    def copy(self) -> "_Talk[E]": ...


class Rendering[E: Told]:
    """A lineage that is told event by event, and what it renders to so far.

    `branch` is that of the last event, as the events name it.
    """

    def __init__(self, talk: _Talk[E]) -> None:
        self.branch: Hashable = None
        self._talk = talk
        self._facts = _Facts()
        self._marks: _Marks = ()

    def add(self, event: E) -> None:
        """Tell the next event."""
        if event.branch != self.branch or event.type == "harness.override.injected":
            self._marks = _with_mark(self._marks, self._talk.mark())
            self._talk.settle()
            self.branch = event.branch
        if event.type in _FOLD:
            self._facts.add(event)
        self._talk.add(event)

    def take_finished(self) -> list[bytes]:
        """Messages that nothing told later will change, in order, each handed over once;
        `messages` are the others."""
        return self._talk.take_finished()

    def copy(self) -> "Rendering[E]":
        """One that may be told other events from here on."""
        twin = copy(self)
        twin._talk, twin._facts = self._talk.copy(), self._facts.copy()
        return twin

    @property
    def messages(self) -> list[bytes]:
        """The messages that were not taken, each as JSON text."""
        return self._talk.messages

    @property
    def system(self) -> list[bytes]:
        return self._talk.system

    @property
    def variables(self) -> dict[str, Any]:
        return self._facts.variables

    @property
    def tools(self) -> list[Any]:
        return self._facts.tools

    @property
    def cache_points(self) -> list[tuple[int, int]]:
        """They count the messages that were taken as well."""
        return list(_with_mark(self._marks, self._talk.mark()))

    def context(self, finished: Iterable[bytes] = ()) -> Context:
        """What is rendered by now, as values; `finished` are the messages that were taken."""
        return Context(
            messages=[json.loads(message) for message in (*finished, *self.messages)],
            system=[json.loads(block) for block in self.system],
            variables=self.variables,
            tools=self.tools,
            cache_points=self.cache_points,
        )


def _with_mark(marks: _Marks, mark: tuple[int, int]) -> _Marks:
    """The latest marks; they rise, and one before any message is none."""
    if mark[0] < 0 or mark in marks[-1:]:
        return marks
    return (*marks, mark)[-MAX_BREAKPOINTS:]


def _render[E: Told](events: Iterable[E], talk: _Talk[E]) -> Context:
    rendering = Rendering(talk)
    for event in events:
        rendering.add(event)
    return rendering.context()


def approx_tokens(messages: Iterable[Json]) -> int:
    """A quarter of the bytes of the list as compact JSON, rounded up: an estimate."""
    sizes = [len(compact_json(message).encode(errors="surrogatepass")) for message in messages]
    brackets_and_commas = 2 + max(len(sizes) - 1, 0)
    return (sum(sizes) + brackets_and_commas + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN


def repeated_calls(later: Iterable[Told]) -> list[ToolCall]:
    """The tool calls that a fork leaves behind and that its agent may well make again.

    `later` are the parent's events after the fork point. In order of first appearance; the same
    tool with the same arguments is listed once, with its count. A call told both in an assistant
    message and as an event counts once.
    """
    counts: dict[tuple[str, str], int] = {}
    for _, calls in told_calls(later):
        for call in calls:
            key = (call.name, call.arguments_text)
            counts[key] = counts.get(key, 0) + 1
    return [ToolCall(name, text, count) for (name, text), count in counts.items()]
