"""Adjudication: reviewers disagree about a pair, and one who has not judged it decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from verdicts.comparisons import MAX_TEXT, BadLabel, draw_sides
from verdicts.contests import follow_contests
from verdicts.disagreements import ADJUDICATION, outcome_of, standing_labels
from verdicts.domain.labels import Choice, pick_sides
from verdicts.models import Comparison
from verdicts.reversal import merges_on_round, merges_on_word, revert_resting
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.inbox.decisions import record_decision, take_back
from verel_site.inbox.models import Decision
from verel_site.kit import strict_json
from verel_site.kit.refusals import NotFound


@dataclass(frozen=True, slots=True)
class Voice:
    """What one reviewer said, in terms of the sides as the reader sees them."""

    name: str
    said: str
    rationale: str


def read_disagreement(*, comparison_id: UUID, actor: Actor) -> list[Voice]:
    """Both (or all) rationales; empty where the labels agree by now."""
    labels = standing_labels(comparison_id)
    if len({outcome_of(label) for label in labels}) < 2:
        return []
    sides = draw_sides(comparison_id=comparison_id, reviewer=actor)
    words = {sides.left.branch.pk: "A is better", sides.right.branch.pk: "B is better"}
    neutral = {Choice.EQUAL.value: "Equal", Choice.BOTH_BAD.value: "Both bad"}
    return [
        Voice(
            name=label.reviewer.get_full_name() or label.reviewer.get_username(),
            said=words[label.chosen_id] if label.chosen_id else neutral[label.choice],
            rationale=label.rationale,
        )
        for label in labels
    ]


@transaction.atomic
def adjudicate(
    *, comparison_id: UUID, actor: Actor, choice: str, rationale: object = "", claim: UUID | None
) -> Mapping[str, Any]:
    """The judge's word. The labels stay as they are; the audit log holds which branch it favours."""
    comparison = Comparison.objects.visible_to(actor).filter(pk=comparison_id).first()
    if comparison is None:
        raise NotFound(f"There is no comparison {comparison_id} that you may see.")
    actor.demand(comparison.project_id, Right.LABEL)
    if not isinstance(rationale, str) or len(rationale) > MAX_TEXT:
        raise BadLabel(f"rationale has at most {MAX_TEXT:,} characters.", pointer="/rationale")
    strict_json.check(rationale, at="/rationale")
    sides = draw_sides(comparison_id=comparison_id, reviewer=actor)
    won = pick_sides(Choice(choice), left=sides.left.branch, right=sides.right.branch)
    result = {"chosen": str(won[0].pk), "rejected": str(won[1].pk)} if won else {}
    record_act(
        project_id=comparison.project_id,
        actor=actor,
        action="comparison.adjudicate",
        subject=f"comparison:{comparison.pk}",
        after={"choice": choice, **result},
        reason=rationale.strip(),
    )
    record_decision(
        project_id=comparison.project_id,
        kind=ADJUDICATION,
        subject_id=comparison.pk,
        actor=actor,
        answer=choice,
        result=result,
        reason=rationale,
        claim=claim,
    )
    follow_contests(comparison)
    return result


@transaction.atomic
def reverse_adjudication(*, decision: Decision, actor: Actor, reason: str) -> None:
    """The word stands no more, and what followed from it is taken back: merges that rest on it
    (ReasonMissing without a reason), and the next rounds of a contest."""
    chosen = decision.result.get("chosen")
    resting = merges_on_word(decision.pk, UUID(chosen)) if chosen else []
    comparison = Comparison.objects.get(pk=decision.item.subject)
    resting += merges_on_round(comparison)
    revert_resting(merges=list(dict.fromkeys(resting)), actor=actor, reason=reason)
    # Before the item's row, which is locked next.
    lock_project(project_id=decision.project_id)
    take_back(decision, actor, reason)
    follow_contests(comparison)
