"""Merging what a reviewer preferred, or wrote instead: the label names the sides, the gate lets it in."""

from collections.abc import Mapping
from typing import TypedDict, Unpack
from uuid import UUID

from django.db import transaction

from branches.domain.terms import Granularity
from branches.models import Merge
from verdicts.disagreements import standing_words
from verdicts.gated_merges import merge_through_gate
from verdicts.models import Comparison, Label
from verdicts.selectors import read_comparison
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.refusals import Refusal


class NothingPreferred(Refusal):
    code = "nothing_preferred"
    title = "No side was judged better"


class NothingToMerge(Refusal):
    code = "nothing_corrected"
    title = "There is no correction of yours"


class Asked(TypedDict, total=False):
    """How to merge, as `merge_through_gate` takes it."""

    note: str
    granularity: Granularity
    bypass_reason: str | None


@transaction.atomic
def merge_preferred(
    *,
    comparison_id: UUID,
    actor: Actor,
    expected_heads: Mapping[UUID, bytes],
    **asked: Unpack[Asked],
) -> Merge:
    """The branch that this reviewer's standing label prefers wins over the other one; where an
    adjudicator's word stands, the one that it chose.

    Raises NothingPreferred before there is such a label, and what
    `merge_through_gate` raises. `expected_heads` are the digests that the reviewer looked at.
    """
    comparison = _read_to_merge(comparison_id, actor)
    preferred = _read_preferred(comparison, actor)
    if preferred is None:
        raise NothingPreferred("Judge the two sides first; the better one can then be merged.")
    winner, loser = preferred
    return merge_through_gate(
        winner_id=winner, loser_ids=[loser], actor=actor, expected_heads=expected_heads, **asked
    )


@transaction.atomic
def merge_correction(
    *,
    comparison_id: UUID,
    actor: Actor,
    expected_heads: Mapping[UUID, bytes],
    **asked: Unpack[Asked],
) -> Merge:
    """The branch that this reviewer's correction became wins over both sides. `expected_heads` are
    those of the sides; the correction is the reviewer's own, and must not have grown since."""
    comparison = _read_to_merge(comparison_id, actor)
    label = _standing_label(comparison, actor)
    if label is None or label.correction is None:
        raise NothingToMerge("Write what the agent should have said, with your judgement.")
    correction = label.correction
    return merge_through_gate(
        winner_id=correction.pk,
        loser_ids=[comparison.first_id, comparison.second_id],
        actor=actor,
        expected_heads={**expected_heads, correction.pk: bytes(correction.head_digest)},
        **asked,
    )


def _read_to_merge(comparison_id: UUID, actor: Actor) -> Comparison:
    comparison = read_comparison(actor=actor, comparison_id=comparison_id)
    actor.demand(comparison.project_id, Right.MERGE)
    return comparison


def _standing_label(comparison: Comparison, actor: Actor) -> Label | None:
    mine = Label.objects.standing().filter(comparison=comparison, reviewer_id=actor.user_id)
    return mine.select_related("correction").first()


def _read_preferred(comparison: Comparison, actor: Actor) -> tuple[UUID, UUID] | None:
    """What an adjudicator chose, whoever merges it; else what this reviewer did."""
    word = standing_words([comparison.pk]).get(comparison.pk)
    if word is not None:
        return (word.chosen, word.rejected) if word.chosen and word.rejected else None
    label = _standing_label(comparison, actor)
    if label is None or label.chosen_id is None or label.rejected_id is None:
        return None
    return label.chosen_id, label.rejected_id
