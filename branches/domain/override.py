"""Overrides: reading variable patches out of a person's text, and framing it for the agent.

How the frame resists forging: a frame has four lines, and everything that a person wrote goes
through `escape` on its way in. As in a JSON string, `\\` becomes `\\\\`, `"` becomes `\\"`, a line
feed `\\n`, a carriage return `\\r`, and every other control character but the tab, together with
U+2028 and U+2029, becomes `\\uXXXX`. That covers each character at which any reader breaks lines,
so no text can begin another line of the frame nor end the quoted directive early, and the text
can be read back exactly (`read_directive`).
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

FRAME_HEADER = "[SYSTEM PRIORITY INTERRUPT]"
DEFAULT_AUTHORITY = "Verified Human Supervisor"
DEFAULT_INSTRUCTION = (
    "You must disregard previous plans that conflict with this directive. Execute immediately."
)

type Scalar = str | int | float | bool | None

_PATCH = re.compile(r"\s*(\w+)\s*=(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LETTERS = r"(?:[^\W\d_]|[°%‰])+"
_UNIT = rf"{_LETTERS}(?:\^?-?[0-9]+)?"
# "0x1f" is a number in another notation, not zero of a unit "x1f"; the number is taken whole
# (atomic), so that "1e400" is not one of a unit "e400".
_QUANTITY = re.compile(
    rf"(?!0[xXoObB][0-9a-fA-F])"
    rf"((?>[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))\s*({_UNIT}(?:[/*·.]{_UNIT})*)"
)
_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_QUOTES = re.compile(r'["\\]')
_SHORT = {"\n": "\\n", "\r": "\\r"}


@dataclass(frozen=True, slots=True)
class Typed:
    """A patch's value where it parses: a JSON scalar, a number with its unit, else the text."""

    kind: Literal["json", "quantity", "text"]
    value: Scalar
    unit: str | None = None

    def payload(self) -> dict[str, Any]:
        """`{"kind", "value"}`, and `unit` for a quantity."""
        fields: dict[str, Any] = {"kind": self.kind, "value": self.value}
        return fields if self.unit is None else {**fields, "unit": self.unit}


@dataclass(frozen=True, slots=True)
class Patch:
    """One `name = value` line; `line` counts from 1, `value` is the text as written, stripped."""

    line: int
    name: str
    value: str
    typed: Typed

    def payload(self) -> dict[str, Any]:
        """The payload of `harness.variable.patched`."""
        return {
            "name": self.name,
            "value": self.value,
            "typed": self.typed.payload(),
            "line": self.line,
        }


@dataclass(frozen=True, slots=True)
class Override:
    """What was read: the patches in order, and every other line that is not blank.

    `directive` joins those other lines with line feeds; `unread` lists them as
    `(line number, text)`, for the preview's "not read as a patch".
    """

    patches: tuple[Patch, ...]
    directive: str
    unread: tuple[tuple[int, str], ...]


def parse_override(text: str) -> Override:
    """Read an override. Total: every text is an override, if only one without patches.

    Lines end where `str.splitlines` ends them. A patch is `name = value`, the name one Unicode
    word; the value may be empty, and may contain `=`.
    """
    patches: list[Patch] = []
    unread: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _PATCH.fullmatch(line)
        if match:
            value = match[2].strip()
            patches.append(Patch(number, match[1], value, read_value(value)))
        elif line.strip():
            unread.append((number, line))
    return Override(tuple(patches), "\n".join(line for _, line in unread), tuple(unread))


def read_value(text: str) -> Typed:
    """Type a value that was given as text.

    NaN, infinities and numbers beyond a double are text, and so is a quoted string that would
    bring NUL or half a surrogate pair into the journal.
    """
    for read in (_read_scalar, _read_quantity):
        typed = read(text)
        if typed is not None:
            return typed
    return Typed("text", text)


def _read_scalar(text: str) -> Typed | None:
    if text in ("true", "false", "null"):
        return Typed("json", json.loads(text))
    if _NUMBER.fullmatch(text):
        number = _number(text)
        return None if number is None else Typed("json", number)
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return None
    try:
        value = json.loads(text)
        value.encode()
    except ValueError:
        return None
    return None if "\0" in value else Typed("json", value)


def _read_quantity(text: str) -> Typed | None:
    match = _QUANTITY.fullmatch(text)
    number = _number(match[1]) if match else None
    return Typed("quantity", number, match[2]) if match and number is not None else None


def _number(text: str) -> int | float | None:
    try:
        number = int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:  # Python refuses to read integers of more than some thousand digits
        return None
    return number if isinstance(number, int) or math.isfinite(number) else None


def escape_breaks(text: str) -> str:
    """Bring any text into one line: control characters but the tab, and U+2028 and U+2029, become
    `\\n`, `\\r` or `\\uXXXX`. JSON text stays the same JSON."""
    return _BREAKS.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04x}", text)


def escape(text: str) -> str:
    """Bring any text into one line without a bare quote; the module's docstring says how."""
    return escape_breaks(_QUOTES.sub(r"\\\g<0>", text))


def build_frame(
    *,
    directive: str,
    authority: str = DEFAULT_AUTHORITY,
    instruction: str = DEFAULT_INSTRUCTION,
) -> str:
    """The interrupt frame: exactly four lines, joined by line feeds, none at the end.

    `directive` is the whole text of the override, its patch lines too. All three texts are
    escaped, so the frame has four lines whatever they hold.
    """
    return "\n".join(
        (
            FRAME_HEADER,
            f"AUTHORITY: {escape(authority)}",
            f'DIRECTIVE: "{escape(directive)}"',
            f"INSTRUCTION: {escape(instruction)}",
        )
    )


def read_directive(frame: str) -> str:
    """The directive of a frame, exactly as it was given to `build_frame`.

    Raises ValueError where the text is no such frame.
    """
    match frame.splitlines():
        case [header, authority, directive, instruction] if (
            header == FRAME_HEADER
            and authority.startswith("AUTHORITY: ")
            and directive.startswith('DIRECTIVE: "')
            and instruction.startswith("INSTRUCTION: ")
        ):
            text = json.loads(directive.removeprefix("DIRECTIVE: "), strict=False)
            return str(text)
    raise ValueError("not an interrupt frame")
