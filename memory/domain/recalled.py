"""A record as recall needs it: what decides whether it enters a context, and nothing else."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from memory.domain.strength import Curves, curve_of
from memory.domain.terms import ItemType, Trust

SECONDS_A_DAY: Final = 86_400


class Recalled(NamedTuple):
    """The fields of a record by their names, in the order of `COLUMNS`. A question reads many, and a
    tuple is made in a fifth of a dataclass's time."""

    position: int
    record_id: UUID
    kind: str
    text: str
    scope: str
    key: str
    standing: str
    trust: str
    grounding: str
    source: str
    confidence: float
    item_type: str
    retrieval_count: int
    retrieved_at: datetime | None
    created_at: datetime

    def age_days(self, now: datetime) -> float:
        """Since it was last retrieved, or else made; a clock that ran backwards counts as no age."""
        since = self.retrieved_at or self.created_at
        return max(0.0, (now - since).total_seconds() / SECONDS_A_DAY)

    def strength(self, now: datetime, curves: Curves) -> float:
        curve = curve_of(ItemType(self.item_type), Trust(self.trust), curves)
        return curve.strength(self.age_days(now), self.retrieval_count)


COLUMNS: Final = Recalled._fields
