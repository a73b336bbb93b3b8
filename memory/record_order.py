"""In which order records are listed, and the cursor that goes on behind the last one shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from memory.models import Record
from memory.querysets import RecordQuerySet
from verel_site.kit.cursors import EPOCH, MICROSECOND, read_int
from verel_site.kit.refusals import BadInput

# A column of the table, and the field behind it. Strength is computed at the moment of looking, and
# so nothing can be sorted by it.
COLUMNS: Final = {"confidence": "confidence", "support": "support_count", "used": "retrieved_at"}
BEST: Final = "best"
NEWEST: Final = "newest"
OLDEST: Final = "oldest"
_LARGEST: Final = 2**62


@dataclass(frozen=True, slots=True)
class Order:
    """`by` is best, newest, oldest, or one of COLUMNS; of a column `rising` begins with the least."""

    by: str
    rising: bool = False

    @property
    def name(self) -> str:
        """As an address has it."""
        return f"-{self.by}" if self.rising else self.by


def read_order(said: str, *, searching: bool) -> Order:
    """What a search finds is listed the best first, and anything else the newest, unless the reader
    wants otherwise. Raises BadInput."""
    usual = Order(BEST if searching else NEWEST)
    order = Order(said.removeprefix("-"), said.startswith("-")) if said else usual
    known = order.by in COLUMNS or said in (NEWEST, OLDEST) or (said == BEST and searching)
    if said and not known:
        told = ", ".join((NEWEST, OLDEST, *COLUMNS))
        raise BadInput(f"sort is one of {told}; -{order.by} is the other way.", parameter="sort")
    return order


def read_cursor(order: Order, said: str) -> str:
    """The cursor, checked: a column's has a value and a number. Raises BadInput."""
    if not said:
        return ""
    value, _, number = said.rpartition("~")
    if order.by in COLUMNS:
        _value(order, value)
    read_int({"older": number}, "older", 0, low=0, high=_LARGEST)
    return said


def take(
    rows: RecordQuerySet, order: Order, cursor: str, *, ranked: Sequence[int] = (), limit: int
) -> list[Record]:
    """The next `limit` rows behind the cursor; `ranked` are the positions of a search."""
    if order.by == BEST:
        return _take_ranked(rows, cursor, ranked, limit)
    if order.by in (NEWEST, OLDEST):
        return _take_numbered(rows, order, cursor, limit)
    rising, field = order.rising, COLUMNS[order.by]
    rows = rows.alias(at=Coalesce(field, Value(EPOCH)) if order.by == "used" else F(field))
    if cursor:
        value, _, number = cursor.rpartition("~")
        there = _value(order, value)
        beyond = Q(at__gt=there) if rising else Q(at__lt=there)
        rows = rows.filter(beyond | Q(at=there, number__lt=int(number)))
    return list(rows.order_by("at" if rising else "-at", "-number")[:limit])


def cursor_of(order: Order, row: Record) -> str:
    if order.by == BEST:
        return str(row.position)
    if order.by in (NEWEST, OLDEST):
        return str(row.number)
    value: Any = getattr(row, COLUMNS[order.by])
    if order.by == "used":
        value = ((value or EPOCH) - EPOCH) // MICROSECOND
    return f"{value}~{row.number}"


def _take_ranked(
    rows: RecordQuerySet, cursor: str, ranked: Sequence[int], limit: int
) -> list[Record]:
    kept = set(rows.values_list("position", flat=True))
    places = [position for position in ranked if position in kept]
    last = int(cursor) if cursor else 0
    begin = places.index(last) + 1 if last in kept else 0
    wanted = places[begin : begin + limit]
    found = {row.position: row for row in rows.filter(position__in=wanted)}
    return [found[position] for position in wanted if position in found]


def _take_numbered(rows: RecordQuerySet, order: Order, cursor: str, limit: int) -> list[Record]:
    rising = order.by == OLDEST
    if cursor:
        number = int(cursor)
        rows = rows.filter(number__gt=number) if rising else rows.filter(number__lt=number)
    return list(rows.order_by("number" if rising else "-number")[:limit])


def _value(order: Order, said: str) -> float | datetime:
    try:
        told = float(said) if order.by == "confidence" else int(said[:20])
        if not abs(told) <= _LARGEST:
            raise ValueError
        return EPOCH + int(told) * MICROSECOND if order.by == "used" else told
    except (ValueError, OverflowError) as error:
        raise BadInput("older is a place of an earlier page.", parameter="older") from error
