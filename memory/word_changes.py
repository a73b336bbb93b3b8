"""What a statement says now, word by word beside what was said before."""

import difflib
import re
from dataclasses import dataclass
from typing import Final

_PART: Final = re.compile(r"\s+|[^\s]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """Words of a statement; `change` is del, ins or empty."""

    text: str
    change: str = ""


def compare_words(before: str, after: str) -> tuple[Piece, ...]:
    """What is said now, with what was said before struck out where they differ."""
    if not before or before == after:
        return (Piece(after),)
    left, right = _PART.findall(before), _PART.findall(after)
    pieces: list[Piece] = []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag in ("delete", "replace"):
            pieces.append(Piece("".join(left[a:b]), "del"))
        if tag in ("insert", "replace"):
            pieces.append(Piece("".join(right[c:d]), "ins"))
        if tag == "equal":
            pieces.append(Piece("".join(right[c:d])))
    return tuple(pieces)
