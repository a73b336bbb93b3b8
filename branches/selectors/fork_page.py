"""The fork drawer: what a new branch would begin with, and what its agent would be sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from branches.domain import terms
from branches.domain.context import (
    BYTES_PER_TOKEN,
    ToolCall,
    render_context,
    repeated_calls,
)
from branches.domain.events import StoredEvent, compact_json, plain_text, text_of
from branches.domain.override import Override, build_frame, parse_override
from branches.domain.telling import Telling, main_argument, one_line, tell_event
from branches.models import Branch, Event
from branches.selectors.event_page import PatchLine, tell_patches
from branches.selectors.events import stored_event
from branches.selectors.judged import ReadVerdicts, no_verdicts
from branches.selectors.lineage import iter_lineage
from branches.selectors.run_lines import Lines, read_lines
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right

SHOWN_MESSAGES: Final = 4
SHOWN_CHARACTERS: Final = 2000
QUOTED_CHARACTERS: Final = 600
# How many of the events after the fork point are looked through for calls that may be repeated.
MAX_LATER: Final = 2000
SHOWN_CALLS: Final = 8
# A prefix is read anew after this; while somebody types, it is the same one every time.
PREFIX_SECONDS: Final = 600


@dataclass(frozen=True)
class ForkDraft:
    """What was typed so far. `token` tells one submission of the form from another."""

    override: str = ""
    reason: str = ""
    name: str = ""
    token: str = ""
    json: bool = False


@dataclass(frozen=True)
class Message:
    """`tag` says what the role does not; `human` marks the interrupt frame."""

    role: str
    tag: str
    text: str
    tokens: int
    human: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Sent:
    """The messages of the new branch: the last few, and how many stand before them unchanged."""

    messages: tuple[Message, ...]
    earlier: int
    earlier_tokens: int
    tokens: int
    override_tokens: int
    json: str

    @property
    def share(self) -> str:
        """The override's part of all tokens, in words; empty without an override."""
        if not self.override_tokens:
            return ""
        percent = 100 * self.override_tokens / max(self.tokens, 1)
        return f"{percent:.1f} %" if percent >= 0.1 else "under 0.1 %"


@dataclass(frozen=True)
class Repeated:
    name: str
    text: str
    count: int


@dataclass(frozen=True)
class Tried:
    """A fork that stands at this point already."""

    label: str
    lane: int
    number: int
    override: str
    reason: str
    by: str
    at: datetime
    status: str
    verdict: str
    href: str


@dataclass(frozen=True)
class ForkPage:
    run: UUID
    project: Project
    goal: str
    agent: str
    label: str
    step: int
    lane: int
    number: int
    at: datetime
    telling: Telling
    quote: str
    draft: ForkDraft
    patches: tuple[PatchLine, ...]
    unread: tuple[tuple[int, str], ...]
    sent: Sent
    repeated: tuple[Repeated, ...]
    repeated_more: int
    tried: tuple[Tried, ...]
    override_in_prompt: bool
    author: str
    url: str
    preview_url: str
    back: str
    error: str = ""
    error_title: str = ""
    error_at: str = ""
    screen: str = "fork"
    nav: str = "runs"
    title: str = ""


def read_fork_page(
    *,
    actor: Actor,
    event: Event,
    draft: ForkDraft,
    error: tuple[str, str, str] = ("", "", ""),
    read_verdicts: ReadVerdicts = no_verdicts,
) -> ForkPage:
    """The drawer for a fork after an event. `error` is the title, detail and pointer of a refusal.

    `event` as `read_event` gives it. Raises Forbidden for a reader who may not fork.
    """
    actor.demand(event.project_id, Right.FORK)
    branch, run = event.branch, event.run
    lines = read_lines(run)
    stored = stored_event(event)
    read = parse_override(draft.override)
    patches, sent = _preview(branch, event, draft, read, actor)
    repeated = _read_repeated(branch, event.seq)
    step = branch.base + event.seq
    title, detail, pointer = error
    return ForkPage(
        run=run.pk,
        project=run.project,
        goal=run.goal,
        agent=run.agent or "The agent",
        label=branch.label,
        step=step,
        lane=lines.lanes[branch.pk],
        number=branch.number,
        at=event.ts,
        telling=tell_event(stored),
        quote=_quote(stored),
        draft=draft,
        patches=patches,
        unread=read.unread,
        sent=sent,
        repeated=repeated[:SHOWN_CALLS],
        repeated_more=max(len(repeated) - SHOWN_CALLS, 0),
        tried=_read_tried(branch, event.seq, lines, read_verdicts),
        override_in_prompt=run.project.override_in_prompt,
        author=actor.name,
        url=reverse("fork", args=[event.event_id]),
        preview_url=reverse("fork-preview", args=[event.event_id]),
        back=f"{reverse('run', args=[run.pk])}?event={event.event_id}",
        error=detail,
        error_title=title,
        error_at=pointer.removeprefix("/"),
        title=f"Fork at {step:,}",
    )


def _quote(stored: StoredEvent) -> str:
    payload = stored.payload
    for name in ("content", "text", "message", "goal"):
        if payload.get(name):
            return plain_text(payload[name])[:QUOTED_CHARACTERS]
    telling = tell_event(stored)
    return f"{telling.who} {telling.text}".strip()


@dataclass(frozen=True)
class _Prefix:
    """What every fork after one event begins with; it never changes, for events never do.

    `tail` are its last messages and `bytes` the size of all `count` of them; `names` are those of
    the tools that the tail answers for.
    """

    variables: Mapping[str, Any]
    tail: tuple[Mapping[str, Any], ...]
    names: Mapping[str, str]
    count: int
    bytes: int


def _preview(
    branch: Branch, event: Event, draft: ForkDraft, read: Override, actor: Actor
) -> tuple[tuple[PatchLine, ...], Sent]:
    """The patches with former values, and the very messages that a claim of the fork would give."""
    human = bool(draft.override.strip())
    prefix = _read_prefix(branch, event, human)
    shown = prefix.tail[-SHOWN_MESSAGES:]
    count, total = prefix.count, prefix.bytes
    if human:
        frame = build_frame(directive=draft.override, authority=actor.authority(branch.project_id))
        message = render_context([_frame_event(frame, event)], format="openai").messages[0]
        shown = (*shown, message)[-SHOWN_MESSAGES:]
        count, total = count + 1, total + _size(message)
    earlier = count - len(shown)
    sent = Sent(
        messages=tuple(
            _message(message, prefix.names, human=human and message is shown[-1])
            for message in shown
        ),
        earlier=earlier,
        earlier_tokens=_tokens(total - sum(map(_size, shown)), earlier) if earlier else 0,
        tokens=_tokens(total, count),
        override_tokens=_tokens(_size(shown[-1]), 1) if human else 0,
        json=_shown_json(shown) if draft.json else "",
    )
    return tell_patches([patch.payload() for patch in read.patches], prefix.variables), sent


def _read_prefix(branch: Branch, event: Event, human: bool) -> _Prefix:
    """The messages before a frame, or of a fork without one (calls that wait stay open there)."""
    # The seal names the row and all before it, so that what is kept can never be another's.
    key = f"fork-prefix:{bytes(event.seal).hex()}:{human:d}"
    kept = cache.get(key)
    if isinstance(kept, _Prefix):
        return kept
    events = list(iter_lineage(branch, upto=event.seq, inline=True))
    frame = [_frame_event("frame", event)] if human else []
    context = render_context([*events, *frame], format="openai")
    messages = context.messages[:-1] if human else context.messages
    tail = tuple(messages[-SHOWN_MESSAGES:])
    answers = {str(message.get("tool_call_id")) for message in tail}
    names = {k: v for k, v in _names_of_calls(messages).items() if k in answers}
    prefix = _Prefix(
        context.variables, tail, names, len(messages), sum(_size(message) for message in messages)
    )
    cache.set(key, prefix, PREFIX_SECONDS)
    return prefix


def _size(message: Mapping[str, Any]) -> int:
    return len(compact_json(message).encode(errors="surrogatepass"))


def _tokens(size: int, count: int) -> int:
    """As `domain.context.approx_tokens`, of `count` messages that are `size` bytes together."""
    return (size + 2 + max(count - 1, 0) + BYTES_PER_TOKEN - 1) // BYTES_PER_TOKEN


def _frame_event(frame: str, event: Event) -> StoredEvent:
    return StoredEvent(
        event_id=uuid4(),
        branch=uuid4(),
        seq=1,
        type=terms.OVERRIDE,
        source=terms.SERVER_SOURCE,
        ts=timezone.now(),
        payload={"frame": frame},
        digest=bytes(event.digest),
        position=event.position + 1,
        parent_id=None,
        task_id=None,
    )


def _names_of_calls(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {
        str(call.get("id")): str(call.get("function", {}).get("name", ""))
        for message in messages
        for call in message.get("tool_calls") or ()
    }


def _message(message: Mapping[str, Any], names: Mapping[str, str], *, human: bool) -> Message:
    calls = [
        f"{call['function']['name']} {call['function']['arguments']}"
        for call in message.get("tool_calls") or ()
    ]
    text = "\n".join(filter(None, (_content_text(message.get("content")), *calls)))
    tag = names.get(str(message.get("tool_call_id")), "") or ("calls" if calls else "")
    return Message(
        role=str(message.get("role", "")),
        tag=tag,
        text=text[:SHOWN_CHARACTERS],
        tokens=_tokens(_size(message), 1),
        human=human,
        cut=len(text) > SHOWN_CHARACTERS,
    )


def _content_text(content: object) -> str:
    if not isinstance(content, list):
        return text_of(content)
    return "\n".join(
        text_of(part.get("text")) if part.get("type") == "text" else f"[{part.get('type')}]"
        for part in content
        if isinstance(part, Mapping)
    )


def _shown_json(messages: Sequence[Mapping[str, Any]]) -> str:
    """The shown messages as they travel; long strings (images) are cut for the eye."""
    text = json.dumps(list(messages), ensure_ascii=False, indent=2)
    return text if len(text) <= 4 * SHOWN_CHARACTERS else f"{text[: 4 * SHOWN_CHARACTERS]}\n…"


def _read_repeated(branch: Branch, seq: int) -> tuple[Repeated, ...]:
    later = Event.objects.of_branch(branch).filter(
        seq__gt=seq, type__in=(terms.ASSISTANT, terms.TOOL_CALL)
    )
    calls = repeated_calls(stored_event(row) for row in later.order_by("seq")[:MAX_LATER])
    return tuple(Repeated(call.name, _call_text(call), call.count) for call in calls)


def _call_text(call: ToolCall) -> str:
    try:
        arguments = json.loads(call.arguments_text)
    except (ValueError, RecursionError):
        return one_line(call.arguments_text, 120)
    return one_line(main_argument(arguments), 120)


def _read_tried(
    branch: Branch, seq: int, lines: Lines, read_verdicts: ReadVerdicts
) -> tuple[Tried, ...]:
    tried = [
        row for row in lines.branches.values() if row.parent_id == branch.pk and row.fork_seq == seq
    ]
    words = read_verdicts(tried, None).words
    waiting = {key for key, _ in lines.asked}
    return tuple(
        Tried(
            label=row.label,
            lane=lines.lanes[row.pk],
            number=row.number,
            override=one_line(row.override, 160),
            reason=one_line(row.note, 160),
            by=row.forked_by,
            at=row.created_at,
            status="stasis" if row.pk in waiting else row.status,
            verdict="" if row.pk in waiting else words.get(row.pk, ""),
            href=f"{reverse('run', args=[row.run_id])}?branch={row.pk}",
        )
        for row in tried
    )
