"""Separation of duties: who wrote an override may not alone approve its merge."""

from collections.abc import Sequence

from django.db.models import Q

from branches.models import Branch
from branches.selectors.lineage import read_lineage
from verdicts.disagreements import standing_words
from verdicts.models import Comparison, Label
from verel_site.access.actors import Actor
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import Refusal


class SecondPersonNeeded(Refusal):
    code = "second_person_needed"
    title = "A second person has to agree"


def check_separation(*, winner: Branch, losers: Sequence[Branch], actor: Actor) -> None:
    """Raises SecondPersonNeeded where the project separates duties, the actor made a fork that led
    to the winner and not to every loser, and nobody else has judged the winner the better one."""
    if not winner.project.separate_duties or actor.kind == "system":
        return
    if _led_there(winner, losers, actor) and not _judged_by_another(winner, actor):
        raise SecondPersonNeeded(
            f"You forked what became {winner.label}, and this project wants two people for that: "
            "somebody else merges it, or first judges it the better one."
        )


def _led_there(winner: Branch, losers: Sequence[Branch], actor: Actor) -> bool:
    # What all of them come from is not what is being decided.
    others = [{segment.branch for segment in read_lineage(loser)} for loser in losers]
    shared = set.intersection(*others) if others else set()
    own = {segment.branch for segment in read_lineage(winner)} - shared
    made = AuditEntry.objects.filter(
        project_id=winner.project_id,
        action="branch.fork",
        subject__in=[f"branch:{branch}" for branch in own],
        actor_kind=actor.kind,
        actor_id=actor.id,
    )
    return made.exists()


def _judged_by_another(winner: Branch, actor: Actor) -> bool:
    # Of the head as it is: what came after the judgement has been judged by nobody.
    head = bytes(winner.head_digest)
    seen = Q(comparison__first=winner, comparison__first_digest=head) | Q(
        comparison__second=winner, comparison__second_digest=head
    )
    labels = Label.objects.standing().filter(seen, chosen=winner)
    if labels.exclude(reviewer_id=actor.user_id).exists():
        return True
    pairs = Comparison.objects.filter(
        Q(first=winner, first_digest=head) | Q(second=winner, second_digest=head)
    )
    words = standing_words(list(pairs.values_list("pk", flat=True))).values()
    return any(w.chosen == winner.pk and w.reviewer_id != actor.user_id for w in words)
