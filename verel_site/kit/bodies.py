"""Reading the JSON object of a request field by field: each fault is a 400 with a pointer.

Nothing is coerced: "5" is no number, 1 is no truth value. A field that is absent or null takes its
default; without a default it is required. A field that nobody reads is refused, since it is most
likely a misspelt one.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from verel_site.kit.refusals import BadInput
from verel_site.kit.strict_json import escape_pointer

# Beyond a signed 64-bit column no count means anything, and SQLite fails on it.
MAX_WHOLE = 2**62
SHOWN = 60


class Body:
    """A request body. `fields` are all the names that it may hold."""

    def __init__(self, value: Any, *, fields: Collection[str]) -> None:
        if not isinstance(value, Mapping):
            raise BadInput("The body is a JSON object.", pointer="")
        unknown = next((name for name in value if name not in fields), None)
        if unknown is not None:
            raise BadInput(
                f"Unknown field {str(unknown)[:SHOWN]!r}; there are {', '.join(sorted(fields))}.",
                pointer=f"/{escape_pointer(str(unknown)[:SHOWN])}",
            )
        self._value = value

    def has(self, name: str) -> bool:
        return self._value.get(name) is not None

    def is_null(self, name: str) -> bool:
        """Whether the field stands there as null, as against not at all."""
        return name in self._value and self._value[name] is None

    def text(self, name: str, *, longest: int, default: str | None = None) -> str:
        """A text of at most `longest` characters; a required one is not blank."""
        value = self._value.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or len(value) > longest:
            raise _refuse(name, f"a text of at most {longest} characters")
        if default is None and not value.strip():
            raise _refuse(name, "a text that is not blank")
        return value

    def whole(
        self, name: str, *, low: int, high: int = MAX_WHOLE, default: int | None = None
    ) -> int:
        """A whole number from `low` to `high`."""
        value = self._value.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _refuse(name, f"a whole number from {low} to {high}")
        return value

    def number_or_none(self, name: str, *, low: float, high: float) -> float | None:
        """A number from `low` to `high`, or None where there is none."""
        value = self._value.get(name)
        if value is None:
            return None
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not low <= value <= high
        ):
            raise _refuse(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise _refuse(name, "true or false")
        return value

    def uuid(self, name: str) -> UUID:
        return _read_uuid(self._value.get(name), name)

    def uuid_or_none(self, name: str) -> UUID | None:
        return self.uuid(name) if self.has(name) else None

    def uuids(self, name: str, *, most: int) -> list[UUID]:
        """A list of 1 to `most` UUIDs."""
        value = self._value.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise _refuse(name, f"a list of 1 to {most} UUIDs")
        return [_read_uuid(item, f"{name}/{index}") for index, item in enumerate(value)]

    def listed(self, name: str) -> list[Any]:
        """A list of anything; an absent one is empty."""
        value = self._value.get(name)
        if value is not None and not isinstance(value, list):
            raise _refuse(name, "a list")
        return value or []

    def object(self, name: str) -> dict[str, Any]:
        """A JSON object; an absent one is empty."""
        return self.object_or_none(name) or {}

    def object_or_none(self, name: str) -> dict[str, Any] | None:
        value = self._value.get(name)
        if value is not None and not isinstance(value, dict):
            raise _refuse(name, "an object")
        return value

    def choice(self, name: str, known: Collection[str], *, default: str | None = None) -> str:
        value = self._value.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or value not in known:
            raise _refuse(name, f"one of {', '.join(known)}")
        return value

    def digest(self, name: str) -> bytes:
        """A SHA-256 digest: 64 hexadecimal digits."""
        return _read_digest(self._value.get(name), name)

    def digests(self, name: str) -> dict[UUID, bytes]:
        """An object from UUID to SHA-256 digest."""
        return {
            _read_uuid(key, f"{name}/{escape_pointer(key)}"): _read_digest(
                value, f"{name}/{escape_pointer(key)}"
            )
            for key, value in self.object(name).items()
        }


@contextmanager
def inside(pointer: str) -> Iterator[None]:
    """Faults of a `Body` that is read within it point under `pointer`."""
    try:
        yield
    except BadInput as error:
        raise BadInput(error.detail, pointer=f"{pointer}{error.pointer or ''}") from error


def _refuse(name: str, wanted: str) -> BadInput:
    return BadInput(f"{name.split('/')[0]} takes {wanted}.", pointer=f"/{name}")


def _read_uuid(value: Any, name: str) -> UUID:
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise _refuse(name, "a UUID") from error


def _read_digest(value: Any, name: str) -> bytes:
    try:
        digest = bytes.fromhex(value)
    except (ValueError, TypeError) as error:
        raise _refuse(name, "64 hexadecimal digits") from error
    if len(digest) != 32:
        raise _refuse(name, "64 hexadecimal digits")
    return digest
