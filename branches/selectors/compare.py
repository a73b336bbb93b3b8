"""Two continuations of one point, side by side: what both share, and what each did after it.

Everything here is bounded: texts are cut, and the words of only so many characters are compared.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, Literal
from uuid import UUID

from django.urls import reverse

from branches.domain import terms
from branches.domain.alignment import (
    DiffLine,
    Rel,
    Row,
    Spans,
    Step,
    align_suffixes,
    edit_of,
    final_step,
    line_diff,
    mark_words,
    visible_steps,
)
from branches.domain.events import StoredEvent, text_of
from branches.domain.lineage import Point, last_shared_point
from branches.domain.telling import call_icon, main_argument, name_of, one_line
from branches.models import Branch, Event
from branches.selectors.lineage import iter_lineage, read_lineage
from branches.triplets import NotSiblings

type Mode = Literal["read", "diff", "final"]
type Address = Callable[[UUID], str]

SHOWN_CHARACTERS: Final = 6_000
SHOWN_LINES: Final = 120
FOLDED_SHOWN: Final = 50
# Products of text lengths, in characters: what one page may spend on finding differences. Measured:
# a row of two whole texts, 36 million, takes 9 ms at worst, so that a page takes about a second.
MARK_CELLS: Final = 3_000_000_000
TAIL_EVENTS: Final = 40
TAIL_STEPS: Final = 20
# An unchanged stretch in Diff mode is cut down to so many characters at each of its ends.
CONTEXT_CHARACTERS: Final = 80
CHARACTERS_PER_TOKEN: Final = 4

_ICONS: Final = {
    "user": "user",
    "system": "settings-2",
    "assistant": "message-square",
    "thought": "message-circle-dashed",
    "result": "corner-down-right",
    "override": "pencil-line",
    "approval": "hand",
}
_WORDS: Final = {
    "user": "User",
    "system": "System",
    "assistant": "Agent",
    "thought": "Thought",
    "result": "Result",
    "override": "Override",
    "approval": "Approval",
}
_ENDINGS: Final = {
    "user": "ends with what the user said",
    "system": "ends with a system message",
    "assistant": "ends with what the agent said",
    "thought": "ends with a thought",
    "call": "ends with a call",
    "result": "ends with a result",
    "override": "ends with an override",
    "approval": "ends with an approval",
}


def payload_address(event: UUID) -> str:
    return reverse("event-payload", args=[event])


@dataclass(frozen=True, slots=True)
class Cut:
    """A branch as it was after `upto` events of its own suffix."""

    branch: Branch
    upto: int

    @property
    def step(self) -> int:
        return self.branch.base + self.upto


@dataclass(frozen=True, slots=True)
class Parting:
    """The last point that both sides share; `event` is the id of the event there."""

    point: Point
    owner: Branch
    digest: bytes
    event: UUID


@dataclass(frozen=True, slots=True)
class Turn:
    """One step of one side, ready to print.

    `code` is the line beside the name of a call, `text` what stands under it; both are spans of
    `(differs, text)`. `diff` has the lines of an edit inside a file. `cut` counts the characters
    that are not shown, and `whole` is where they are. `fresh` marks what came after the head
    that the reader saw before.
    """

    kind: str
    icon: str
    who: str
    tokens: int
    code: Spans = ()
    text: Spans = ()
    diff: tuple[DiffLine, ...] = ()
    diff_cut: int = 0
    cut: int = 0
    whole: str = ""
    final: bool = False
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class PairRow:
    """One row: both sides, or one. `folded` has the turns of `count` steps that are alike."""

    rel: Rel
    left: Turn | None = None
    right: Turn | None = None
    count: int = 1
    folded: tuple[Turn, ...] = ()
    truncated: bool = False

    @property
    def is_fold(self) -> bool:
        return bool(self.folded)

    @property
    def tokens(self) -> int:
        return sum(turn.tokens for turn in self.folded)


@dataclass(frozen=True, slots=True)
class Aligned:
    """`rows` are the first of `total`; `left_steps` and `right_steps` count what a reader sees."""

    rows: tuple[PairRow, ...]
    total: int
    left_steps: int
    right_steps: int


def read_parting(left: Cut, right: Cut) -> Parting:
    """Where two cuts part: four queries at most. Raises NotSiblings for different runs."""
    point = last_shared_point(
        read_lineage(left.branch, upto=left.upto), read_lineage(right.branch, upto=right.upto)
    )
    if point is None or not point.seq:
        raise NotSiblings("They share no event, so there is nothing to compare from.")
    known = {cut.branch.pk: cut.branch for cut in (left, right)}
    owner = known.get(point.branch) or Branch.objects.get(pk=point.branch)
    row = Event.objects.of_branch(owner).only("digest", "event_id").get(seq=point.seq)
    return Parting(point, owner, bytes(row.digest), row.event_id)


def read_tail(parting: Parting) -> tuple[Turn, ...]:
    """The last steps that both sides share, oldest first; one query."""
    after = max(0, parting.point.step - TAIL_EVENTS)
    events = iter_lineage(parting.owner, upto=parting.point.seq, after_step=after)
    return tuple(_turn(step) for step in visible_steps(events)[-TAIL_STEPS:])


def tell_ending(tail: Sequence[Turn]) -> str:
    """How the shared part ends, in one line; empty where a reader sees nothing of it."""
    if not tail:
        return ""
    last = tail[-1]
    said = one_line("".join(text for _, text in (*last.code, *last.text)), 160)
    name = f" of {last.who}" if last.kind == "call" else ""
    return f"{_ENDINGS[last.kind]}{name}: “{said}”" if said else f"{_ENDINGS[last.kind]}{name}"


def read_rows(
    parting: Parting,
    left: Cut,
    right: Cut,
    *,
    mode: Mode,
    sealed: bool,
    limit: int,
    seen: Mapping[UUID, int] | None = None,
    whole: Address = payload_address,
) -> Aligned:
    """The aligned suffixes: two queries, whatever their length.

    `sealed` leaves the overrides of both sides out. `whole` gives the address of a step's payload. `seen` gives for a branch the `seq` that the
    reader had seen up to; what came later is marked fresh.
    """
    sides = [_suffix(parting, cut, sealed) for cut in (left, right)]
    steps = [visible_steps(side) for side in sides]
    rows = _final_rows(*sides) if mode == "final" else align_suffixes(*sides)
    if mode == "diff":
        rows = _folded_alike(rows)
    marker = _Marker(elide=mode == "diff", seen=seen or {}, cells=MARK_CELLS, whole=whole)
    drawn = tuple(marker.draw(row) for row in rows[:limit])
    return Aligned(drawn, len(rows), len(steps[0]), len(steps[1]))


def _suffix(parting: Parting, cut: Cut, sealed: bool) -> list[StoredEvent]:
    events = iter_lineage(cut.branch, upto=cut.upto, after_step=parting.point.step)
    return [event for event in events if not (sealed and event.type == terms.OVERRIDE)]


def _final_rows(left: list[StoredEvent], right: list[StoredEvent]) -> tuple[Row, ...]:
    a, b = final_step(left), final_step(right)
    if a is None:
        return (Row("right", None, b),) if b else ()
    if b is None:
        return (Row("left", a, None),)
    return (Row("same" if a.key == b.key else "differs", a, b),)


def _folded_alike(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Every stretch of like steps as one fold, however short; last answers stay open."""
    out: list[Row] = []
    for alike, group in groupby(rows, _is_alike):
        if not alike:
            out += group
            continue
        pairs = [pair for row in group for pair in _pairs(row)]
        out.append(Row("same", *pairs[0], count=len(pairs), folded=tuple(pairs)))
    return tuple(out)


def _is_alike(row: Row) -> bool:
    sides = (row.left, row.right)
    return row.rel == "same" and all(side is not None and not side.final for side in sides)


def _pairs(row: Row) -> tuple[tuple[Step, Step], ...]:
    assert row.left is not None
    assert row.right is not None
    return row.folded or ((row.left, row.right),)


# Turns


@dataclass
class _Marker:
    """Draws rows and marks what differs, in words and in edits, until its budget is spent."""

    elide: bool
    seen: Mapping[UUID, int]
    cells: int
    whole: Address

    def draw(self, row: Row) -> PairRow:
        if row.truncated:
            return PairRow(row.rel, count=row.count, truncated=True)
        if row.folded:
            shown = tuple(self._turn(left) for left, _ in row.folded[:FOLDED_SHOWN])
            return PairRow("same", count=row.count, folded=shown)
        left, right = (self._fresh(step) for step in (row.left, row.right))
        if row.rel == "differs" and left and right:
            left, right = self._marked(left, right)
        return PairRow(row.rel, left, right)

    def _fresh(self, step: Step | None) -> Turn | None:
        if step is None:
            return None
        upto = self.seen.get(step.event.branch)
        return replace(self._turn(step), fresh=upto is not None and step.event.seq > upto)

    def _turn(self, step: Step) -> Turn:
        edit = edit_of(step.call)
        if edit is not None:
            _, old, new = edit
            self.cells -= min(len(old), SHOWN_CHARACTERS) * min(len(new), SHOWN_CHARACTERS)
        return _turn(step, self.whole, diffs=self.cells >= 0)

    def _marked(self, left: Turn, right: Turn) -> tuple[Turn, Turn]:
        codes = self._words(left.code, right.code)
        texts = self._words(left.text, right.text)
        if self.elide:
            texts = (_elided(texts[0]), _elided(texts[1]))
        return (
            replace(left, code=codes[0], text=texts[0]),
            replace(right, code=codes[1], text=texts[1]),
        )

    def _words(self, left: Spans, right: Spans) -> tuple[Spans, Spans]:
        a, b = ("".join(text for _, text in spans) for spans in (left, right))
        self.cells -= len(a) * len(b)
        if self.cells < 0:
            return _whole(a, differs=a != b), _whole(b, differs=a != b)
        return mark_words(a, b)


def _whole(text: str, *, differs: bool = False) -> Spans:
    return ((differs, text),) if text else ()


def _elided(spans: Spans) -> Spans:
    """The spans with long unchanged stretches cut out of their middle."""
    keep = CONTEXT_CHARACTERS
    return tuple(
        (differs, text if differs or len(text) <= 3 * keep else f"{text[:keep]} … {text[-keep:]}")
        for differs, text in spans
    )


def _turn(step: Step, whole: Address = payload_address, *, diffs: bool = True) -> Turn:
    turn = _drawn(step, diffs=diffs)
    return replace(turn, whole=whole(step.event.event_id)) if turn.cut or turn.diff_cut else turn


def _drawn(step: Step, *, diffs: bool) -> Turn:
    tokens = -(-len(step.text) // CHARACTERS_PER_TOKEN)
    base = Turn(step.kind, _ICONS.get(step.kind, ""), _who(step), tokens, final=step.final)
    if step.kind == "call":
        return _call_turn(step, base, edit_of(step.call) if diffs else None)
    if step.kind == "approval":
        base = replace(base, code=_whole(one_line(step.name)))
    return _with_text(base, step.text)


def _who(step: Step) -> str:
    payload = step.event.payload
    if step.kind == "call":
        return one_line(step.name, 60) or "Tool"
    if step.final:
        return "Final answer"
    if step.kind == "override":
        return one_line(name_of(payload.get("by")), 60) or "Override"
    if step.kind == "user":
        return one_line(text_of(payload.get("name")), 60) or "User"
    failed = step.kind == "result" and payload.get("is_error") is True
    return "Result, failed" if failed else _WORDS[step.kind]


def _call_turn(step: Step, base: Turn, edit: tuple[str, str, str] | None) -> Turn:
    base = replace(base, icon=call_icon(step.name))
    if edit is not None:
        path, old, new = edit
        lines = line_diff(old[:SHOWN_CHARACTERS], new[:SHOWN_CHARACTERS])
        longest = max(len(old), len(new))
        return replace(
            base,
            icon="file-diff",
            code=_whole(one_line(path)),
            diff=lines[:SHOWN_LINES],
            diff_cut=max(0, len(lines) - SHOWN_LINES),
            cut=max(0, longest - SHOWN_CHARACTERS),
        )
    given = step.call.arguments_object if step.call else {}
    said = main_argument(given)
    line = one_line(said)
    if len(given) == 1 and line == said:
        return replace(base, code=_whole(line))
    return _with_text(replace(base, code=_whole(line)), step.text)


def _with_text(turn: Turn, text: str) -> Turn:
    shown = _whole(text[:SHOWN_CHARACTERS])
    return replace(turn, text=shown, cut=max(0, len(text) - SHOWN_CHARACTERS))


# Which two


@dataclass(frozen=True, slots=True)
class Offer:
    """Two branches worth comparing, and why, in words."""

    left: Branch
    right: Branch
    step: int
    why: str


def offer_pairs(
    branches: Sequence[Branch], *, about: UUID | None = None, limit: int = 6
) -> list[Offer]:
    """The likeliest pairs first: finished siblings of one fork point, then a fork and the parent's
    own continuation; what has ended comes last. `about` keeps the pairs of one branch, and there
    what the fork was made against comes first. Reads nothing."""
    found = [*_sibling_pairs(branches), *_parent_pairs(branches)]
    if about is not None:
        found = [*_parent_pairs(branches), *_sibling_pairs(branches)]
        found = [pair for pair in found if about in (pair[0].pk, pair[1].pk)]
    found = [pair for pair in found if bytes(pair[0].head_digest) != bytes(pair[1].head_digest)]
    # The sort is stable: the order above stays where the states are alike.
    found.sort(key=lambda pair: sum(_distance(branch) for branch in pair[:2]))
    return [
        Offer(left, right, step, f"{what} at {step:,}, {_states(left, right)}")
        for left, right, step, what in found[:limit]
    ]


def _sibling_pairs(branches: Sequence[Branch]) -> Iterator[tuple[Branch, Branch, int, str]]:
    groups: dict[tuple[UUID, int], list[Branch]] = {}
    for branch in branches:
        if branch.parent_id is not None and branch.fork_seq is not None:
            groups.setdefault((branch.parent_id, branch.fork_seq), []).append(branch)
    for siblings in groups.values():
        ready = sorted(siblings, key=lambda branch: (_distance(branch), branch.number))[:8]
        for index, left in enumerate(ready):
            yield from ((left, right, left.base, "siblings") for right in ready[index + 1 :])


def _parent_pairs(branches: Sequence[Branch]) -> Iterator[tuple[Branch, Branch, int, str]]:
    known = {branch.pk: branch for branch in branches}
    for branch in branches:
        parent = known.get(branch.parent_id) if branch.parent_id else None
        if parent is not None and parent.head_seq > (branch.fork_seq or 0):
            yield parent, branch, branch.base, "fork and parent"


def _distance(branch: Branch) -> int:
    order = {terms.Status.COMPLETED: 0, terms.Status.RUNNING: 1, terms.Status.PAUSED: 1}
    return order.get(terms.Status(branch.status), 8)


def _states(left: Branch, right: Branch) -> str:
    words = {terms.Status.COMPLETED: "finished"}
    a, b = (words.get(terms.Status(side.status), side.status) for side in (left, right))
    return f"both {a}" if a == b else f"{a} and {b}"
