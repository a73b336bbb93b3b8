"""Reading a tool's JSON into typed values, in memory that the types bound.

Bytes that are no UTF-8, NUL and lone surrogates are mended rather than refused: a test that prints
one into its failure must not keep the failure from being told.
"""

import re
from collections.abc import Hashable
from functools import cache
from typing import Annotated, Any, Final, cast

import msgspec

from verdicts.graders.printed import MalformedOutput, UnreadableOutput
from verel_site.kit.strict_json import escape_pointer

# A line, a column or a count.
Whole = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
_ESCAPES: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u(0000|[dD][89abAB][0-9a-fA-F]{2}|[dD][c-fC-F][0-9a-fA-F]{2})|\\."
)
_PATH: Final = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


def mend_json(raw: bytes) -> bytes:
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    if "\\u" not in text:
        return text.encode()
    return _ESCAPES.sub(lambda found: "\\ufffd" if found[1] else found[0], text).encode()


@cache
def _decoder(kind: Hashable) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cast("type[Any]", kind))


def decode[T](raw: bytes, kind: type[T], *, at: str = "") -> T:
    """The document as a `kind`. Raises MalformedOutput (400) for what is no JSON, and
    UnreadableOutput (422) with a pointer for a value of another type; other members are skipped."""
    try:
        value: T = _decoder(cast("Hashable", kind)).decode(mend_json(raw))
    except msgspec.ValidationError as error:
        told, _, path = str(error).partition(" - at `$")
        raise UnreadableOutput(f"{told}.", pointer=at + _as_pointer(path)) from error
    except msgspec.DecodeError as error:
        raise MalformedOutput(f"{error}.", pointer=at) from error
    except RecursionError as error:
        raise MalformedOutput("It is nested too deep.", pointer=at) from error
    return value


def _as_pointer(path: str) -> str:
    parts = (found[1] or found[2] for found in _PATH.finditer(path.rstrip("`")))
    return "".join(f"/{escape_pointer(part)}" for part in parts)
