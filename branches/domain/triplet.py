"""From a merge to training data: `{prompt, chosen, rejected}`, or the reason why not."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import takewhile
from typing import Final, Literal

from branches.domain.context import open_chat
from branches.domain.events import StoredEvent, calls_of, compact_json
from branches.domain.wire import Json

_TOLD: Final = frozenset({"data.message.user", "data.message.system"})
_DECISIONS: Final = frozenset({"data.message.assistant", "data.tool.call"})

type Granularity = Literal["decision", "trajectory", "final"]


class RefusalReason(StrEnum):
    """Why a pair makes no triplet, in words for the reviewer."""

    EMPTY_PROMPT = "The shared part holds no message, so there is no prompt."
    EMPTY_WINNER = "The winner says nothing after the point where both part."
    EMPTY_LOSER = "The loser says nothing after the point where both part."
    TRUNCATED_WINNER = "The winner is truncated: a part of what it said was not kept."
    TRUNCATED_LOSER = "The loser is truncated: a part of what it said was not kept."
    OTHER_PROMPT = "The sides answer different messages, so they share no prompt."
    EQUAL_SIDES = "Both sides say the same."


@dataclass(frozen=True, slots=True)
class Refused:
    """No triplet; the merge itself may go on without it."""

    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class TripletDraft:
    """A training pair, each part a list of OpenAI messages (a call's arguments as JSON text)."""

    prompt: list[Json]
    chosen: list[Json]
    rejected: list[Json]
    granularity: Granularity

    @property
    def prompt_digest(self) -> str:
        """SHA-256 of the prompt's compact JSON, in hex: equal prompts have equal digests."""
        return sha256(compact_json(self.prompt).encode(errors="surrogatepass")).hexdigest()


def build_triplet(
    *,
    shared: Sequence[StoredEvent],
    winner: Sequence[StoredEvent],
    loser: Sequence[StoredEvent],
    granularity: Granularity,
    override_in_prompt: bool,
) -> TripletDraft | Refused:
    """Make the triplet of one loser.

    `shared` is the lineage up to the divergence, which the caller has verified to be equal by
    digest; `winner` and `loser` are what each side did after it. Frames within the shared part
    were given to both and stay in the prompt; those of the two sides never enter `chosen` or
    `rejected`. With `override_in_prompt` the frame that the winner's side begins with ends the
    prompt, as a system message.

    `decision` compares the first assistant messages after the divergence, with their tool calls.
    What users said to the agent between the divergence and that message belongs to the prompt, so
    both sides must have been told the same;
    `trajectory` all messages; `final` the last assistant messages with text, or, where a side has
    none, its last calls. For `decision` and `final` thoughts are no messages, and a call that the
    shared part leaves open is answered in the prompt by a note that there is no result.
    """
    told = _told(winner, granularity)
    prefix = (*shared, *(_leading_frame(winner) if override_in_prompt else ()), *told)
    prompt, chosen = _split(prefix, winner, granularity)
    _, rejected = _split(prefix, loser, granularity)
    reason = _why_not(prompt, chosen, rejected, _truncated(winner), _truncated(loser))
    if reason is None and _contents(told) != _contents(_told(loser, granularity)):
        reason = RefusalReason.OTHER_PROMPT
    if reason:
        return Refused(reason)
    return TripletDraft(prompt, chosen, rejected, granularity)


def _why_not(
    prompt: list[Json],
    chosen: list[Json],
    rejected: list[Json],
    winner_truncated: bool,
    loser_truncated: bool,
) -> RefusalReason | None:
    reasons = {
        RefusalReason.EMPTY_PROMPT: not prompt,
        RefusalReason.EMPTY_WINNER: not any(map(_speaks, chosen)),
        RefusalReason.EMPTY_LOSER: not any(map(_speaks, rejected)),
        RefusalReason.TRUNCATED_WINNER: winner_truncated,
        RefusalReason.TRUNCATED_LOSER: loser_truncated,
        RefusalReason.EQUAL_SIDES: _without_ids(chosen) == _without_ids(rejected),
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _truncated(side: Iterable[StoredEvent]) -> bool:
    return any(event.payload.get("truncated") is True for event in side)


def _leading_frame(side: Iterable[StoredEvent]) -> tuple[StoredEvent, ...]:
    for event in side:
        if event.type == "harness.override.injected":
            return (event,)
        if event.type.startswith("data."):
            break
    return ()


def _told(side: Iterable[StoredEvent], granularity: Granularity) -> list[StoredEvent]:
    """What users or the system told a side before its decision."""
    if granularity != "decision":
        return []
    before = takewhile(lambda event: event.type not in _DECISIONS, side)
    return [event for event in before if event.type in _TOLD]


def _contents(events: Iterable[StoredEvent]) -> list[tuple[str, str]]:
    return [(event.type, compact_json(event.payload.get("content"))) for event in events]


def _split(
    prefix: Iterable[StoredEvent], side: Iterable[StoredEvent], granularity: Granularity
) -> tuple[list[Json], list[Json]]:
    """The prompt, and what is taken of a side rendered after it."""
    chat = open_chat("openai")
    for event in prefix:
        chat.add(event)
    open_ids = chat.waiting()
    if granularity == "trajectory":
        chat.seal()
    else:
        chat.close()
    at = len(chat.messages)
    for event in _of_agent(side, open_ids, granularity):
        chat.add(event)
    messages = list(map(json.loads, chat.messages))
    return messages[:at], _TAKE[granularity](messages[at:])


def _of_agent(
    side: Iterable[StoredEvent], open_ids: set[str], granularity: Granularity
) -> Iterator[StoredEvent]:
    """The side without overrides, without thoughts where they do not count, and without the
    second telling of calls that the prompt has already."""
    dropped = {"harness.override.injected"}
    if granularity != "trajectory":
        dropped.add("data.thought")
    for event in side:
        told_before = {call.call_id for call in calls_of(event)} & open_ids
        if event.type == "data.tool.call" and told_before:
            open_ids = open_ids - told_before
        elif event.type not in dropped:
            yield event


def _speaks(message: Json) -> bool:
    """Whether an agent says something here, in words or by a call."""
    return message["role"] == "assistant" and bool(message["content"] or _calls(message))


def _first_spoken(messages: list[Json]) -> list[Json]:
    return next(([message] for message in messages if _speaks(message)), [])


def _last_spoken(messages: list[Json]) -> list[Json]:
    spoken = [message for message in messages if _speaks(message)]
    worded = [message for message in spoken if message["content"]]
    return (worded or spoken)[-1:]


_TAKE: Mapping[Granularity, Callable[[list[Json]], list[Json]]] = {
    "decision": _first_spoken,
    "trajectory": list,
    "final": _last_spoken,
}


def _calls(message: Json) -> list[Json]:
    return message.get("tool_calls") or []


def _without_ids(messages: Iterable[Json]) -> str:
    """The messages as text with each call id replaced by its order: ids say nothing."""
    order: dict[str, int] = {}
    plain: list[Json] = []
    for message in messages:
        calls = [
            {**call, "id": order.setdefault(call["id"], len(order))} for call in _calls(message)
        ]
        answered = message.get("tool_call_id", "")
        plain.append(
            {**message, "tool_calls": calls, "tool_call_id": order.get(answered, answered)}
        )
    return compact_json(plain)
