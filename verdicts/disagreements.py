"""Reviewers who disagree about a pair: found at every label, and put before somebody else."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from verdicts.models import Comparison, Label
from verdicts.pairs import COMPARISON
from verel_site.inbox.items import OPEN, close_item, post_item
from verel_site.inbox.models import Decision, Item

ADJUDICATION: Final = "adjudication"


@dataclass(frozen=True, slots=True)
class Word:
    """What an adjudicator decided of a pair, as it stands: the branch, or `answer` says that neither
    side won. It is `answer` as the adjudicator saw the sides, else."""

    decision: UUID
    pair: UUID
    chosen: UUID | None
    rejected: UUID | None
    answer: str
    reviewer_id: int
    name: str
    reason: str
    at: datetime


def standing_words(pairs: Collection[UUID]) -> Mapping[UUID, Word]:
    """One query; of a pair that was adjudicated anew the latest word."""
    rows = Decision.objects.filter(
        item__kind=ADJUDICATION, item__subject__in=list(pairs), undone_at=None
    ).select_related("item", "reviewer")
    words = {}
    for row in rows.order_by("created_at", "pk"):
        chosen, rejected = row.result.get("chosen"), row.result.get("rejected")
        words[row.item.subject] = Word(
            decision=row.pk,
            pair=row.item.subject,
            chosen=UUID(chosen) if chosen else None,
            rejected=UUID(rejected) if rejected else None,
            answer=row.answer,
            reviewer_id=row.reviewer_id,
            name=row.reviewer.get_full_name() or row.reviewer.get_username(),
            reason=row.reason,
            at=row.created_at,
        )
    return words


def outcome_of(label: Label) -> UUID | str:
    return label.chosen_id or label.choice


def standing_labels(comparison_id: UUID) -> list[Label]:
    rows = Label.objects.standing().filter(comparison_id=comparison_id)
    return list(rows.select_related("reviewer").order_by("created_at", "pk"))


@transaction.atomic
def post_disagreement(comparison: Comparison) -> None:
    """Asks for a judge where the labels that stand differ, and for none any more where they agree.

    While a reviewer is still asked nobody is: who may yet judge must not be shown what others said.
    An adjudicator's word closes it, whoever judges the pair afterwards.
    """
    labels = standing_labels(comparison.pk)
    differ = len({outcome_of(label) for label in labels}) > 1
    asked = Item.objects.filter(
        project_id=comparison.project_id, kind=COMPARISON, subject=comparison.pk, state=OPEN
    ).exists()
    if not differ or asked:
        close_item(
            project_id=comparison.project_id,
            kind=ADJUDICATION,
            subject_id=comparison.pk,
            because="A reviewer is asked once more." if differ else "The reviewers agree by now.",
        )
        return
    if comparison.pk in standing_words([comparison.pk]):
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
