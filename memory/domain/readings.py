"""The ways in which a text may be read: what an eye, a browser or a model makes of it.

An attack hides its words from one reader and shows them to another one: in letters that look alike,
in characters that nobody sees, in markup, in an encoding. Screening looks at every reading.
"""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

# Longer texts are files, and are read in fewer ways.
LONG: Final = 20_000
# So deep an encoding may lie in another one.
DEPTH: Final = 2

# Letters of other scripts that look like Latin ones.
_LOOKALIKES: Final = str.maketrans(
    "аАᴀαΑсСϲᴄԁеЕΕєһНΗіІιΙјЈкКκΚӏмМΜոпΝоОοΟօрРρΡԛѕЅтТΤυνѵԝхХχΧуУΥγᴢΖВΒЗɑɡıʟɴʀꜱᴛᴜᴠᴡ",
    "aAaaAcCccdeEEehHHiIiIjJkKkKlmMMnnNoOoOopPpPqsStTTuvvwxXxXyYYyzZBB3agilnrstuvw",
)
_LATIN: Final = re.compile(r"[A-Za-z]")
_ALIKE: Final = frozenset(
    char for char in map(chr, _LOOKALIKES) if not unicodedata.name(char).startswith("LATIN")
)
_CYRILLIC: Final = re.compile(r"[\u0400-\u04ff]")
_FOREIGN_WORD: Final = re.compile(r"[^\W\d_]+")
_LETTERS_OF_DIGITS: Final = str.maketrans("013457@$!", "oieastasi")
_DIGIT_IN_WORD: Final = re.compile(r"[a-z][013457@$!]+[a-z]|\b[013457@$!]+[a-z]{2}", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]{0,200}>")
_EMPHASIS: Final = re.compile(r"[*_`~|\\]+")
_ESCAPED: Final = re.compile(r"\\u\{?([0-9a-fA-F]{4,6})\}?|\\x([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[\s:,]?){12,}")
_SPACED: Final = re.compile(r"(?:\b\w[\s.\-_·]{1,2}){4,}\w\b")

# What stands in a text and is drawn by nobody, beside the categories below.
_BLANKS: Final = frozenset(
    map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810),
              *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)  # fmt: skip
_HIDDEN: Final = frozenset({"Cf", "Cc", "Co", "Cs", "Cn"})
_PLAIN_CONTROLS: Final = frozenset("\n\t\r")
# They join what is written together in some scripts and in emoji, and nothing else.
_JOINERS: Final = frozenset("\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
_STYLES: Final = frozenset("\N{VARIATION SELECTOR-15}\N{VARIATION SELECTOR-16}")
_KEYCAPS: Final = frozenset("#*0123456789")
_ALPHABETS: Final = ("LATIN", "CYRILLIC", "GREEK", "DIGIT", "FULLWIDTH")
_PRINTED: Final = re.compile(r"[\n\t\r -~]*")


def hides_something(text: str) -> bool:
    """Whether it holds characters that no reader sees."""
    return _PRINTED.fullmatch(text) is None and strip_hidden(text) != text


def strip_hidden(text: str) -> str:
    """The text as its reader sees it."""
    if _PRINTED.fullmatch(text):
        return text
    beside = pairwise(["", *text, ""])
    after = [*text[1:], ""]
    return "".join(
        char
        for (before, char), behind in zip(beside, after, strict=False)
        if not _is_hidden(char, before, behind)
    )


def _is_hidden(char: str, before: str, behind: str) -> bool:
    if char in _PLAIN_CONTROLS:
        return False
    if char in _JOINERS:
        return not before or _is_alphabetic(before) or not behind or _is_alphabetic(behind)
    if char in _STYLES:
        keycap = before in _KEYCAPS and behind == "\N{COMBINING ENCLOSING KEYCAP}"
        return not (keycap or (before and unicodedata.category(before) in ("So", "Sm", "Po", "Sk")))
    return char in _BLANKS or unicodedata.category(char) in _HIDDEN


def _is_alphabetic(char: str) -> bool:
    """Of a script that joins nothing."""
    return char.isspace() or unicodedata.name(char, "").startswith(_ALPHABETS)


def mixes_scripts(text: str) -> bool:
    """Whether letters of two alphabets stand in one word, or a whole word only looks like Latin.
    Greek letters beside Latin ones are units and variables, unless they look like Latin ones."""
    if text.isascii():
        return False
    words = _FOREIGN_WORD.findall(unicodedata.normalize("NFKC", text))
    if any(_is_mixed(word) for word in words):
        return True
    cyrillic = [word for word in words if _CYRILLIC.search(word)]
    alike = [word for word in cyrillic if len(word) > 2 and _ALIKE.issuperset(word)]
    return bool(alike) and len(alike) == len(cyrillic) and any(map(_LATIN.search, words))


def _is_mixed(word: str) -> bool:
    if _LATIN.search(word) is None:
        return False
    if _CYRILLIC.search(word):
        return True
    return len(word) > 2 and not _ALIKE.isdisjoint(word)


def readings_of(text: str) -> frozenset[str]:
    """Every reading, once; plain prose has itself, and itself turned round in two ways."""
    found: set[str] = set()
    plain = unicodedata.normalize("NFKC", text)
    _read(plain, found, DEPTH)
    if len(text) < LONG:
        found |= {codecs.decode(plain, "rot13"), plain[::-1]}
    return frozenset(found)


def _read(text: str, found: set[str], depth: int) -> None:
    base = strip_hidden(text)
    if base in found:
        return
    found.add(base)
    found.update(_readable(base))
    if depth:
        for decoded in _decode(base):
            _read(unicodedata.normalize("NFKC", decoded), found, depth - 1)


def _readable(text: str) -> Iterator[str]:
    """As an eye, or a browser, reads it."""
    if not text.isascii():
        yield text.translate(_LOOKALIKES)
        yield _without_accents(text)
    if "<" in text:
        yield _TAG.sub("", text)
    if _EMPHASIS.search(text):
        yield _EMPHASIS.sub("", text)
    if _DIGIT_IN_WORD.search(text):
        yield text.translate(_LETTERS_OF_DIGITS)
    if _SPACED.search(text):
        yield _SPACED.sub(lambda run: re.sub(r"\W|_", "", run[0]), text)


def _without_accents(text: str) -> str:
    told = unicodedata.normalize("NFKD", text)
    return "".join(char for char in told if not unicodedata.combining(char))


def _decode(text: str) -> Iterator[str]:
    """What is written in it in another form."""
    if "&" in text:
        yield html.unescape(text)
    if _ESCAPED.search(text):
        yield _ESCAPED.sub(_unescape, text)
    for run in _HEX.findall(text):
        yield from _as_text(bytes.fromhex(re.sub(r"[^0-9a-fA-F]", "", run)))
    packed = _BASE64.findall(text)
    if len(text) < LONG and any(char.isspace() for char in text):
        packed += _BASE64.findall("".join(text.split()))
    for run in packed:
        yield from _unpack(run)


def _unescape(found: re.Match[str]) -> str:
    point = int(next(filter(None, found.groups())), 16)
    return chr(point) if point < 0x110000 else ""


def _unpack(run: str) -> Iterator[str]:
    """Whatever stands before it may have moved its beginning: each of four is tried."""
    plain = run.translate(str.maketrans("-_", "+/"))
    for start in range(4):
        piece = plain[start:]
        try:
            yield from _as_text(base64.b64decode(piece[: len(piece) // 4 * 4]))
        except binascii.Error:
            continue


def _as_text(data: bytes) -> Iterator[str]:
    """Bytes that are text for the most part; else they encode none."""
    told = data.decode("ascii", errors="ignore")
    printable = sum(char.isprintable() or char.isspace() for char in told)
    if data and printable >= 0.9 * len(data):
        yield told
