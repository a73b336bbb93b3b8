"""The stable identity of a finding: what stays the same when the same failure is seen again."""

import hashlib
import re
from collections.abc import Mapping

from verdicts.domain.terms import Grader

FINGERPRINT_LENGTH = 16

_ADDRESS = re.compile(r"(?<!\w)0x[0-9a-f]+")
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
_INTEGER = re.compile(r"(?:(?<!\w)[-+])?(?<!\w)\d+")


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
    text = _ADDRESS.sub("<addr>", text)
    text = _UUID.sub("<uuid>", text)
    text = _TIMESTAMP.sub("<ts>", text)
    text = _SLASHED.sub(_scrub_path, text)
    text = _FLOAT.sub("<float>", text)
    return _INTEGER.sub("<num>", text)


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

    def named(name: str, fallback: str) -> str:
        value = detail.get(name)
        return str(value) if value not in (None, "") else fallback

    match source:
        case Grader.TEST:
            parts = [named("test_id", locator), scrub(message)]
        case Grader.TYPECHECK:
            parts = [named("rule_code", kind), locator, named("symbol", "")]
        case Grader.LINT:
            parts = [named("rule_id", kind), locator]
        case Grader.SECURITY:
            parts = [named("cwe", kind), locator, scrub(message)]
        case _:
            parts = [kind, locator, scrub(message)]
    return "|".join([*(part.replace("|", "\0") for part in parts[:-1]), parts[-1]])


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
        source=source, kind=kind, message=message, locator=locator, detail=detail or {}
    )
    digest = hashlib.blake2s(key.encode("utf-8", "surrogatepass")).hexdigest()
    return digest[:FINGERPRINT_LENGTH]
