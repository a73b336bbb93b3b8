"""One event in full: what it says, what belongs to it, and where it stands in the chains."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from branches.domain import terms
from branches.domain.events import StoredEvent, calls_of, plain_text, text_of
from branches.domain.telling import (
    Telling,
    answered_id,
    main_argument,
    name_of,
    one_line,
    tell_event,
    told_tokens,
    took_ms,
    waiting_ids,
)
from branches.models import Approval, Branch, Event
from branches.selectors.event_parts import ContentPart, read_parts
from branches.selectors.events import payload_of, stored_event
from branches.selectors.judged import ReportLine
from branches.selectors.run_lines import Lines
from branches.selectors.run_rows import Window
from branches.selectors.run_view import View
from branches.storage.payloads import payload_bytes
from verel_site.kit.moments import tell_both

FIRST_CHARACTERS: Final = 4096
FIRST_PROSE: Final = 16_384
# How far from a call its result is looked for, in events of the branch.
PAIR_REACH: Final = 20
# How far up a lineage a variable's former value is looked for.
MAX_ANCESTORS: Final = 100
MERGE_TYPES: Final = frozenset({terms.MERGED, terms.ABANDONED, terms.REOPENED})

_TITLES: Final[Mapping[str, str]] = {
    terms.USER: "User message",
    terms.ASSISTANT: "Agent message",
    terms.SYSTEM: "System message",
    terms.THOUGHT: "Thought",
    terms.TOOL_CALL: "Tool call",
    terms.TOOL_RESULT: "Tool result",
    terms.USAGE: "Usage",
    terms.STATE: "Stated variables",
    terms.PERCEPT: "Percept",
    terms.RUN_STARTED: "Run started",
    terms.RUN_FINISHED: "Run finished",
    terms.FORKED: "Fork",
    terms.PAUSED: "Paused",
    terms.RESUMED: "Resumed",
    terms.COMPLETED: "Completed",
    terms.MERGED: "Merge",
    terms.ABANDONED: "Abandoned",
    terms.REOPENED: "Reopened",
    terms.OVERRIDE: "Override",
    terms.PATCHED: "Variable patch",
    terms.APPROVAL_REQUESTED: "Approval",
    terms.APPROVAL_RESOLVED: "Answer",
    terms.ERROR: "Error",
}
_MARKDOWN: Final = frozenset({terms.USER, terms.ASSISTANT, terms.SYSTEM, terms.THOUGHT})


@dataclass(frozen=True)
class Payload:
    """Text by lines. `cut` says that only the first part of `characters` is here."""

    name: str
    lines: tuple[str, ...]
    characters: int
    cut: bool = False


@dataclass(frozen=True)
class Fact:
    """`href` makes it a link; `mono` is for digests and ids; `whole` is what a short form stands for."""

    term: str
    text: str
    mono: bool = False
    href: str = ""
    whole: str = ""


@dataclass(frozen=True)
class Stasis:
    """An approval that may be answered here. `error` is a refused answer's reason."""

    id: UUID
    url: str
    action: str
    description: str
    args: Payload
    args_text: str
    request_digest: str
    allow: frozenset[str]
    since: datetime
    expires_at: datetime | None
    expired: bool
    text: str = ""
    error: str = ""


@dataclass(frozen=True)
class PatchLine:
    """`was` is None where the variable had not been set."""

    line: int
    name: str
    was: str | None
    becomes: str


@dataclass(frozen=True)
class Overridden:
    by: str
    authority: str
    text: str
    patches: tuple[PatchLine, ...]
    frame: str


@dataclass(frozen=True)
class Called:
    name: str
    summary: str
    arguments: Payload


@dataclass(frozen=True)
class Body:
    """What an event says: `prose` is Markdown, `printed` what a tool or a fault put out."""

    prose: str
    prose_cut: bool
    calls: tuple[Called, ...]
    printed: Payload | None
    json: Payload

    @property
    def has_text(self) -> bool:
        return bool(self.prose or self.calls or self.printed)

    @property
    def cut(self) -> bool:
        return self.prose_cut or self.json.cut or (self.printed is not None and self.printed.cut)


@dataclass(frozen=True)
class Links:
    """Addresses in the reader's view; `suffix` is the query that keeps it for other addresses.

    `earlier` and `later` are empty at the ends; `whole_part` is the uncut detail alone.
    """

    earlier: str
    later: str
    here: str
    json: str
    whole: str
    whole_part: str
    fork: str
    download: str
    suffix: str


@dataclass(frozen=True)
class EventDetail:
    """`answer_waits` says that the event asks and was not answered, whoever reads it."""

    id: UUID
    title: str
    telling: Telling
    step: int
    lane: int
    number: int
    branch: UUID
    label: str
    heading: str
    heading_code: str
    body: Body
    parts: tuple[ContentPart, ...]
    shows_json: bool
    override: Overridden | None
    stasis: Stasis | None
    answer_waits: bool
    reports: tuple[ReportLine, ...]
    facts: tuple[Fact, ...]
    pair: Fact | None
    forks: int
    links: Links
    bytes: int
    may_fork: bool


@dataclass(frozen=True)
class Reader:
    """What the reader of a page may do there."""

    may_fork: bool
    may_steer: bool
    may_answer: bool


def tell_detail(
    event: Event,
    *,
    view: View,
    lines: Lines,
    reader: Reader,
    near: Window | None = None,
    draft: Mapping[str, str] | None = None,
    reports: Sequence[ReportLine] = (),
) -> EventDetail:
    """The detail of an event of the view's run. `draft` is an answer that was refused, with why.

    At most six queries: the events beside it, its call or result, an override's patches, what the
    blobs of its parts are. Of these, `near`, a window with the event in it, saves what can be found there.
    """
    branch = lines.branches[event.branch_id]
    stored = stored_event(event)
    heading, code, pair = _read_pair(event, stored, branch, view, near)
    request = lines.asked.get((event.branch_id, event.seq))
    body = _body(stored, None if view.whole else FIRST_CHARACTERS)
    return EventDetail(
        id=event.event_id,
        title=_TITLES.get(event.type, event.type),
        telling=tell_event(stored),
        step=branch.base + event.seq,
        lane=lines.lanes[branch.pk],
        number=branch.number,
        branch=branch.pk,
        label=branch.label,
        heading=heading,
        heading_code=code,
        body=body,
        parts=read_parts(event, stored.payload),
        shows_json=view.json or not body.has_text,
        override=_read_override(event, stored, branch, lines),
        stasis=make_stasis(request.approval, draft) if request and reader.may_answer else None,
        answer_waits=request is not None,
        reports=tuple(reports),
        facts=tuple(_facts(event, stored, branch, view)),
        pair=pair,
        forks=lines.forks.get((event.branch_id, event.seq), 0),
        links=_links(event, view, *_find_neighbours(event, view, lines, near)),
        bytes=len(payload_bytes(event)),
        may_fork=reader.may_fork,
    )


def _links(event: Event, view: View, earlier: UUID | None, later: UUID | None) -> Links:
    key = event.event_id
    here = replace(view, event=key, after=None, before=None, json=False, whole=False)
    whole = replace(here, event=None, whole=True).query()
    return Links(
        earlier=here.href(event=earlier) if earlier else "",
        later=here.href(event=later) if later else "",
        here=here.href(),
        json=here.href(json=True),
        whole=here.href(whole=True),
        whole_part=f"{reverse('event', args=[key])}?{whole}",
        fork=reverse("fork", args=[key]),
        download=reverse("event-payload", args=[key]),
        suffix=view.suffix,
    )


def make_payload(name: str, text: str, limit: int | None = FIRST_CHARACTERS) -> Payload:
    """A text as a block of lines, cut after `limit` characters at the end of a line if one is near."""
    shown = text if limit is None or len(text) <= limit else text[:limit]
    cut = len(shown) < len(text)
    if cut and "\n" in shown[limit // 2 if limit else 0 :]:
        shown = shown[: shown.rindex("\n")]
    # An output's last line break ends its last line; it does not begin another.
    return Payload(name, tuple(shown.removesuffix("\n").split("\n")), len(text), cut)


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _prose(stored: StoredEvent) -> str:
    if stored.type not in _MARKDOWN:
        return ""
    if stored.type == terms.THOUGHT:
        return text_of(stored.payload.get("text"))
    return plain_text(stored.payload.get("content"))


def _calls(stored: StoredEvent, limit: int | None) -> tuple[Called, ...]:
    return tuple(
        Called(
            name=call.name or "Tool",
            summary=one_line(main_argument(call.arguments_object)),
            arguments=make_payload("Arguments", _pretty(call.arguments_object), limit),
        )
        for call in calls_of(stored)
    )


def _body(stored: StoredEvent, limit: int | None) -> Body:
    prose = _prose(stored)
    return Body(
        prose=prose if limit is None else prose[:FIRST_PROSE],
        prose_cut=limit is not None and len(prose) > FIRST_PROSE,
        calls=_calls(stored, limit),
        printed=_printed(stored, limit),
        json=make_payload("JSON", _pretty(dict(stored.payload)), limit),
    )


def _printed(stored: StoredEvent, limit: int | None) -> Payload | None:
    """What a tool or a fault printed; None for every other event."""
    payload = stored.payload
    if stored.type == terms.TOOL_RESULT:
        return make_payload("Text", plain_text(payload.get("content")), limit)
    if stored.type == terms.ERROR:
        return make_payload("Text", text_of(payload.get("message")), limit)
    return None


def _read_pair(
    event: Event, stored: StoredEvent, branch: Branch, view: View, near: Window | None
) -> tuple[str, str, Fact | None]:
    """Heading and its code, and the call of a result or the result of a call."""
    telling = tell_event(stored)
    call_id = answered_id(stored)
    if event.type == terms.TOOL_RESULT:
        found = _find_call(event, call_id, near) if call_id else None
        if found is None:
            return text_of(stored.payload.get("name")) or "A tool", "", None
        call = next(c for c in calls_of(found[1]) if c.call_id == call_id)
        summary = one_line(main_argument(call.arguments_object), 120)
        return call.name, summary, _link("Call", found[0], branch, view, call.name)
    if event.type == terms.TOOL_CALL:
        ids = waiting_ids(stored)
        answer = _find_result(event, ids[0], near) if ids else None
        pair = _link("Result", answer, branch, view, "") if answer else None
        return telling.who, one_line(telling.text, 120), pair
    return telling.who, "", None


def _link(term: str, event: Event, branch: Branch, view: View, word: str) -> Fact:
    href = view.href(event=event.event_id, after=None, before=None)
    return Fact(term, f"{branch.base + event.seq:,} {word}".strip(), href=href)


def _read_near(
    event: Event, first: int, last: int, types: tuple[str, ...], near: Window | None
) -> list[Event]:
    """Events of the branch by seq, from the window if there is one."""
    if near is not None:
        own = (row for row in near.events if row.branch_id == event.branch_id)
        return [row for row in own if first <= row.seq <= last and row.type in types]
    rows = Event.objects.in_run(event.run_id).filter(branch_id=event.branch_id, type__in=types)
    return list(rows.filter(seq__range=(first, last)).order_by("seq"))


def _find_call(event: Event, call_id: str, near: Window | None) -> tuple[Event, StoredEvent] | None:
    types = (terms.TOOL_CALL, terms.ASSISTANT)
    rows = _read_near(event, event.seq - PAIR_REACH, event.seq - 1, types, near)
    for row in reversed(rows):
        stored = stored_event(row)
        if call_id in waiting_ids(stored):
            return row, stored
    return None


def _find_result(event: Event, call_id: str, near: Window | None) -> Event | None:
    types = (terms.TOOL_RESULT,)
    rows = _read_near(event, event.seq + 1, event.seq + PAIR_REACH, types, near)
    return next((row for row in rows if answered_id(stored_event(row)) == call_id), None)


def _find_neighbours(
    event: Event, view: View, lines: Lines, near: Window | None
) -> tuple[UUID | None, UUID | None]:
    """The events before and after it, in the lanes that are shown."""
    places = [row.event_id for row in near.events] if near is not None else []
    if near is None or event.event_id not in places:
        return _read_neighbours(event, view, lines)
    at = places.index(event.event_id)
    inside = (at > 0 or near.before is None) and (at + 1 < len(places) or near.after is None)
    if not inside:
        return _read_neighbours(event, view, lines)
    return (
        places[at - 1] if at > 0 else None,
        places[at + 1] if at + 1 < len(places) else None,
    )


def _read_neighbours(event: Event, view: View, lines: Lines) -> tuple[UUID | None, UUID | None]:
    rows = Event.objects.filter(run_id=view.run)
    if lines.segments:
        nearby = _segments_around(event, lines)
        rows = rows.filter(nearby)
    ids = rows.values_list("event_id", flat=True)
    earlier = ids.filter(position__lt=event.position).order_by("-position").first()
    later = ids.filter(position__gt=event.position).order_by("position").first()
    return earlier, later


def _segments_around(event: Event, lines: Lines) -> Q:
    """The event's own segment of the lineage and the two beside it."""
    places = [s.branch for s in lines.segments]
    at = places.index(event.branch_id) if event.branch_id in places else len(places) - 1
    where = Q()
    for segment in lines.segments[max(at - 1, 0) : at + 2]:
        where |= Q(branch_id=segment.branch, seq__lte=segment.upto)
    return where


def _read_override(
    event: Event, stored: StoredEvent, branch: Branch, lines: Lines
) -> Overridden | None:
    if event.type != terms.OVERRIDE or event.source != terms.SERVER_SOURCE:
        return None
    rows = Event.objects.of_branch(branch).filter(
        seq__lt=event.seq, type=terms.PATCHED, source=terms.SERVER_SOURCE
    )
    patches = [payload_of(row) for row in rows.order_by("seq")]
    names = {text_of(patch.get("name")) for patch in patches}
    return Overridden(
        by=name_of(stored.payload.get("by")),
        authority=text_of(stored.payload.get("authority")),
        text=text_of(stored.payload.get("text")),
        patches=tell_patches(patches, _read_values(branch, lines, names) if names else {}),
        frame=text_of(stored.payload.get("frame")),
    )


def tell_patches(
    patches: Iterable[Mapping[str, Any]], known: Mapping[str, Any]
) -> tuple[PatchLine, ...]:
    """Patch payloads with what each variable was before; a later patch sees the earlier ones."""
    values = dict(known)
    told = []
    for patch in patches:
        name, value = text_of(patch.get("name")), text_of(patch.get("value"))
        line = patch.get("line")
        was = text_of(values[name]) if name in values else None
        told.append(PatchLine(line if isinstance(line, int) else 0, name, was, value))
        values[name] = value
    return tuple(told)


def _read_values(branch: Branch, lines: Lines, names: set[str]) -> dict[str, Any]:
    """The values of variables where the branch begins: what was told last in its ancestors."""
    values: dict[str, Any] = {}
    parent, upto = branch.parent_id, branch.fork_seq or 0
    where = Q()
    for _ in range(MAX_ANCESTORS):
        if parent is None:
            break
        where |= Q(branch_id=parent, seq__lte=upto)
        ancestor = lines.branches[parent]
        parent, upto = ancestor.parent_id, ancestor.fork_seq or 0
    told = Event.objects.in_run(branch.run_id).filter(where, type__in=(terms.PATCHED, terms.STATE))
    for row in told.order_by("-position")[:200] if where else ():
        payload = payload_of(row)
        if row.type == terms.STATE:
            stated = payload.get("variables")
            pairs = dict(stated) if isinstance(stated, Mapping) else {}
        elif row.source == terms.SERVER_SOURCE:
            pairs = {text_of(payload.get("name")): payload.get("value")}
        else:
            pairs = {}
        values = {**{k: v for k, v in pairs.items() if k in names}, **values}
    return values


def make_stasis(approval: Approval, draft: Mapping[str, str] | None = None) -> Stasis:
    """The form of an open approval; `draft` is what was typed, and why it was refused."""
    draft = draft or {}
    now = timezone.now()
    pretty = _pretty(approval.args)
    return Stasis(
        id=approval.pk,
        url=reverse("approval-answer", args=[approval.pk]),
        action=approval.action,
        description=approval.description,
        args=make_payload("Arguments", pretty),
        args_text=draft.get("args", pretty),
        request_digest=bytes(approval.request_digest).hex(),
        allow=frozenset(approval.allow),
        since=approval.created_at,
        expires_at=approval.expires_at,
        expired=approval.has_expired(now),
        text=draft.get("text", ""),
        error=draft.get("error", ""),
    )


def _facts(event: Event, stored: StoredEvent, branch: Branch, view: View) -> Sequence[Fact]:
    facts = [
        Fact("Source", event.source),
        Fact("At", tell_both(event.ts)),
    ]
    took, tokens = took_ms(stored), told_tokens(stored)
    facts += [Fact("Took", f"{took / 1000:.2f} s")] if took is not None else []
    facts += [Fact("Tokens", f"{tokens:,} out")] if tokens is not None else []
    if event.parent_id:
        href = view.href(event=event.parent_id, after=None, before=None)
        facts.append(Fact("Parent", str(event.parent_id)[:8], mono=True, href=href))
    if event.task_id:
        facts.append(Fact("Task", str(event.task_id), mono=True))
    facts += _merge_of(stored)
    facts += [
        Fact("Place", f"event {event.seq:,} of {branch.label}"),
        Fact("Digest", _short(event.digest), mono=True, whole=bytes(event.digest).hex()),
        Fact("Seal", _short(event.seal), mono=True, whole=bytes(event.seal).hex()),
        Fact("Event", str(event.event_id), mono=True),
    ]
    return facts


def _merge_of(stored: StoredEvent) -> list[Fact]:
    """The merge that an event of the server's own tells of, with its page where there is one."""
    told = stored.payload.get("merge") if stored.source == terms.SERVER_SOURCE else None
    if stored.type not in MERGE_TYPES or not isinstance(told, str):
        return []
    try:
        return [Fact("Merge", "its gate, sides and triplets", href=reverse("merge", args=[told]))]
    except NoReverseMatch:
        return []


def _short(digest: bytes | memoryview) -> str:
    text = bytes(digest).hex()
    return f"sha256 {text[:4]} {text[4:8]} … {text[-4:]}"
