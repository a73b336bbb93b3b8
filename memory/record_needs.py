"""What a curator looks for: records that are asked about, spoken against, without a source, or that
nobody used for long."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Q
from django.db.models.functions import Coalesce

from memory.domain.terms import RequestState, Standing
from memory.models import PromotionRequest
from memory.querysets import RecordQuerySet
from verel_site.kit.refusals import BadInput

UNUSED_DAYS: Final = 30
NEEDS: Final = {
    "decision": "Asked about",
    "contradicted": "Spoken against",
    "source": "Without a source",
    "unused": f"Unused for {UNUSED_DAYS} d",
}


def read_need(said: str) -> str:
    """Raises BadInput for a word that stands for nothing."""
    if said and said not in NEEDS:
        raise BadInput(f"needs is one of {', '.join(NEEDS)}.", parameter="needs")
    return said


def narrow_to(rows: RecordQuerySet, need: str, now: datetime) -> RecordQuerySet:
    return _with_use(rows).filter(_meaning(now)[need]) if need else rows


def count_needs(rows: RecordQuerySet, now: datetime) -> dict[str, int]:
    """How many of the rows need each look; one query."""
    told = {need: Count("pk", filter=meaning) for need, meaning in _meaning(now).items()}
    counted: dict[str, int] = _with_use(rows).aggregate(**told)
    return counted


def _with_use(rows: RecordQuerySet) -> RecordQuerySet:
    return rows.alias(used=Coalesce("retrieved_at", "created_at"))


def _meaning(now: datetime) -> dict[str, Q]:
    asked = PromotionRequest.objects.filter(state=RequestState.OPEN.value).values("record")
    live = Q(standing=Standing.LIVE.value)
    return {
        "decision": Q(pk__in=asked),
        "contradicted": Q(contradiction_count__gt=0) & live,
        "source": Q(support_count=0) & live,
        "unused": Q(used__lt=now - timedelta(days=UNUSED_DAYS)) & live,
    }
