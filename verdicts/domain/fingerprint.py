"""The stable identity of a finding: what stays the same when the same failure is seen again."""

import hashlib
import re
from collections.abc import Mapping

from verdicts.domain.terms import Grader

FINGERPRINT_LENGTH = 16
_ABSENT = (None, "")
_NOTHING: Mapping[str, object] = {}

# What follows a look-behind of its own first character has a first character to search for, and
# so is found many times faster than what begins with the look-behind.
_ADDRESS = re.compile(r"0x(?<!\w0x)[0-9a-f]+")
_UUID = re.compile(r"(?<!\w)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?!\w)")
_TIMESTAMP = re.compile(
    r"(?<!\d)\d{4}-\d{2}-\d{2}"
    r"(?:[t ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:z|[+-]\d{2}:?\d{2})?)?(?!\d)"
)
# Any run of segments with a slash in it. Possessive, and anchored behind a character that can not
# be part of one, so that a hostile message costs linear time.
_SLASHED = re.compile(r"(?<![\w.~@+%\-/\\])(?:[a-z]:)?[\w.~@+%\-]*+(?:[/\\]++[\w.~@+%\-]*+)++")
_ROOTED = re.compile(r"(?:[a-z]:[/\\]|/|\\\\|~/|\.{1,2}[/\\])[/\\]*[\w.~@+%\-]")
_FILE = re.compile(r"\.[a-z]\w*[.\-]*$")
_FLOAT = re.compile(r"(?:(?<!\w)[-+])?(?<!\w)(?:\d+\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+)")
_INTEGER = re.compile(r"[-+\d](?:(?<=\d)(?<!\w\d)\d*|(?<=[-+])(?<!\w[-+])\d+)")

# A date and a time with a space between them: the one thing that is scrubbed across words.
_SPACED_TIME = re.compile(r"\d-\d{2} \d{2}:")
# A word that holds none of these is left as it is.
_is_volatile = re.compile(r"[\d/\\]").search
# A word that is one volatile thing and closing punctuation; whichever group matched names it.
_match_whole = re.compile(
    r"(?:(/[/\\]*+[\w.~@+%\-][\w.~@+%\-/\\]*+)"
    r"|(0x[0-9a-f]++)"
    r"|([-+]?(?:\d+\.\d+(?:e[-+]?\d++)?|\d+e[-+]?\d++))"
    r"|([-+]?\d++))[:,;.!?)\]}\"']*+"
).fullmatch
_WHOLE_AS = ("", "<path>", "<addr>", "<float>", "<num>")


def _scrub_path(match: re.Match[str]) -> str:
    """A rooted path or a relative one that names a file goes; `mg/ml` and `and/or` stay."""
    text = match.group()
    return "<path>" if _ROOTED.match(text) or _FILE.search(text) else text


def scrub(message: str) -> str:
    """The message without what differs between two runs of one failure.

    Stripped and lower-cased, then, in this order: hex addresses, UUIDs, ISO timestamps, paths,
    floats, integers become `<addr> <uuid> <ts> <path> <float> <num>`. A path is rooted (`/a`,
    `c:\\a`, `~/a`, `./a`) or ends in a file name; a unit such as `mg/ml` is none. A digit behind
    a letter or underscore (`e501`, `utf8`) belongs to a name and stays.
    """
    text = message.strip().lower()
    if "-" in text and _SPACED_TIME.search(text):
        return _scrub_text(text)
    return " ".join([word if word.isalpha() else _scrub_word(word) for word in text.split(" ")])


def _scrub_word(word: str) -> str:
    """The same as `_scrub_text`, and much faster for the words that messages are made of."""
    whole = _match_whole(word)
    if whole is None:
        return _scrub_text(word) if _is_volatile(word) else word
    group = whole.lastindex or 0
    # A path may hold an address, a UUID or a date; these come out first.
    if group == 1 and ("0x" in word or word.count("-") > 1):
        return _scrub_text(word)
    end = whole.end(group)
    return _WHOLE_AS[group] if end == len(word) else _WHOLE_AS[group] + word[end:]


def _scrub_text(text: str) -> str:
    """Each replacement in its turn, where the text has what it looks for."""
    if "0x" in text:
        text = _ADDRESS.sub("<addr>", text)
    if text.count("-") > 1:
        text = _UUID.sub("<uuid>", text)
        text = _TIMESTAMP.sub("<ts>", text)
    if "/" in text or "\\" in text:
        text = _SLASHED.sub(_scrub_path, text)
    if _is_volatile(text):
        if "." in text or "e" in text:
            text = _FLOAT.sub("<float>", text)
        text = _INTEGER.sub("<num>", text)
    return text


def fingerprint_key(
    *, source: str, kind: str, message: str, locator: str, detail: Mapping[str, object]
) -> str:
    """What is hashed, by the grader kind that found the issue.

    test `test_id|scrubbed`; typecheck `rule_code|locator|symbol`; lint `rule_id|locator`;
    security `cwe|locator|scrubbed`; else `kind|locator|scrubbed`. `test_id`, `rule_code`,
    `symbol`, `rule_id` and `cwe` are read from `detail`; an absent test id is the locator, an
    absent rule or cwe is the kind. A `|` in any part but the last becomes NUL, a character that
    no stored text holds, so that two keys never coincide by where their bars stand.
    """

    if source == Grader.TEST:
        return f"{_part(detail, 'test_id', locator)}|{scrub(message)}"
    if source == Grader.TYPECHECK:
        symbol = detail.get("symbol")
        told = "" if symbol is None else str(symbol)
        return f"{_part(detail, 'rule_code', kind)}|{_unbar(locator)}|{told}"
    if source == Grader.LINT:
        return f"{_part(detail, 'rule_id', kind)}|{locator}"
    first = _part(detail, "cwe", kind) if source == Grader.SECURITY else _unbar(kind)
    return f"{first}|{_unbar(locator)}|{scrub(message)}"


def _part(detail: Mapping[str, object], name: str, fallback: str) -> str:
    value = detail.get(name)
    return _unbar(str(value) if value not in _ABSENT else fallback)


def _unbar(part: str) -> str:
    return part.replace("|", "\0") if "|" in part else part


def fingerprint(
    *,
    source: str,
    kind: str,
    message: str,
    locator: str = "",
    detail: Mapping[str, object] | None = None,
) -> str:
    """The first 16 hex digits of the BLAKE2s of the issue's key; see `fingerprint_key`."""
    key = fingerprint_key(
        source=source, kind=kind, message=message, locator=locator, detail=detail or _NOTHING
    )
    digest = hashlib.blake2s(key.encode("utf-8", "surrogatepass")).digest()
    return digest[: FINGERPRINT_LENGTH // 2].hex()
