"""Queries with a name. Every one that answers a reader starts at what that reader may see."""

from typing import TYPE_CHECKING, Self

from django.db import models

from memory.domain.terms import Standing, Trust
from verel_site.access.querysets import Visible

if TYPE_CHECKING:
    from memory.consolidation_models import Candidate, Consolidation  # noqa: F401 -- bases name them
    from memory.models import Episode, Intention, PromotionRequest, Record  # noqa: F401 -- too


class RecordQuerySet(Visible["Record"]):
    def live(self) -> Self:
        """What speaks for itself, vouched for or not."""
        return self.filter(standing=Standing.LIVE.value)

    def recallable(self) -> Self:
        """What somebody vouches for besides: it may enter contexts, vectors and rented stores."""
        return self.live().exclude(trust=Trust.UNVERIFIED.value)


class RequestQuerySet(Visible["PromotionRequest"]):
    pass


class EpisodeQuerySet(Visible["Episode"]):
    pass


class IntentionQuerySet(Visible["Intention"]):
    pass


class ConsolidationQuerySet(Visible["Consolidation"]):
    pass


class CandidateQuerySet(models.QuerySet["Candidate"]):
    """Of a consolidation, and seen with it."""
