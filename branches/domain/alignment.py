"""Two continuations side by side: which steps are alike, which differ, and in which words.

All work is bounded. Sequence matching spends at most a fixed number of comparisons, and what is
left when they are spent counts as different; so a crafted input costs time that was allowed for,
and never the cubic time that `difflib` takes on repetitive text.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import accumulate, pairwise
from typing import Literal

from branches.domain.events import Call, StoredEvent, plain_text, text_of, told_calls

type StepKind = Literal[
    "user", "system", "assistant", "thought", "call", "result", "override", "approval"
]
type Rel = Literal["same", "differs", "left", "right"]
type Span = tuple[bool, str]
type Spans = tuple[Span, ...]

MAX_STEPS = 2_000
MAX_WORDS = 4_000
FOLD_FROM = 3
WORK_BUDGET = 2_000_000
LINE_BUDGET = 50_000
MAX_PAIR_CELLS = 40_000
MAX_LINE_CELLS = 10_000
MAX_LINE_PAIRS = 100
MAX_LINE_WORDS = 400
MIN_LIKENESS = 0.3

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a reader of a branch sees.

    `text` is what was said, a call's arguments, or a result's content; `name` a tool's name, or
    an approval's action. `call` is set on calls. `final` marks the side's last answer.
    """

    kind: StepKind
    name: str
    text: str
    event: StoredEvent
    call: Call | None = None
    final: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Steps of equal keys are the same step."""
        return (self.kind, self.name, self.text)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the comparison.

    `same` and `differs` have both sides, `left` and `right` one. A fold is a `same` row with
    `count` > 1: it stands for the pairs in `folded`, of which the first is shown. A row with
    `truncated` stands for `count` steps that were not compared, for there are too many; it has no
    sides.
    """

    rel: Rel
    left: Step | None
    right: Step | None
    count: int = 1
    folded: tuple[tuple[Step, Step], ...] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a diff. Numbers count from 1 within the compared texts, not within a file."""

    op: Literal[" ", "-", "+"]
    old_no: int | None
    new_no: int | None
    spans: Spans


# Steps


def visible_steps(events: Iterable[StoredEvent]) -> tuple[Step, ...]:
    """The steps of a suffix: messages, thoughts, calls, results, overrides and approvals.

    An assistant message and each call it announces are steps of their own; a message without
    text that announces calls is only those. The last assistant message is marked final.
    """
    steps: list[Step] = []
    final = -1
    for event, calls in told_calls(events):
        said = _READ[event.type](event) if event.type in _READ else None
        if said and (said.text or not calls):
            final = len(steps) if said.kind == "assistant" else final
            steps.append(said)
        steps.extend(Step("call", call.name, call.arguments_text, event, call) for call in calls)
    if final >= 0:
        steps[final] = replace(steps[final], final=True)
    return tuple(steps)


def final_step(events: Iterable[StoredEvent]) -> Step | None:
    """The last assistant message with a text of its own, as a step; tool calls are none."""
    return next((step for step in visible_steps(events) if step.final), None)


def edit_of(call: Call | None) -> tuple[str, str, str] | None:
    """`(path, old text, new text)` of a call that replaces text in a file, else `None`."""
    if call is None:
        return None
    given = call.arguments_object
    found = [
        next((given[key] for key in keys if isinstance(given.get(key), str)), None)
        for keys in (("path", "file_path"), ("old_string", "old"), ("new_string", "new"))
    ]
    match found:
        case [str(path), str(old), str(new)]:
            return path, old, new
    return None


def _message(kind: StepKind) -> Callable[[StoredEvent], Step]:
    return lambda event: Step(kind, "", plain_text(event.payload.get("content")), event)


def _thought(event: StoredEvent) -> Step:
    return Step("thought", "", text_of(event.payload.get("text")), event)


def _result(event: StoredEvent) -> Step:
    # The tool's name stands at the call; results are alike by what they say.
    return Step("result", "", plain_text(event.payload.get("content")), event)


def _override(event: StoredEvent) -> Step:
    return Step("override", "", text_of(event.payload.get("text")), event)


def _approval(event: StoredEvent) -> Step:
    payload = event.payload
    said = payload.get("answer") or payload.get("description")
    parts = [text_of(said), text_of(payload.get("text")), text_of(payload.get("args"))]
    return Step("approval", text_of(payload.get("action")), " ".join(filter(None, parts)), event)


_READ: dict[str, Callable[[StoredEvent], Step]] = {
    "data.message.user": _message("user"),
    "data.message.system": _message("system"),
    "data.message.assistant": _message("assistant"),
    "data.thought": _thought,
    "data.tool.result": _result,
    "harness.override.injected": _override,
    "harness.approval.requested": _approval,
    "harness.approval.resolved": _approval,
}


# Rows


def align_suffixes(left: Iterable[StoredEvent], right: Iterable[StoredEvent]) -> tuple[Row, ...]:
    """Align the suffixes of two siblings, row by row, each side in its own order.

    What both begin and end with is found at any length. Of a rest of more than `MAX_STEPS` on a
    side only the first and last halves of that number are compared, with one `truncated` row
    between them.
    """
    a, b = visible_steps(left), visible_steps(right)
    keys_a, keys_b = [step.key for step in a], [step.key for step in b]
    head, tail = _common_ends(keys_a, keys_b)
    middle_a, middle_b = a[head : len(a) - tail], b[head : len(b) - tail]
    rows = [Row("same", x, y) for x, y in zip(a[:head], b[:head], strict=True)]
    rows += _windowed_rows(middle_a, middle_b)
    rows += [Row("same", x, y) for x, y in zip(a[len(a) - tail :], b[len(b) - tail :], strict=True)]
    return tuple(_fold(rows))


def _windowed_rows(a: Sequence[Step], b: Sequence[Step]) -> list[Row]:
    if max(len(a), len(b)) <= MAX_STEPS:
        return _rows(a, b)
    (head_a, tail_a), (head_b, tail_b) = _windows(a), _windows(b)
    shown = len(head_a) + len(tail_a) + len(head_b) + len(tail_b)
    gap = Row("differs", None, None, count=len(a) + len(b) - shown, truncated=True)
    return [*_rows(head_a, head_b), gap, *_rows(tail_a, tail_b)]


def _windows(steps: Sequence[Step]) -> tuple[Sequence[Step], Sequence[Step]]:
    half = MAX_STEPS // 2
    cut = min(half, (len(steps) + 1) // 2)
    return steps[:cut], steps[max(cut, len(steps) - half) :]


def _rows(a: Sequence[Step], b: Sequence[Step]) -> list[Row]:
    rows: list[Row] = []
    keys_a, keys_b = [step.key for step in a], [step.key for step in b]
    for same, left, right in _blocks(keys_a, keys_b, WORK_BUDGET):
        if same:
            pairs = zip(a[left.start : left.stop], b[right.start : right.stop], strict=True)
            rows += [Row("same", x, y) for x, y in pairs]
        else:
            rows += _paired(a[left.start : left.stop], b[right.start : right.stop])
    return rows


def _paired(a: Sequence[Step], b: Sequence[Step]) -> Iterator[Row]:
    for i, j in _pair_up(a, b, _step_likeness):
        left = None if i is None else a[i]
        right = None if j is None else b[j]
        yield Row("left" if right is None else "right" if left is None else "differs", left, right)


def _step_likeness(a: Step, b: Step) -> int:
    if a.kind != b.kind or a.final != b.final:
        return 0
    return 3 if a.name == b.name else 2


def _fold(rows: Iterable[Row]) -> Iterator[Row]:
    run: list[tuple[Step, Step]] = []
    for row in rows:
        if row.rel == "same" and row.left and row.right and not _shows_final(row):
            run.append((row.left, row.right))
            continue
        yield from _folded(run)
        run = []
        yield row
    yield from _folded(run)


def _shows_final(row: Row) -> bool:
    return any(step is not None and step.final for step in (row.left, row.right))


def _folded(run: list[tuple[Step, Step]]) -> Iterator[Row]:
    if len(run) < FOLD_FROM:
        yield from (Row("same", x, y) for x, y in run)
    else:
        yield Row("same", *run[0], count=len(run), folded=tuple(run))


# Words and lines


def mark_words(a: str, b: str) -> tuple[Spans, Spans]:
    """Which words of two texts differ: for each side spans of `(differs, text)`.

    The spans of a side, joined, are that side's text. Blanks and punctuation between two
    differing spans differ with them. Over `MAX_WORDS` on a side (equal texts aside) the whole
    text is one differing span.
    """
    return _mark(a, b, MAX_WORDS, WORK_BUDGET)


def _mark(a: str, b: str, max_words: int, budget: int) -> tuple[Spans, Spans]:
    if a == b:
        return _whole(False, a), _whole(False, b)
    tokens_a, tokens_b = _WORDS.findall(a), _WORDS.findall(b)
    # Between two words stands a token of blanks, so that words are about half of the tokens.
    if max(len(tokens_a), len(tokens_b)) > 2 * max_words:
        return _whole(True, a), _whole(True, b)
    spans_a: list[Span] = []
    spans_b: list[Span] = []
    for same, left, right in _blocks(tokens_a, tokens_b, budget):
        spans_a.append((not same, "".join(tokens_a[left.start : left.stop])))
        spans_b.append((not same, "".join(tokens_b[right.start : right.stop])))
    return _smooth(spans_a), _smooth(spans_b)


def _whole(differs: bool, text: str) -> Spans:
    return ((differs, text),) if text else ()


def _smooth(spans: Sequence[Span]) -> Spans:
    """Drop empty spans, and join what only blanks and punctuation keep apart."""
    spans = [span for span in spans if span[1]]
    joined: list[Span] = []
    for index, (differs, text) in enumerate(spans):
        inside = 0 < index < len(spans) - 1
        marked = differs or (inside and not re.search(r"\w", text))
        if joined and joined[-1][0] == marked:
            joined[-1] = (marked, joined[-1][1] + text)
        else:
            joined.append((marked, text))
    return tuple(joined)


def line_diff(old: str, new: str) -> tuple[DiffLine, ...]:
    """The lines of two texts, removed before added, differing words marked.

    Lines end at line feeds only; the empty text has no lines. Lines that have no counterpart are
    marked whole, but for their indentation.
    """
    a, b = old.split("\n") if old else [], new.split("\n") if new else []
    lines: list[DiffLine] = []
    cells, refined = MAX_LINE_CELLS, MAX_LINE_PAIRS
    for same, left, right in _blocks(a, b, WORK_BUDGET):
        if same:
            lines += [
                DiffLine(" ", i + 1, j + 1, _whole(False, a[i]))
                for i, j in zip(left, right, strict=True)
            ]
            continue
        cells -= len(left) * len(right)
        pairs = _likely_pairs(a, b, left, right)[:refined] if cells >= 0 else []
        refined -= len(pairs)
        lines += _changed(a, b, left, right, pairs)
    return tuple(lines)


def _likely_pairs(
    a: Sequence[str], b: Sequence[str], left: range, right: range
) -> list[tuple[int, int]]:
    words_a, words_b = [_words(a[i]) for i in left], [_words(b[j]) for j in right]
    found = _pair_up(words_a, words_b, _likeness)
    return [(left[i], right[j]) for i, j in found if i is not None and j is not None]


def _words(line: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", line)[:MAX_LINE_WORDS])


def _likeness(a: Counter[str], b: Counter[str]) -> int:
    common = (a & b).total()
    return common if common > MIN_LIKENESS * max(a.total(), b.total()) else 0


def _changed(
    a: Sequence[str],
    b: Sequence[str],
    left: range,
    right: range,
    pairs: Sequence[tuple[int, int]],
) -> Iterator[DiffLine]:
    marked_a: dict[int, Spans] = {}
    marked_b: dict[int, Spans] = {}
    for i, j in pairs:
        marked_a[i], marked_b[j] = _mark(a[i], b[j], MAX_LINE_WORDS, LINE_BUDGET)
    for i in left:
        yield DiffLine("-", i + 1, None, marked_a[i] if i in marked_a else _alone(a[i]))
    for j in right:
        yield DiffLine("+", None, j + 1, marked_b[j] if j in marked_b else _alone(b[j]))


def _alone(line: str) -> Spans:
    text = line.lstrip()
    return _whole(False, line[: len(line) - len(text)]) + _whole(True, text)


# Bounded matching


def _common_ends[T](a: Sequence[T], b: Sequence[T]) -> tuple[int, int]:
    shorter = min(len(a), len(b))
    head = 0
    while head < shorter and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < shorter - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    return head, tail


def _blocks[T](a: Sequence[T], b: Sequence[T], budget: int) -> Iterator[tuple[bool, range, range]]:
    """Both sequences, cut into matching and differing blocks, in order, none empty on both sides.

    Like the opcodes of `SequenceMatcher`, but never more than about `budget` comparisons.
    """
    head, tail = _common_ends(a, b)
    middle = _matches(a[head : len(a) - tail], b[head : len(b) - tail], budget)
    matches = [(0, 0, head)]
    matches += [(i + head, j + head, size) for i, j, size in middle]
    matches += [(len(a) - tail, len(b) - tail, tail)]
    at_a = at_b = 0
    for i, j, size in matches:
        if i > at_a or j > at_b:
            yield False, range(at_a, i), range(at_b, j)
        at_a, at_b = i + size, j + size
        if size:
            yield True, range(i, at_a), range(j, at_b)


def _matches[T](a: Sequence[T], b: Sequence[T], budget: int) -> list[tuple[int, int, int]]:
    """Matching runs `(start in a, start in b, length)`, in order; an explicit stack, and a
    budget for what `find_longest_match` may cost, which is known beforehand."""
    matcher = SequenceMatcher(None, a, b, autojunk=True)
    # Finding the longest match in a range looks at every place in b for every item in it; the
    # matcher's own rule leaves items out that are more than a hundredth of a long b.
    places = Counter(b)
    popular = len(b) // 100 + 1 if len(b) >= 200 else len(b)
    cost = [0, *accumulate(1 + (n if (n := places[item]) <= popular else 0) for item in a)]
    found: list[tuple[int, int, int]] = []
    stack = [(0, len(a), 0, len(b))]
    while stack:
        a_from, a_to, b_from, b_to = stack.pop()
        budget -= cost[a_to] - cost[a_from]
        if a_from == a_to or b_from == b_to or budget < 0:
            continue
        i, j, size = matcher.find_longest_match(a_from, a_to, b_from, b_to)
        if size:
            found.append((i, j, size))
            stack += [(i + size, a_to, j + size, b_to), (a_from, i, b_from, j)]
    return sorted(found)


def _pair_up[T](
    a: Sequence[T], b: Sequence[T], likeness: Callable[[T, T], int]
) -> Iterator[tuple[int | None, int | None]]:
    """Pair items in order so that the sum of likenesses is greatest (0: never a pair).

    Yields indexes, `None` for no partner. Long sequences are paired piece by piece, so that the
    work is at most linear times a constant.
    """
    pieces = 1
    while (len(a) // pieces + 1) * (len(b) // pieces + 1) > MAX_PAIR_CELLS:
        pieces *= 2
    cuts = [(len(a) * k // pieces, len(b) * k // pieces) for k in range(pieces + 1)]
    for (a_from, b_from), (a_to, b_to) in pairwise(cuts):
        yield from _pair_piece(a, b, range(a_from, a_to), range(b_from, b_to), likeness)


def _pair_piece[T](
    a: Sequence[T], b: Sequence[T], rows: range, columns: range, likeness: Callable[[T, T], int]
) -> Iterator[tuple[int | None, int | None]]:
    weights = [[likeness(a[i], b[j]) for j in columns] for i in rows]
    best = _best_sums(weights, len(columns))
    i = j = 0
    while i < len(rows) and j < len(columns):
        weight = weights[i][j]
        if weight and best[i][j] == weight + best[i + 1][j + 1]:
            yield rows[i], columns[j]
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            yield rows[i], None
            i += 1
        else:
            yield None, columns[j]
            j += 1
    yield from ((k, None) for k in rows[i:])
    yield from ((None, k) for k in columns[j:])


def _best_sums(weights: Sequence[Sequence[int]], width: int) -> list[list[int]]:
    best = [[0] * (width + 1)]
    for row in reversed(weights):
        below = best[-1]
        sums = [0] * (width + 1)
        for j in range(width - 1, -1, -1):
            taken = row[j] + below[j + 1] if row[j] else 0
            sums[j] = max(taken, below[j], sums[j + 1])
        best.append(sums)
    return best[::-1]
