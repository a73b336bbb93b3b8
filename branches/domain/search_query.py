"""What a person types into a search field, as a value; and whether an event matches it.

Total: every text is a query, and what cannot be used is named in `notes`.

    dose limit          both words, anywhere in the event
    "dose limit"        next to each other, in this order; so does clamp.py, which is two words
    -draft              not this word; the sign works before phrases and filters too
    clam*               words that begin so
    type:error          an event type: a name or its last parts, or a kind of the run page's list
    source: run: branch:    who told it; a run's number or id; the beginning of a branch's id
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from branches.domain.telling import KINDS
from branches.domain.words import BREAK, MAX_LETTERS, Document, place_words, split_words

MAX_QUERY: Final = 400
MAX_TERMS: Final = 24
MAX_PHRASE: Final = 32
FILTERS: Final = ("type", "source", "run", "branch")

_PART: Final = re.compile(
    r"""(?P<minus>-?)(?:(?P<name>type|source|run|branch):)?"""
    r"""(?:"(?P<quoted>[^"]*)(?:"|$)(?P<star>\*?)|(?P<bare>[^\s"]+))""",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand next to each other; with `prefix` the last one is only begun."""

    words: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """One of the terms holds; with `negated`, none of them does."""

    any_of: tuple[Term, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    name: str
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """`text` as it was typed. A query without clauses and filters finds nothing."""

    text: str
    clauses: tuple[Clause, ...] = ()
    filters: tuple[Filter, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.clauses and not self.filters

    @property
    def wanted(self) -> tuple[Term, ...]:
        """The terms that a hit has: what is marked in it."""
        return tuple(t for clause in self.clauses if not clause.negated for t in clause.any_of)


@dataclass
class _Reading:
    clauses: list[Clause] = field(default_factory=list)
    filters: list[Filter] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def parse_query(text: str) -> Query:
    """Any text as a query; at most MAX_QUERY characters and MAX_TERMS terms of it are used."""
    reading = _Reading()
    if len(text) > MAX_QUERY:
        reading.notes.append(f"Only the first {MAX_QUERY} characters were read.")
    for part in _PART.finditer(text[:MAX_QUERY]):
        if len(reading.clauses) + len(reading.filters) == MAX_TERMS:
            reading.notes.append(f"Only the first {MAX_TERMS} terms were used.")
            break
        _read_part(part, reading)
    return Query(
        text=text.strip(),
        clauses=tuple(reading.clauses),
        filters=tuple(reading.filters),
        notes=tuple(reading.notes),
    )


def _read_part(part: re.Match[str], reading: _Reading) -> None:
    name, bare = (part["name"] or "").lower(), part["bare"]
    value = part["quoted"] if bare is None else bare
    negated = part["minus"] == "-"
    if name:
        if value.strip():
            reading.filters.append(Filter(name, value.strip(), negated))
        return
    prefix = part["star"] == "*" if bare is None else value.endswith("*")
    words = tuple(split_words(value))[:MAX_PHRASE]
    if words:
        reading.clauses.append(Clause((Term(words, prefix),), negated))
    elif value.strip():
        reading.notes.append(f"“{value.strip()}” has no letter or digit and was left out.")


def begin_words(text: str) -> str:
    """The query that takes its last word for the beginning of one; empty if it does already."""
    last = next(iter([*_PART.finditer(text[:MAX_QUERY])][-1:]), None)
    if last is None or last["bare"] is None or last["name"] or last["minus"]:
        return ""
    bare: str = last["bare"]
    return f"{text}*" if split_words(bare[-1]) else ""


def types_of(value: str) -> tuple[tuple[str, bool], ...]:
    """The event types that `type:value` stands for, each with whether it is only begun."""
    name, star = value.removesuffix("*"), value.endswith("*")
    if name.startswith(("data.", "harness.")):
        return ((name, star),)
    kind = next((k for k in KINDS if name.lower() in (k, k.removesuffix("s"))), None)
    if kind is not None:
        return tuple((known, False) for known in sorted(KINDS[kind]))
    roots = ("data.", "data.message.", "data.tool.", "harness.", "harness.branch.")
    return tuple((root + name, star) for root in roots)


def scope_word(kind: str, value: str) -> str:
    """A word for what an event belongs to: p, r, b by id, y a type, s a source.

    No text has it, and no beginning of a word is one of it: it begins with the break.
    """
    exact = value.encode(errors="replace").hex() if kind in "ys" else value
    return f"{BREAK}{kind}{exact}"


def scope_words(*, project: str, run: str, branch: str, type: str, source: str) -> tuple[str, ...]:
    """Ids in hexadecimal."""
    told = {"p": project, "r": run, "b": branch, "y": type, "s": source}
    return tuple(scope_word(kind, value) for kind, value in told.items())


def matches(clauses: Iterable[Clause], document: Document, scope: Iterable[str]) -> bool:
    """Whether an event matches, by its words and its scope words: what every index answers."""
    known = {*document.sequence, *document.loose, *scope}
    return all(
        any(_holds(term, document, known) for term in clause.any_of) != clause.negated
        for clause in clauses
    )


def _holds(term: Term, document: Document, known: set[str]) -> bool:
    *first, last = term.words
    if not first:
        return any(w.startswith(last) for w in known) if term.prefix else last in known
    if not known.issuperset(first):
        return False
    return any(True for _ in _find_phrase(term, document.sequence))


def _find_phrase(term: Term, words: Sequence[str]) -> Iterator[int]:
    """Where the phrase begins among the words."""
    size = len(term.words)
    head, last = term.words[:-1], term.words[-1]
    if size == 1:
        for at, word in enumerate(words):
            if word == last or (term.prefix and word.startswith(last)):
                yield at
        return
    for at in range(len(words) - size + 1):
        if words[at] == head[0] and tuple(words[at : at + size - 1]) == head:
            end = words[at + size - 1]
            if end == last or (term.prefix and end.startswith(last)):
                yield at


def _place_terms(terms: Iterable[Term], text: str) -> Iterator[tuple[int, int]]:
    placed = place_words(text)
    words = [word for _, _, word in placed]
    for term in terms:
        for at in _find_phrase(term, words):
            yield placed[at][0], placed[at + len(term.words) - 1][1]


@lru_cache(maxsize=64)
def _as_pattern(terms: tuple[Term, ...]) -> re.Pattern[str] | None:
    """The terms as one expression for texts in ASCII, where words are what `\\w` says.

    None where words were cut, since those are told apart by their beginnings alone.
    """
    if not terms or any(len(word) == MAX_LETTERS for term in terms for word in term.words):
        return None
    spelled = (
        r"\W+".join(re.escape(word) for word in term.words) + (r"\w*" if term.prefix else r"\b")
        for term in terms
    )
    # Looked ahead, so that terms may overlap as they do in a list of words.
    return re.compile(rf"\b(?=({'|'.join(spelled)}))", re.IGNORECASE | re.ASCII)


def find_spans(terms: Iterable[Term], text: str) -> list[tuple[int, int]]:
    """Where terms stand in a text, as `(start, end)` in order; those apart by space are one."""
    wanted = tuple(terms)
    pattern = _as_pattern(wanted) if text.isascii() else None
    if pattern is not None:
        found = {match.span(1) for match in pattern.finditer(text)}
    else:
        found = set(_place_terms(wanted, text))
    spans: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if spans and (start <= spans[-1][1] or text[spans[-1][1] : start].isspace()):
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    marked: bool = False


SNIPPET: Final = 220
_LEAD: Final = 60
_SPACE: Final = re.compile(r"\s+")
# So much of a text is looked at for its snippet.
_LOOKED: Final = 200_000


def make_snippet(terms: tuple[Term, ...], texts: Iterable[str]) -> tuple[Piece, ...]:
    """The place of the first hit in one line, its hits marked; the first text if there is none."""
    first = ""
    for text in texts:
        first = first or text[: SNIPPET * 4]
        spans = find_spans(terms, text[:_LOOKED]) if terms else []
        if spans:
            return tuple(_cut_round(text, spans))
    return (Piece(_flat(first)[:SNIPPET]),) if first.strip() else ()


def _cut_round(text: str, spans: list[tuple[int, int]]) -> Iterable[Piece]:
    start = max(0, spans[0][0] - _LEAD)
    if start:
        # Not in the middle of a word, where there is a space near.
        space = text.find(" ", start, spans[0][0])
        start = space + 1 if space >= 0 else start
    end = start + SNIPPET
    at = start
    yield from [Piece("…")] if start else []
    for left, right in spans:
        if left >= end:
            break
        right = min(right, end)
        yield Piece(_flat(text[at:left]))
        yield Piece(_flat(text[left:right]), marked=True)
        at = right
    yield Piece(_flat(text[at:end]))
    yield from [Piece("…")] if end < len(text) else []


def _flat(text: str) -> str:
    return _SPACE.sub(" ", text)
