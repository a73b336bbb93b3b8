"""Which triplets a filter means, the same for a list, a page, a count and a dataset."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import F, Func, Q, QuerySet, TextField
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import is_aware

from branches.domain.terms import Granularity
from branches.models import Triplet
from branches.storage.codec import codec
from verel_site.access.models import Project
from verel_site.kit.refusals import BadInput, Refusal, Unprocessable
from verel_site.kit.strict_json import escape_pointer

MAX_TEXT: Final = 200
VERDICTS: Final = ("pass", "warn", "fail")
FLAGS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}
CHUNK: Final = 50


class _Words(Func):
    """The JSON text in a plain envelope; nothing of an encrypted one."""

    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = (
            "CASE WHEN substr(%(expressions)s, 1, 1) = x'00'"
            " THEN CAST(substr(%(expressions)s, 2) AS TEXT) ELSE '' END"
        )
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = (
            "CASE WHEN get_byte(%(expressions)s, 0) = 0"
            " THEN convert_from(substring(%(expressions)s from 2), 'UTF8') ELSE '' END"
        )
        return self.as_sql(compiler, connection, template=template, **extra)


@dataclass(frozen=True)
class TripletFilter:
    """All that is set must hold. `reviewer` is the name of who merged; `since` and `until` bound
    the time of the merge, the end excluded; `text` stands in a message of any of the three parts.
    Nothing of this changes for a triplet, so that a filter means the same set later on."""

    run: UUID | None = None
    granularity: str = ""
    reviewer: str = ""
    verdict: str = ""
    bypassed: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    @classmethod
    def read(cls, given: Mapping[str, Any], *, pointer: str | None = None) -> "TripletFilter":
        """Raises Unprocessable with a pointer under `pointer`, or without that BadInput with the
        name of the query parameter."""
        values = {name: value for name, value in given.items() if value not in ("", None)}
        for name, value in values.items():
            if name not in FILTERS:
                raise _refuse(name, f"one of {', '.join(FILTERS)}", pointer, "A filter is")
            values[name] = _READERS[name](name, value, pointer)
        return cls(**values)

    @classmethod
    def ask(cls, given: Mapping[str, Any], *, pointer: str | None = None) -> "TripletFilter":
        """As `read`, for what somebody asks now: without `text` where it could not be found."""
        if given.get("text") and words_off():
            raise _refuse("text", WORDS_OFF, pointer, "A filter by text is")
        return cls.read(given, pointer=pointer)

    def as_json(self) -> dict[str, Any]:
        """What is set, as the text that `read` takes."""
        told = {name: getattr(self, name) for name in FILTERS}
        return {name: _json(value) for name, value in told.items() if value not in ("", None)}

    def narrow(self, rows: QuerySet[Triplet]) -> QuerySet[Triplet]:
        exact = {
            "run_id": self.run,
            "granularity": self.granularity,
            "merge__by_name": self.reviewer,
            "merge__admission__verdict": self.verdict,
            "merge__created_at__gte": self.since,
            "merge__created_at__lt": self.until,
        }
        rows = rows.filter(**{name: value for name, value in exact.items() if value})
        if self.bypassed is not None:
            past_gate = Q(merge__bypass_reason="")
            rows = rows.exclude(past_gate) if self.bypassed else rows.filter(past_gate)
        return self._with_text(rows) if self.text else rows

    def _with_text(self, rows: QuerySet[Triplet]) -> QuerySet[Triplet]:
        # The text as it stands inside JSON, where quotes and line breaks are escaped.
        sought = json.dumps(self.text, ensure_ascii=False)[1:-1]
        parts = ("prompt", "chosen", "rejected")
        rows = rows.annotate(**{f"{part}_words": _Words(F(part)) for part in parts})
        found = Q()
        for part in parts:
            found |= Q(**{f"{part}_words__icontains": sought})
        return rows.filter(found)


WORDS_OFF: Final = "off here: messages of triplets are encrypted, and are not looked through"


def words_off() -> bool:
    """Whether messages are encrypted, and so no filter finds their words."""
    return codec().encrypts


FILTERS: Final = tuple(field.name for field in fields(TripletFilter))


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _refuse(name: str, wanted: str, pointer: str | None, says: str = "") -> Refusal:
    text = f"{says or f'{name} takes'} {wanted}."
    if pointer is None:
        return BadInput(text, parameter=name)
    return Unprocessable(text, pointer=f"{pointer}/{escape_pointer(name)}")


def _read_run(name: str, value: Any, pointer: str | None) -> UUID:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise _refuse(name, "a UUID", pointer) from error


def _read_text(name: str, value: Any, pointer: str | None) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _refuse(name, f"a text of at most {MAX_TEXT} characters", pointer)
    return value


def _read_granularity(name: str, value: Any, pointer: str | None) -> str:
    return _read_choice(name, value, pointer, tuple(Granularity))


def _read_verdict(name: str, value: Any, pointer: str | None) -> str:
    return _read_choice(name, value, pointer, VERDICTS)


def _read_choice(name: str, value: Any, pointer: str | None, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise _refuse(name, f"one of {', '.join(known)}", pointer)
    return str(value)


def _read_flag(name: str, value: Any, pointer: str | None) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in FLAGS:
        raise _refuse(name, "true or false", pointer)
    return FLAGS[value]


def _read_since(name: str, value: Any, pointer: str | None) -> datetime:
    return _read_moment(name, value, pointer, timedelta())


def _read_until(name: str, value: Any, pointer: str | None) -> datetime:
    """A day is meant with all its hours."""
    return _read_moment(name, value, pointer, timedelta(days=1))


def _read_moment(name: str, value: Any, pointer: str | None, day: timedelta) -> datetime:
    wanted = "a day (2026-11-20), or a time with its offset"
    try:
        on = parse_date(value)
        if on is not None:
            return datetime.combine(on, time(), UTC) + day
        at = parse_datetime(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise _refuse(name, wanted, pointer) from error
    if at is None or not is_aware(at):
        raise _refuse(name, wanted, pointer)
    return at


_READERS: Final = {
    "run": _read_run,
    "granularity": _read_granularity,
    "reviewer": _read_text,
    "verdict": _read_verdict,
    "bypassed": _read_flag,
    "since": _read_since,
    "until": _read_until,
    "text": _read_text,
}


def filter_exportable(
    project: Project, wanted: TripletFilter, *, as_of: datetime
) -> QuerySet[Triplet]:
    """Those that may leave: past their undo window at `as_of`, and not withdrawn now."""
    return filter_left(project, wanted, as_of=as_of).filter(withdrawn_at=None)


def filter_left(project: Project, wanted: TripletFilter, *, as_of: datetime) -> QuerySet[Triplet]:
    """Those that had passed their undo window at `as_of`, whatever became of them."""
    rows = Triplet.objects.filter(project=project, merge__undo_until__lte=as_of)
    return wanted.narrow(rows)


def iter_chunks(rows: QuerySet[Triplet]) -> Iterator[list[Triplet]]:
    """The rows by number, CHUNK at a time and each time by a query of its own: nothing is held
    open or in memory for all of them."""
    after = 0
    while chunk := list(rows.filter(number__gt=after).order_by("number")[:CHUNK]):
        yield chunk
        after = chunk[-1].number
