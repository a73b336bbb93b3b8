"""Which runs of a probe count, read from the project's rows for `domain.flakiness`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import batched
from typing import Final
from uuid import UUID

from django.db.models import Max

from verdicts.admission import read_owing
from verdicts.domain.facts import ReceiptStanding
from verdicts.domain.flakiness import Counting
from verdicts.domain.ledger import Turn
from verdicts.failure_models import FailureEntry
from verdicts.models import Issue, Policy, Report

AT_ONCE: Final = 400


def read_counting(
    *, policy: Policy, fingerprints: Collection[str], reports: Sequence[Report]
) -> Counting:
    """What bears on these failures and these reports of one branch; nothing is read where no
    failure is named."""
    if not fingerprints:
        return Counting()
    lifted: dict[str, datetime] = {}
    proven: set[str] = set()
    for some in batched(sorted(fingerprints), AT_ONCE):
        lifted |= _read_lifts(policy.project_id, some)
        found = Issue.objects.filter(
            fingerprint__in=some,
            report__project=policy.project_id,
            report__receipt_standing=ReceiptStanding.VALID.value,
        )
        proven |= set(found.values_list("fingerprint", flat=True).distinct())
    return Counting(
        owing=read_owing(policy),
        proven=frozenset(proven),
        since={
            key: max((one.order for one in reports if one.received_at <= at), default=0)
            for key, at in lifted.items()
        },
    )


def _read_lifts(project_id: UUID, fingerprints: Collection[str]) -> dict[str, datetime]:
    """When a person lifted the last quarantine of each."""
    rows = FailureEntry.objects.filter(
        failure__project=project_id,
        failure__fingerprint__in=fingerprints,
        turn=Turn.LIFTED.value,
    )
    return dict(rows.values_list("failure__fingerprint").annotate(last=Max("at")))
