"""Merging what a reviewer preferred: the label names the sides, the gate lets it in."""

from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from branches.domain.terms import Granularity
from branches.merges import merge_branches
from branches.models import Branch, Merge
from verdicts.admission import admit_merge
from verdicts.models import Label
from verdicts.selectors import read_comparison
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.refusals import NotFound, Refusal


class NothingPreferred(Refusal):
    code = "nothing_preferred"
    title = "No side was judged better"


@transaction.atomic
def merge_preferred(
    *,
    comparison_id: UUID,
    actor: Actor,
    expected_heads: Mapping[UUID, bytes],
    note: str = "",
    granularity: Granularity = Granularity.DECISION,
    bypass_reason: str | None = None,
) -> Merge:
    """The branch that this reviewer's standing label prefers wins over the other one.

    Raises NothingPreferred before there is such a label, and what `admit_merge` and
    `merge_branches` raise. `expected_heads` are the digests that the reviewer looked at.
    """
    comparison = read_comparison(actor=actor, comparison_id=comparison_id)
    actor.demand(comparison.project_id, Right.MERGE)
    label = (
        Label.objects.standing()
        .filter(comparison=comparison, reviewer_id=actor.user_id, chosen__isnull=False)
        .first()
    )
    if label is None or label.chosen_id is None or label.rejected_id is None:
        raise NothingPreferred("Judge the two sides first; the better one can then be merged.")
    return merge_through_gate(
        winner_id=label.chosen_id,
        loser_ids=[label.rejected_id],
        actor=actor,
        expected_heads=expected_heads,
        note=note,
        granularity=granularity,
        bypass_reason=bypass_reason,
    )


@transaction.atomic
def merge_through_gate(
    *,
    winner_id: UUID,
    loser_ids: list[UUID],
    actor: Actor,
    expected_heads: Mapping[UUID, bytes] | None = None,
    note: str = "",
    granularity: Granularity = Granularity.DECISION,
    bypass_reason: str | None = None,
) -> Merge:
    """A merge with the gate's word on the winner as it is at this moment."""
    # All sides are locked, in the order of their ids, before the gate is read: a branch that grew
    # between the gate's word and the merge would be merged unseen.
    rows = Branch.objects.visible_to(actor).select_for_update(of=("self",))
    locked = {row.pk: row for row in rows.filter(pk__in=[winner_id, *loser_ids]).order_by("pk")}
    winner = locked.get(winner_id)
    if winner is None:
        raise NotFound(f"There is no branch {winner_id} that you may see.", pointer="/winner")
    actor.demand(winner.project_id, Right.MERGE)
    return merge_branches(
        winner_id=winner_id,
        loser_ids=loser_ids,
        actor=actor,
        admission=admit_merge(winner=winner, actor=actor, bypass_reason=bypass_reason),
        note=note,
        granularity=granularity,
        expected_heads=expected_heads,
    )
