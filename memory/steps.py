"""What a step of an agent was, read off the events of its branch up to the one that ended it.

A step is a tool's result with the call that it answers, or the end of a run. What stands before a
fork counts for the fork as well: a call that waited there, and the fault that it began with.
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from branches.domain import terms
from branches.domain.telling import one_line
from branches.models import Event
from branches.querysets import read_segments
from branches.selectors.events import payload_of
from branches.storage.codec import KeyUnknown, Unreadable
from branches.storage.payloads import UnreadableEvent
from memory.domain.salience import surprise
from memory.domain.terms import Outcome
from memory.models import Episode
from verel_site.kit.strict_json import encode_sorted

STEPS: Final = (terms.TOOL_RESULT, terms.RUN_FINISHED)
# What may tell how much a model was asked for.
SPENDING: Final = (
    terms.ASSISTANT,
    terms.THOUGHT,
    terms.TOOL_CALL,
    terms.TOOL_RESULT,
    terms.USAGE,
)
# The call of a result is looked for among so many calls, and its spending among so many events.
CALLS: Final = 200
SPENT_IN: Final = 500
ANCESTORS: Final = 50
MAX_SAYS: Final = 400
MAX_TOKENS: Final = 2**40
# What differs between two sightings of one fault: addresses, numbers, quoted texts, paths' roots.
_VARIES: Final = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?|'[^']*'|\"[^\"]*\"|/\S*/", re.IGNORECASE)
_FAILED: Final = re.compile(
    r"(?<!\b0\s)(?<!\bno\s)\b(?:error|failed|failure|exception|traceback)\b", re.IGNORECASE
)
# How agents take up a skill: by a tool of their own, which is told the skill's name.
_SKILL_TOOL: Final = re.compile(r"(?:(?:load|use|read|invoke|activate)[_-]?)?skill", re.IGNORECASE)
_SKILL_ARGUMENTS: Final = ("skill", "skill_name", "name", "command")
_SKILL_NAME: Final = re.compile(r"/?([a-z0-9]+(?:-[a-z0-9]+)*)")


def read_payload(event: Event) -> Mapping[str, Any]:
    """Nothing of a row that is damaged: it must not keep all later ones from being read. Raises
    UnreadableEvent where a key is missing, which says nothing about the row and may come back."""
    try:
        return payload_of(event)
    except UnreadableEvent as error:
        if isinstance(error.__cause__, KeyUnknown):
            raise
    except Unreadable:
        pass
    return {}


def make_episodes(events: Sequence[Event]) -> list[Episode]:
    """The steps that the events end, which are all of a project's journal between two positions."""
    branches: dict[UUID, Steps] = {}
    made: list[Episode] = []
    for event in events:
        if event.type not in SPENDING and event.type not in STEPS:
            continue
        if event.branch_id not in branches:
            branches[event.branch_id] = Steps(event, made)
        episode = branches[event.branch_id].take(event)
        if episode is not None:
            made.append(episode)
    return made


@dataclass(frozen=True, slots=True)
class Call:
    id: str
    name: str
    args: Any


class Steps:
    """One branch as far as it was read. What came before `first` is looked up as it is needed, so
    that what is made of an event does not depend on where reading began; `made` are the steps of
    all branches since then, which are not stored yet."""

    def __init__(self, first: Event, made: Sequence[Episode]) -> None:
        self._first = first
        self._made = made
        self._calls: deque[Call] = deque(maxlen=CALLS)
        self._spent: list[tuple[int, int]] | None = None
        self._signature: str | None = None

    def take(self, event: Event) -> Episode | None:
        """The step that the event ends, if it does."""
        payload = read_payload(event)
        self._spend(event, payload)
        if event.type == terms.TOOL_CALL:
            self._calls.append(_read_call(payload))
        if event.type not in STEPS:
            return None
        seen = _end(payload) if event.type == terms.RUN_FINISHED else self._see(payload)
        before = self._last_signature()
        signature = sign_fault(seen.says) if seen.failed else ""
        tokens = sum(count for seq, count in self._spent or () if seq > event.seq - SPENT_IN)
        self._signature, self._spent = signature, []
        return Episode(
            project_id=event.project_id,
            position=event.position,
            event_id=event.event_id,
            run_id=event.run_id,
            branch_id=event.branch_id,
            seq=event.seq,
            agent=event.source,
            goal=event.run.goal,
            tool=seen.tool[:200],
            skill=seen.skill,
            args_digest=seen.args_digest,
            signature=signature,
            says=seen.says,
            outcome=_outcome(event, signature, before).value,
            surprise=surprise(_count(before), _count(signature)),
            tokens=min(tokens, MAX_TOKENS),
            at=event.ts,
        )

    def _see(self, payload: Mapping[str, Any]) -> "_Seen":
        call = self._call_of(payload.get("call_id"))
        says = _say(_text(payload))
        tool = str(payload.get("name") or call.name)
        failed = payload.get("is_error") is True or (
            payload.get("is_error") is None and _FAILED.search(says[:120]) is not None
        )
        digest = hashlib.sha256(encode_sorted(call.args)).hexdigest() if call.args else ""
        return _Seen(tool, _skill_of(tool, call.args), digest, says, failed)

    def _call_of(self, call_id: object) -> Call:
        if isinstance(call_id, str):
            for call in self._iter_calls():
                if call.id == call_id:
                    return call
        return Call("", "", {})

    def _iter_calls(self) -> Iterator[Call]:
        """The nearest first, and those before `first` only if it comes to that."""
        yield from reversed(self._calls)
        yield from self._earlier_calls[: CALLS - len(self._calls)]

    @cached_property
    def _earlier_calls(self) -> list[Call]:
        """Those before `first`, the nearest first."""
        first = self._first
        rows = Event.objects.in_run(first.run_id).filter(type=terms.TOOL_CALL)
        own = rows.filter(branch_id=first.branch_id, seq__lt=first.seq).order_by("-seq")
        found = list(own[:CALLS])
        for within in self._ancestors:
            if len(found) >= CALLS:
                break
            found += rows.filter(within).order_by("-position")[: CALLS - len(found)]
        return [_read_call(read_payload(row)) for row in found]

    def _spend(self, event: Event, payload: Mapping[str, Any]) -> None:
        if self._spent is None:
            self._spent = self._spent_before(event)
        tokens = _tokens(payload)
        if tokens:
            self._spent.append((event.seq, tokens))

    def _spent_before(self, event: Event) -> list[tuple[int, int]]:
        """Since the step before it on its own branch."""
        last = Episode.objects.filter(branch_id=event.branch_id, seq__lt=event.seq)
        start = max(
            last.order_by("-seq").values_list("seq", flat=True).first() or 0, event.seq - SPENT_IN
        )
        rows = Event.objects.in_run(event.run_id).filter(
            branch_id=event.branch_id, seq__gt=start, seq__lt=event.seq, type__in=SPENDING
        )
        return [(row.seq, _tokens(read_payload(row))) for row in rows.order_by("seq")]

    def _last_signature(self) -> str:
        if self._signature is None:
            self._signature = self._earlier_signature()
        return self._signature

    def _earlier_signature(self) -> str:
        rows = Episode.objects.filter(branch_id=self._first.branch_id, seq__lt=self._first.seq)
        found = rows.order_by("-seq").values_list("signature", flat=True).first()
        if found is not None or not self._lineage:
            return found or ""
        # Whatever is not stored yet came after all that is.
        upto = dict(self._lineage)
        for one in reversed(self._made):
            if one.seq <= upto.get(one.branch_id, 0):
                return one.signature
        for within in self._ancestors:
            rows = Episode.objects.filter(within, run_id=self._first.run_id)
            found = rows.order_by("-position").values_list("signature", flat=True).first()
            if found is not None:
                return found
        return ""

    @cached_property
    def _lineage(self) -> list[tuple[UUID, int]]:
        """The branches before it and how much of each it shares, the nearest first. Whatever is
        nearer has the later positions."""
        if self._first.branch.parent_id is None:
            return []
        told = read_segments(self._first.branch, upto=0)[-2::-1]
        return [(branch_id, upto) for branch_id, _, upto in told]

    @property
    def _ancestors(self) -> list[Q]:
        """Places in them, some branches at a time."""
        places = [Q(branch_id=branch_id, seq__lte=upto) for branch_id, upto in self._lineage]
        cuts = (places[at : at + ANCESTORS] for at in range(0, len(places), ANCESTORS))
        return [Q(*cut, _connector=Q.OR) for cut in cuts]


@dataclass(frozen=True, slots=True)
class _Seen:
    tool: str
    skill: str
    args_digest: str
    says: str
    failed: bool


def _end(payload: Mapping[str, Any]) -> _Seen:
    """That it is done is its agent's word alone; that it failed is taken from it."""
    says = one_line(str(payload.get("error") or payload.get("outcome") or ""), MAX_SAYS)
    failed = (
        payload.get("is_error") is True or bool(payload.get("error")) or bool(_FAILED.search(says))
    )
    return _Seen("", "", "", says, failed)


def _outcome(event: Event, signature: str, before: str) -> Outcome:
    if not signature:
        return Outcome.DONE if event.type == terms.RUN_FINISHED else Outcome.PROGRESSED
    return Outcome.STUCK if signature == before else Outcome.REGRESSED


def _count(signature: str) -> dict[str, int]:
    """A step without a fault is one of the ways that steps end: else neither the fault that came
    back nor the one that went away would be any surprise."""
    return {signature: 1}


def _read_call(payload: Mapping[str, Any]) -> Call:
    args = payload.get("arguments", payload.get("args", {}))
    return Call(str(payload.get("call_id", "")), str(payload.get("name") or ""), args)


def _skill_of(tool: str, args: Any) -> str:
    """The skill that a call takes up, by its name; empty of any other call."""
    if not isinstance(args, Mapping) or _SKILL_TOOL.fullmatch(tool) is None:
        return ""
    told = next((args[name] for name in _SKILL_ARGUMENTS if isinstance(args.get(name), str)), "")
    found = _SKILL_NAME.fullmatch(told.strip()[:65])
    return found[1][:64] if found else ""


def _text(payload: Mapping[str, Any]) -> str:
    content = payload.get("content", "")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _say(text: str) -> str:
    """Line by line, as it was printed: what a claim quotes is one of them."""
    # Only so much is looked at: a megabyte of output is not squeezed for some hundred letters.
    lines = (one_line(line, MAX_SAYS) for line in text[: 8 * MAX_SAYS].splitlines())
    told = "\n".join(line for line in lines if line)
    cut = len(told) > MAX_SAYS or len(text) > 8 * MAX_SAYS
    return f"{told[:MAX_SAYS].rstrip()}…" if cut else told


def _tokens(payload: Mapping[str, Any]) -> int:
    usage = payload.get("usage")
    output = usage.get("output") if isinstance(usage, Mapping) else None
    return min(output, MAX_TOKENS) if isinstance(output, int) and output > 0 else 0


def sign_fault(text: str) -> str:
    """The same for two sightings of one fault: what varies between them does not count."""
    scrubbed = _VARIES.sub("#", text.casefold())
    return hashlib.sha256(" ".join(scrubbed.split()).encode()).hexdigest()
