"""A merge as people and API clients ask for one: the gate is read and the merge made, as one act."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import transaction

from branches.domain.terms import Granularity
from branches.merges import merge_branches
from branches.models import Branch, Merge
from verdicts.admission import admit_merge
from verdicts.separation import check_separation
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.refusals import NotFound, Unprocessable


class HeadsMissing(Unprocessable):
    code = "heads_missing"
    title = "A merge names the heads that were looked at"


@transaction.atomic
def merge_through_gate(
    *,
    winner_id: UUID,
    loser_ids: Sequence[UUID],
    actor: Actor,
    expected_heads: Mapping[UUID, bytes],
    note: str = "",
    granularity: Granularity = Granularity.DECISION,
    bypass_reason: str | None = None,
) -> Merge:
    """Admits the winner's head as it is under lock, and merges. Raises what both raise,
    SecondPersonNeeded, and HeadsMissing where `expected_heads` leaves out one of the branches.

    A merge that is refused leaves nothing behind, no decision of the gate either.
    """
    rows = Branch.objects.visible_to(actor).select_for_update(of=("self",), no_key=True)
    # All at once and in the order of ids: the winner alone, locked first, could deadlock with a
    # merge in which it loses.
    locked = rows.filter(pk__in=[winner_id, *loser_ids]).order_by("pk")
    winner = next((branch for branch in locked if branch.pk == winner_id), None)
    if winner is None:
        raise NotFound(f"There is no branch {winner_id} that you may see.", pointer="/winner")
    actor.demand(winner.project_id, Right.MERGE)
    losers = [branch for branch in locked if branch.pk != winner_id]
    check_separation(winner=winner, losers=losers, actor=actor)
    admission = admit_merge(winner=winner, actor=actor, bypass_reason=bypass_reason)
    merge = merge_branches(
        winner_id=winner_id,
        loser_ids=loser_ids,
        actor=actor,
        admission=admission,
        note=note,
        granularity=granularity,
        expected_heads=expected_heads,
    )
    # Checked last, so that every other fault is named first; raising takes the merge back.
    if not expected_heads.keys() >= {winner_id, *loser_ids}:
        raise HeadsMissing(
            "Give the digest of each branch's head as you saw it.", pointer="/expected_heads"
        )
    return merge
