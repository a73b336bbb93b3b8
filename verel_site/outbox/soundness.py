"""Whether the outbox owes each thing once, and says of none that it left without saying when."""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from django.db.models import Count, Q

from verel_site.kit.faults import Fault
from verel_site.kit.snapshots import one_moment
from verel_site.outbox.models import Promise


def find_faults(*, project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    rows = Promise.objects.filter(project_id=project_id)
    with one_moment():
        counts["promises"] += rows.count()
        owed = rows.order_by().values_list("kind", "subject", "destination")
        for kind, subject, destination, count in owed.annotate(n=Count("pk")).filter(n__gt=1):
            yield Fault(
                "doubled",
                f"promise of {kind} {subject}",
                f"the outbox owes it to {destination} {count} times",
            )
        sent = Q(state=Promise.State.SENT)
        for promise in rows.filter((sent & Q(sent_at=None)) | (~sent & ~Q(sent_at=None))):
            yield Fault(
                "changed", f"promise {promise.pk}", "its state and its time of leaving disagree"
            )
