"""The words of an event, as an index keeps them and as a search compares them.

Every database gets words made here, not texts: what is found never depends on which one it is.
A word is a run of letters, digits and underscores, in one case; scripts written without spaces
give one word a sign, so that a phrase finds them.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

# Words are told apart by so many of their first letters.
MAX_LETTERS: Final = 64
# PostgreSQL knows positions up to 16,383, and 256 of one word.
MAX_SEQUENCE: Final = 16_000
MAX_REPEATS: Final = 250
# A `tsvector` holds less than 1 MiB.
MAX_BYTES: Final = 400_000
# Stands where a phrase may not cross; no word is equal to it.
BREAK: Final = ":"

_UNSPACED: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SPACED: Final = rf"[^\W{_UNSPACED}]"
_MARKS: Final = "[\u0300-\u036f]"
_WORD: Final = re.compile(rf"{_SPACED}+(?:{_MARKS}+{_SPACED}*)*|[{_UNSPACED}]|{_MARKS}+{_SPACED}*")
_INLINE_BINARY: Final = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Document:
    """`sequence` has the words in order, with breaks; `loose` has more words, without an order.

    A phrase is looked for in the sequence. `whole` says that nothing was left out: no word is
    missing, and every phrase can be found.
    """

    sequence: tuple[str, ...]
    loose: tuple[str, ...] = ()
    whole: bool = True


def fold(text: str) -> str:
    """A word in the form that is compared."""
    if text.isascii():
        return text[:MAX_LETTERS].lower()
    folded = unicodedata.normalize("NFC", text).casefold()
    return unicodedata.normalize("NFC", folded)[:MAX_LETTERS]


def split_words(text: str) -> list[str]:
    if text.isascii():
        return [word[:MAX_LETTERS] for word in _WORD.findall(text.lower())]
    return [fold(word) for word in _WORD.findall(text)]


def place_words(text: str) -> list[tuple[int, int, str]]:
    """`(start, end, word)` of each word of a text."""
    return [(match.start(), match.end(), fold(match.group())) for match in _WORD.finditer(text)]


def payload_texts(payload: Mapping[str, Any]) -> Iterator[str]:
    """The strings and numbers of a payload in the order of its fields; no keys, nothing binary."""
    stack: list[Any] = [payload]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            if not _INLINE_BINARY.match(node):
                yield node
        elif isinstance(node, Mapping):
            hidden = {"data", "blob"} if _is_binary(node) else set()
            stack.extend(node[key] for key in reversed(node) if key not in hidden)
        elif isinstance(node, list | tuple):
            stack.extend(reversed(node))
        elif isinstance(node, int | float) and not isinstance(node, bool):
            yield str(node)


def _is_binary(part: Mapping[str, Any]) -> bool:
    return "mime" in part or part.get("kind") in ("image", "audio")


def make_document(texts: Iterable[str]) -> Document:
    """The words of texts, within what every database can hold."""
    maker = _Maker()
    for text in texts:
        for word in split_words(text):
            maker.add(word)
        maker.end_text()
    return maker.document()


class _Maker:
    def __init__(self) -> None:
        self._sequence: list[str] = []
        self._loose: list[str] = []
        self._counts: dict[str, int] = {}
        self._bytes = 0
        self._whole = True

    def add(self, word: str) -> None:
        seen = self._counts.get(word, 0)
        if not seen:
            size = len(word.encode())
            if self._bytes + size > MAX_BYTES:
                self._whole = False
                return
            self._bytes += size
        if len(self._sequence) >= MAX_SEQUENCE:
            self._whole = False
            if not seen:
                self._loose.append(word)
        elif seen >= MAX_REPEATS:
            self._whole = False
            self._sequence.append(BREAK)
        else:
            self._sequence.append(word)
        self._counts[word] = seen + 1

    def end_text(self) -> None:
        if self._sequence and len(self._sequence) < MAX_SEQUENCE and self._sequence[-1] != BREAK:
            self._sequence.append(BREAK)

    def document(self) -> Document:
        return Document(tuple(self._sequence), tuple(self._loose), self._whole)
