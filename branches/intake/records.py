"""The lines of a transcript as records, whichever program wrote them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from branches.intake.files import Line, TranscriptFile, iter_lines
from verel_site.kit.strict_json import MAX_DEPTH, MalformedJson, decode

# A record wraps what becomes a payload, so it may be deeper than one.
DEPTH: Final = MAX_DEPTH + 6

type Part = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class LineRecord:
    """One line. `fields` is None where the line is torn or no object."""

    line: Line
    fields: Mapping[str, Any] | None

    @property
    def kind(self) -> str:
        return text_field(self.fields, "type")

    @property
    def moment(self) -> datetime | None:
        """When it was written; None where it does not say, or without its offset."""
        try:
            read = parse_datetime(text_field(self.fields, "timestamp"))
            return read.astimezone(UTC) if read and timezone.is_aware(read) else None
        except (ValueError, OverflowError):
            return None

    def object_field(self, name: str) -> Mapping[str, Any]:
        value = self.fields.get(name) if self.fields else None
        return value if isinstance(value, dict) else {}


def text_field(fields: Mapping[str, Any] | None, name: str) -> str:
    value = fields.get(name) if fields else None
    return value if isinstance(value, str) else ""


def iter_records[R: LineRecord](
    file: TranscriptFile, make: Callable[[Line, Mapping[str, Any] | None], R]
) -> Iterator[R]:
    for line in iter_lines(file.path):
        try:
            value = decode(line.raw, max_depth=DEPTH) if line.whole else None
        except MalformedJson:
            value = None
        yield make(line, value if isinstance(value, dict) else None)
