"""What a statement says now, word by word beside what was said before."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_PART: Final = re.compile(r"\s+|[^\s]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of a statement; `change` is del, ins, mark or empty."""

    text: str
    change: str = ""


def compare_words(before: str, after: str) -> tuple[Piece, ...]:
    """What is said now, with what was said before struck out where they differ."""
    if not before or before == after:
        return (Piece(after),)
    left, right = _PART.findall(before), _PART.findall(after)
    pieces: list[Piece] = []
    for tag, a, b, c, d in _opcodes(left, right):
        if tag in ("delete", "replace"):
            pieces.append(Piece("".join(left[a:b]), "del"))
        if tag in ("insert", "replace"):
            pieces.append(Piece("".join(right[c:d]), "ins"))
        if tag == "equal":
            pieces.append(Piece("".join(right[c:d])))
    return tuple(pieces)


def mark_words(one: str, other: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Both statements, with what they differ in marked alike: neither is the better one yet."""
    left, right = _PART.findall(one), _PART.findall(other)
    ours: list[Piece] = []
    theirs: list[Piece] = []
    for tag, a, b, c, d in _opcodes(left, right):
        change = "" if tag == "equal" else "mark"
        if a < b:
            ours.append(Piece("".join(left[a:b]), change))
        if c < d:
            theirs.append(Piece("".join(right[c:d]), change))
    return tuple(ours), tuple(theirs)


def _opcodes(left: list[str], right: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    return difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
