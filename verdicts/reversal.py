"""Taking back what followed from a person's word: the merges that rest on it, and their triplets.

A merge rests on a judgement that it names, and on the correction that won it. When such a word is
reversed the merge is reverted as an act of its own, with the same reason: both sides are open
again, and triplets that had left are told back.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Q

from branches.merges import ReasonMissing, revert_merge
from branches.models import Branch, Merge
from verdicts.models import Comparison, Contest, Label
from verel_site.access.actors import Actor
from verel_site.access.rights import Right


def merges_on_label(label: Label) -> list[Merge]:
    """Standing merges that name this judgement, that its correction has won, or of a contest of which
    its pair was a round."""
    wanted = Q(pk__in=[])
    if label.chosen_id:
        wanted |= Q(winner=label.chosen_id, losers__branch=label.rejected_id)
    if label.correction_id:
        wanted |= Q(winner=label.correction_id)
    found = Merge.objects.filter(wanted, project_id=label.project_id, reverted_at=None)
    named = [
        merge
        for merge in found.distinct().order_by("created_at")
        if merge.winner_id == label.correction_id or _names(merge, label)
    ]
    return list(dict.fromkeys([*named, *merges_on_round(label.comparison)]))


def merges_on_round(pair: Comparison) -> list[Merge]:
    """Standing merges of contests in which this pair was a round, or could have been one."""
    contests = Contest.objects.filter(run_id=pair.run_id, merge__reverted_at=None)
    both = contests.filter(contenders__branch=pair.first_id).filter(
        contenders__branch=pair.second_id
    )
    found = both.filter(merge__isnull=False).select_related("merge")
    return [contest.merge for contest in found if contest.merge is not None]


def _names(merge: Merge, label: Label) -> bool:
    for told in merge.admission.get("judgements", ()):
        # Merges of older releases name a judgement by its time alone.
        if told.get("label", "") == str(label.pk) or (
            "label" not in told and told.get("at") == label.created_at.isoformat()
        ):
            return True
    return False


def merges_on_word(decision_id: UUID, winner: UUID) -> list[Merge]:
    """Standing merges that name an adjudicator's word."""
    found = Merge.objects.filter(winner_id=winner, reverted_at=None)
    return [
        merge
        for merge in found.order_by("created_at")
        if any(
            told.get("decision") == str(decision_id)
            for told in merge.admission.get("judgements", ())
        )
    ]


def revert_resting(
    *, merges: Sequence[Merge], also: Sequence[UUID] = (), actor: Actor, reason: str
) -> None:
    """Reverts them all, or raises with nothing done: ReasonMissing without a reason. `also` are
    branches that the caller will move next. Call it first of all in the transaction."""
    involved = {merge.winner_id for merge in merges} | set(also)
    for merge in merges:
        actor.demand(merge.project_id, Right.MERGE)
        involved |= set(merge.losers.values_list("branch_id", flat=True))
    if merges and not reason.strip():
        raise ReasonMissing("A merge rests on it: say why both are taken back.", pointer="/reason")
    # All at once and in the order of ids, before anything locks the project.
    list(Branch.objects.filter(pk__in=involved).order_by("pk").select_for_update(no_key=True))
    for merge in merges:
        revert_merge(merge_id=merge.pk, actor=actor, reason=reason)
