"""One line about an event, as a list of events shows it.

Total, like `events`: a payload of an unexpected shape is told as far as it can be read. Texts are
what the payload says, cut and brought into one line; whoever prints them makes them inert.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from branches.domain import terms
from branches.domain.events import StoredEvent, calls_of, compact_json, plain_text, text_of

MAX_TEXT: Final = 240
MAX_WHO: Final = 60

# The kinds a reader may show or hide, in the order of the list; what is in none is "other".
KINDS: Final[Mapping[str, frozenset[str]]] = {
    "messages": frozenset({terms.USER, terms.ASSISTANT, terms.SYSTEM}),
    "thoughts": frozenset({terms.THOUGHT}),
    "calls": frozenset({terms.TOOL_CALL}),
    "results": frozenset({terms.TOOL_RESULT}),
    "overrides": frozenset({terms.OVERRIDE, terms.PATCHED, terms.FORKED}),
    "approvals": frozenset({terms.APPROVAL_REQUESTED, terms.APPROVAL_RESOLVED}),
    "errors": frozenset({terms.ERROR}),
}
OTHER: Final = "other"
KNOWN_TYPES: Final = frozenset().union(*KINDS.values())

# Arguments that say best what a call does, the most telling first.
_MAIN_ARGUMENTS: Final = (
    "command", "cmd", "query", "pattern", "file_path", "path", "filename", "url", "expression",
    "code", "text",
)  # fmt: skip
_CALL_ICONS: Final = (
    (re.compile(r"edit|write|patch|replace", re.IGNORECASE), "file-diff"),
    (re.compile(r"grep|search|glob|find", re.IGNORECASE), "search"),
    (re.compile(r"skill", re.IGNORECASE), "book-open"),
    (re.compile(r"look|view|screenshot|image", re.IGNORECASE), "eye"),
)
# A hundred years: nothing took longer.
_MAX_MS: Final = 100 * 365 * 86_400_000
_SPACE: Final = re.compile(r"\s+")
# What only Verel tells. From another source the same type is a claim, and is not signed in blue.
_VERELS_OWN: Final = terms.INTERVENTIONS | {
    terms.FORKED,
    terms.PAUSED,
    terms.RESUMED,
    terms.COMPLETED,
    terms.MERGED,
    terms.ABANDONED,
    terms.REOPENED,
}


@dataclass(frozen=True, slots=True)
class Telling:
    """`kind` is what the row looks like, `icon` a sprite name, `who` an actor or a tool.

    `code` says that the text is one for a typewriter face; `bad` that something failed.
    """

    kind: str
    icon: str
    who: str
    text: str
    code: bool = False
    bad: bool = False


def kind_of(event_type: str) -> str:
    """The filter that an event type belongs to."""
    return next((kind for kind, types in KINDS.items() if event_type in types), OTHER)


def one_line(text: str, limit: int = MAX_TEXT) -> str:
    """Text in one line, cut with an ellipsis."""
    # Only so much is looked at: a megabyte of payload is not squeezed for two hundred letters.
    flat = _SPACE.sub(" ", text[: limit * 8]).strip()
    return flat if len(flat) <= limit and len(text) <= limit * 8 else f"{flat[:limit].rstrip()}…"


def tell_event(event: StoredEvent) -> Telling:
    """The row of an event. What a client says under a type of Verel's own is told as a claim."""
    if event.type in _VERELS_OWN and event.source != terms.SERVER_SOURCE:
        return _tell_claim(event)
    return _TELL.get(event.type, _tell_other)(event)


def took_ms(event: StoredEvent) -> float | None:
    """How long it took, where the event says so; what cannot be true is not told."""
    value = event.payload.get("took_ms")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before it is converted: a JSON integer may be too large for a float.
    return float(value) if 0 <= value <= _MAX_MS else None


def told_tokens(event: StoredEvent) -> int | None:
    """Output tokens, where the event says so."""
    usage = event.payload.get("usage")
    if event.type == terms.USAGE and not isinstance(usage, Mapping):
        usage = event.payload
    value = usage.get("output") if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def waiting_ids(event: StoredEvent) -> tuple[str, ...]:
    """The ids of the calls that this event makes; a result with one of them belongs under it."""
    return tuple(call.call_id for call in calls_of(event) if call.call_id)


def answered_id(event: StoredEvent) -> str:
    """The id of the call that a result answers; empty for every other event."""
    return text_of(event.payload.get("call_id")) if event.type == terms.TOOL_RESULT else ""


def main_argument(arguments: Any) -> str:
    """What a call is about: its most telling argument, or all of them as JSON."""
    if isinstance(arguments, Mapping):
        for name in _MAIN_ARGUMENTS:
            value = arguments.get(name)
            if isinstance(value, str) and value.strip():
                return value
    return text_of(arguments) if arguments else ""


def name_of(by: Any) -> str:
    """The name in a payload's `by`."""
    return text_of(by.get("name")) if isinstance(by, Mapping) else ""


def _tell_user(event: StoredEvent) -> Telling:
    who = text_of(event.payload.get("name")) or "User"
    return Telling("user", "user", _who(who), one_line(plain_text(event.payload.get("content"))))


def _tell_system(event: StoredEvent) -> Telling:
    text = plain_text(event.payload.get("content"))
    return Telling("system", "settings-2", "System", one_line(text))


def _tell_assistant(event: StoredEvent) -> Telling:
    who = _who(text_of(event.payload.get("name")) or "Agent")
    text = one_line(plain_text(event.payload.get("content")))
    calls = calls_of(event)
    if text or not calls:
        return Telling("assistant", "message-square", who, text)
    said = ", ".join(f"{call.name} {main_argument(call.arguments_object)}" for call in calls)
    return Telling("call", call_icon(calls[0].name), who, one_line(said), code=True)


def _tell_thought(event: StoredEvent) -> Telling:
    text = one_line(text_of(event.payload.get("text")))
    return Telling("thought", "message-circle-dashed", "", text)


def call_icon(tool: str) -> str:
    return next((icon for known, icon in _CALL_ICONS if known.search(tool)), "terminal")


def _tell_call(event: StoredEvent) -> Telling:
    call = calls_of(event)[0]
    text = one_line(main_argument(call.arguments_object))
    return Telling("call", call_icon(call.name), _who(call.name or "Tool"), text, code=True)


def _tell_result(event: StoredEvent) -> Telling:
    bad = event.payload.get("is_error") is True
    lines = [line for line in plain_text(event.payload.get("content")).splitlines() if line.strip()]
    # What went wrong is said at the end of an output, what it is about at its beginning.
    text = (lines[-1] if bad else lines[0]) if lines else "No output"
    return Telling("result", "corner-down-right", "", one_line(text), bad=bad)


def _tell_state(event: StoredEvent) -> Telling:
    variables = event.payload.get("variables")
    pairs = variables.items() if isinstance(variables, Mapping) else ()
    text = ", ".join(f"{name} = {text_of(value)}" for name, value in pairs)
    return Telling("system", "braces", "States", one_line(text), code=True)


def _tell_named(who: str, icon: str) -> Callable[[StoredEvent], Telling]:
    def tell(event: StoredEvent) -> Telling:
        text = one_line(compact_json(dict(event.payload))) if event.payload else ""
        return Telling("system", icon, who, text, code=True)

    return tell


def _tell_started(event: StoredEvent) -> Telling:
    return Telling("system", "play", "Run started", one_line(text_of(event.payload.get("goal"))))


def _tell_finished(event: StoredEvent) -> Telling:
    text = text_of(event.payload.get("outcome"))
    return Telling("system", "check", "Run finished", one_line(text))


def _tell_override(event: StoredEvent) -> Telling:
    who = _who(name_of(event.payload.get("by")))
    return Telling("override", "pencil-line", who, one_line(text_of(event.payload.get("text"))))


def _tell_forked(event: StoredEvent) -> Telling:
    reason = text_of(event.payload.get("reason"))
    text = f"forked without an override: {reason}" if reason else "forked here"
    return Telling("person", "git-fork", _who(name_of(event.payload.get("by"))), one_line(text))


def _tell_patched(event: StoredEvent) -> Telling:
    text = f"{text_of(event.payload.get('name'))} = {text_of(event.payload.get('value'))}"
    return Telling("override", "pencil-line", "Patch", one_line(text), code=True)


def _tell_request(event: StoredEvent) -> Telling:
    asked = event.payload.get("action_request")
    told = asked if isinstance(asked, Mapping) else event.payload
    action = text_of(told.get("action"))
    argument = main_argument(told.get("args"))
    # An action may name already what it is about.
    text = action if argument in action else f"{action} {argument}"
    return Telling("approval", "hand", "Asks to run", one_line(text), code=True)


def _tell_resolved(event: StoredEvent) -> Telling:
    answer = text_of(event.payload.get("answer"))
    said = text_of(event.payload.get("text"))
    text = f"{_ANSWERS.get(answer, answer)}: {said}" if said else _ANSWERS.get(answer, answer)
    return Telling("person", "stamp", _who(name_of(event.payload.get("by"))), one_line(text))


def _tell_error(event: StoredEvent) -> Telling:
    text = one_line(text_of(event.payload.get("message")))
    return Telling("error", "triangle-alert", "Error", text, bad=True)


def _tell_claim(event: StoredEvent) -> Telling:
    text = f"{event.type} told by {event.source}; only Verel tells these, so it moved nothing"
    return Telling("system", "unlink", "Not counted", one_line(text))


def _tell_other(event: StoredEvent) -> Telling:
    text = one_line(compact_json(dict(event.payload))) if event.payload else ""
    return Telling("system", "braces", _who(event.type), text, code=True)


def _tell_move(word: str, icon: str, kind: str) -> Callable[[StoredEvent], Telling]:
    def tell(event: StoredEvent) -> Telling:
        reason = text_of(event.payload.get("reason"))
        text = f"{word}: {reason}" if reason else word
        return Telling(kind, icon, _who(name_of(event.payload.get("by"))), one_line(text))

    return tell


def _who(text: str) -> str:
    return one_line(text, MAX_WHO)


_ANSWERS: Final = {
    "accept": "approved",
    "edit": "approved with other arguments",
    "respond": "replied",
    "ignore": "denied",
}
_TELL: Final[Mapping[str, Callable[[StoredEvent], Telling]]] = {
    terms.USER: _tell_user,
    terms.SYSTEM: _tell_system,
    terms.ASSISTANT: _tell_assistant,
    terms.THOUGHT: _tell_thought,
    terms.TOOL_CALL: _tell_call,
    terms.TOOL_RESULT: _tell_result,
    terms.STATE: _tell_state,
    terms.USAGE: _tell_named("Usage", "coins"),
    terms.PERCEPT: _tell_named("Percept", "eye"),
    terms.RUN_STARTED: _tell_started,
    terms.RUN_FINISHED: _tell_finished,
    terms.OVERRIDE: _tell_override,
    terms.FORKED: _tell_forked,
    terms.PATCHED: _tell_patched,
    terms.APPROVAL_REQUESTED: _tell_request,
    terms.APPROVAL_RESOLVED: _tell_resolved,
    terms.ERROR: _tell_error,
    terms.PAUSED: _tell_move("paused the agent", "pause", "system"),
    terms.RESUMED: _tell_move("let the agent go on", "play", "system"),
    terms.COMPLETED: _tell_move("says it is finished", "check", "system"),
    terms.MERGED: _tell_move("merged this branch", "git-merge", "merge"),
    terms.ABANDONED: _tell_move("abandoned this branch", "ban", "person"),
    terms.REOPENED: _tell_move("reopened this branch", "undo-2", "person"),
}
