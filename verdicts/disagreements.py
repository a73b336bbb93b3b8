"""Reviewers who disagree about a pair: found at every label, and put before somebody else."""

import hashlib
from typing import Final
from uuid import UUID

from django.db import transaction

from verdicts.models import Comparison, Label
from verel_site.inbox.items import close_item, post_item

ADJUDICATION: Final = "adjudication"


def outcome_of(label: Label) -> UUID | str:
    return label.chosen_id or label.choice


def standing_labels(comparison_id: UUID) -> list[Label]:
    rows = Label.objects.standing().filter(comparison_id=comparison_id)
    return list(rows.select_related("reviewer").order_by("created_at", "pk"))


@transaction.atomic
def post_disagreement(comparison: Comparison) -> None:
    """Asks for a judge where the labels that stand differ, and for none any more where they agree."""
    labels = standing_labels(comparison.pk)
    if len({outcome_of(label) for label in labels}) < 2:
        close_item(
            project_id=comparison.project_id,
            kind=ADJUDICATION,
            subject_id=comparison.pk,
            because="The reviewers agree by now.",
        )
        return
    ids = ",".join(sorted(str(label.pk) for label in labels))
    names = [label.reviewer.get_full_name() or label.reviewer.get_username() for label in labels]
    post_item(
        project_id=comparison.project_id,
        kind=ADJUDICATION,
        subject_id=comparison.pk,
        subject_digest=hashlib.sha256(ids.encode()).digest(),
        title=comparison.run.goal,
        # Who chose what is told with the sides that the judge sees, not before.
        about=f"{' and '.join(names[:3])} chose differently",
        barred=[label.reviewer_id for label in labels],
    )
