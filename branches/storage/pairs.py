"""The one door to what a triplet's row keeps sealed: its prompt, both answers, and the tools.

Each column is an envelope (see `branches.storage.codec`), and under encryption opens in the row,
the column and the merge it was written for alone. It is not compressed: a filter by words reads
the column where it is not encrypted.
"""

import json
from typing import Any, Final, Literal

from branches.models import Triplet
from branches.storage.codec import Unreadable, bind, codec
from verel_site.kit.refusals import Refusal

type Column = Literal["prompt", "chosen", "rejected", "tools"]

COLUMNS: Final[tuple[Column, ...]] = ("prompt", "chosen", "rejected", "tools")
_LABEL: Final = b"verel.triplet/1"


class UnreadableTriplet(Refusal):
    """A stored triplet cannot be opened: a fault of the store, told with the row's name."""

    code = "unreadable_triplet"
    title = "A stored triplet cannot be read"


def seal_column(triplet: Triplet, column: Column, plain: bytes) -> bytes:
    """The envelope for a column of this row, whose ids are settled."""
    return codec().seal(plain, _bound(triplet, column), compressible=False)


def column_bytes(triplet: Triplet, column: Column) -> bytes:
    """The column's compact JSON as it was written; raises UnreadableTriplet."""
    try:
        return codec().open(getattr(triplet, column), _bound(triplet, column))
    except Unreadable as error:
        raise UnreadableTriplet(
            f"The {column} of triplet {triplet.number} ({triplet.pk}): {error}.",
            triplet=str(triplet.pk),
        ) from error


def column_json(triplet: Triplet, column: Column) -> list[Any]:
    """The column's messages, or its tools; raises UnreadableTriplet."""
    told: list[Any] = json.loads(column_bytes(triplet, column))
    return told


def _bound(triplet: Triplet, column: Column) -> bytes:
    return bind(
        _LABEL,
        triplet.pk.bytes,
        triplet.project_id.bytes,
        triplet.merge_id.bytes,
        triplet.chosen_branch_id.bytes,
        triplet.rejected_branch_id.bytes,
        column.encode(),
    )
