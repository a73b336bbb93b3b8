"""Reading `after` and `limit` of a list, and building its `next` cursor."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from verel_site.kit.refusals import BadInput

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def read_int(query: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    raw = query.get(name, "")
    if raw == "":
        return default
    try:
        value = int(raw) if len(raw) < 20 else high + 1
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise BadInput(f"{name} takes a whole number from {low} to {high}.", parameter=name)
    return value


def read_page(query: Mapping[str, str], *, default: int = DEFAULT_LIMIT) -> tuple[int, int]:
    """`(after, limit)`; both are checked, and a limit above the highest is refused."""
    after = read_int(query, "after", 0, low=0, high=2**62)
    return after, read_int(query, "limit", default, low=1, high=MAX_LIMIT)


def moment_cursor(moment: datetime, key: UUID) -> str:
    """The place behind a row of a list by time; two rows of one instant are told apart by id."""
    return f"{(moment - EPOCH) // MICROSECOND}-{key.hex}"


def read_moment_cursor(cursor: str) -> tuple[datetime, UUID]:
    """What `moment_cursor` made; raises BadInput for anything else."""
    count, _, hexadecimal = cursor.partition("-")
    try:
        return EPOCH + int(count[:20]) * MICROSECOND, UUID(hexadecimal)
    except (ValueError, OverflowError) as error:
        raise BadInput("after is the next of an earlier answer.", parameter="after") from error
