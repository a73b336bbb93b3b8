"""JSON as every store of Verel can keep it: what a reader could not tell apart is refused.

Refused, each with a JSON pointer (RFC 6901): NUL, lone surrogates, NaN, infinities (1e400 too),
duplicate keys, and nesting deeper than the limit. Standard `json` accepts all but the last, and
fails on that one with a RecursionError.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from verel_site.kit.refusals import BadInput

MAX_DEPTH = 64


class MalformedJson(BadInput):
    code = "malformed_json"


class Unfinished(MalformedJson):
    """The text ends, or breaks, before a value does."""


class _NotFinite:
    """Stands where NaN or an infinity was read, until the walk finds its place."""


class _Repeated(dict[str, Any]):
    """An object in which one key stood twice."""

    key = ""


def _read_float(text: str) -> Any:
    value = float(text)
    return value if math.isfinite(value) else _NotFinite()


def _read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    repeated = _Repeated(value)
    repeated.key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return repeated


_DECODER = json.JSONDecoder(
    object_pairs_hook=_read_pairs,
    parse_float=_read_float,
    parse_constant=lambda _: _NotFinite(),
)


def decode(raw: bytes, *, max_depth: int = MAX_DEPTH, at: str = "") -> Any:
    """The value of one JSON document; raises MalformedJson with a pointer that starts with `at`."""
    try:
        text = raw.decode("utf-8")
        value = _DECODER.decode(text.removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise MalformedJson(f"Byte {error.start} is not UTF-8.", pointer=at) from error
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at line {error.lineno}, column {error.colno}."
        raise MalformedJson(detail, pointer=at) from error
    except RecursionError as error:
        raise MalformedJson(f"Nested deeper than {max_depth}.", pointer=at) from error
    except ValueError as error:
        raise MalformedJson("A number has too many digits.", pointer=at) from error
    check(value, max_depth=max_depth, at=at)
    return value


def decode_next(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends; it is yet to be checked.

    Raises Unfinished where more text may help, else MalformedJson.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise Unfinished(f"{error.msg}.") from error
    except RecursionError as error:
        raise MalformedJson("Nested deeper than can be read.") from error
    except ValueError as error:
        raise MalformedJson("A number has too many digits.") from error


def check(value: Any, *, max_depth: int = MAX_DEPTH, at: str = "") -> None:
    """Raises MalformedJson for the first thing in a parsed value that must not be stored."""
    stack: list[tuple[Any, str, int]] = [(value, at, 1)]
    while stack:
        node, pointer, depth = stack.pop()
        fault = _fault_of(node, depth, max_depth)
        if fault:
            raise MalformedJson(fault, pointer=pointer)
        stack.extend(_children(node, pointer, depth))


def _fault_of(node: Any, depth: int, max_depth: int) -> str | None:
    if isinstance(node, str):
        return _text_fault(node)
    if isinstance(node, dict | list):
        if depth > max_depth:
            return f"Nested deeper than {max_depth}."
        if isinstance(node, _Repeated):
            return f"The key {node.key!r} stands twice."
        return next(filter(None, map(_text_fault, node)), None) if isinstance(node, dict) else None
    if isinstance(node, _NotFinite) or (isinstance(node, float) and not math.isfinite(node)):
        return "NaN and infinities are not JSON numbers."
    return None


def _text_fault(text: str) -> str | None:
    if text.isascii():
        return "NUL is not allowed in text." if "\x00" in text else None
    if "\x00" in text:
        return "NUL is not allowed in text."
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "A lone surrogate is not text."
    return None


def _children(node: Any, pointer: str, depth: int) -> Iterator[tuple[Any, str, int]]:
    if isinstance(node, dict):
        for key, child in node.items():
            if not isinstance(child, int | None):
                yield child, f"{pointer}/{escape_pointer(key)}", depth + 1
    elif isinstance(node, list):
        for index, child in enumerate(node):
            if not isinstance(child, int | None):
                yield child, f"{pointer}/{index}", depth + 1


def escape_pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def encode(value: Any) -> bytes:
    """Compact UTF-8 bytes; key order is kept, so equal text gives equal bytes."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def encode_sorted(value: Any) -> bytes:
    """Canonical bytes of values whose key order carries no meaning (audit bodies, policies)."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()
