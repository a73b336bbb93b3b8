"""Corrected outputs: what a reviewer would have had the agent say, as a branch of its own.

The branch forks where the corrected side's final answer was given, and has the reviewer's text in
its place: the prompt up to there is shared byte for byte, so that a merge of the correction over
what it corrects gives a preference pair of two answers to one prompt. While others are still asked
about the pair the text waits on the label: who has not judged must not find a peer's answer.
"""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from branches.domain import terms
from branches.domain.alignment import Step, final_step
from branches.domain.events import StoredEvent
from branches.domain.terms import ENDED, Status
from branches.forks import fork_branch
from branches.journal import server_draft, write_events
from branches.models import Branch
from branches.selectors.compare import Cut, read_parting
from branches.selectors.lineage import iter_lineage
from branches.steering import abandon_branch, complete_branch
from verdicts.models import Comparison, Label
from verdicts.pairs import COMPARISON
from verel_site.access.actors import Actor
from verel_site.access.projects import actor_of_user, lock_project
from verel_site.audit.ledger import record_act
from verel_site.inbox.items import OPEN
from verel_site.inbox.models import Item
from verel_site.kit.refusals import Refusal, Unprocessable

NAME = "correction of "


class NothingCorrected(Unprocessable):
    code = "nothing_corrected"
    title = "The correction says what the side says already"


def check_correction(*, comparison: Comparison, side: Branch, text: str) -> None:
    """Raises NothingCorrected where there is nothing that the text could stand in place of."""
    step = _final_step(comparison, side)
    if step is not None and step.text.strip() == text.strip():
        raise NothingCorrected("Change it, or leave it out.", pointer="/corrected")
    _place(side, _seq(comparison, side), step.event if step is not None else None)


@transaction.atomic
def make_corrections(comparison: Comparison) -> int:
    """The branches of all corrections of the pair that have none yet, each as its reviewer's own act;
    says how many. None are made while somebody is still asked: a branch would tell what a peer
    thinks. Call it with no item locked, or with the project locked already."""
    lock_project(project_id=comparison.project_id)
    asked = Item.objects.filter(
        project_id=comparison.project_id, kind=COMPARISON, subject=comparison.pk, state=OPEN
    )
    if asked.exists():
        return 0
    owed = _owed().filter(comparison=comparison).select_related("reviewer", "corrected_side")
    labels = list(owed.order_by("created_at", "pk"))
    for label in labels:
        try:
            with transaction.atomic():
                _make(comparison, label)
        except Refusal:
            # Its reviewer may fork no more, say. The text stays on the label.
            Label.objects.filter(pk=label.pk).update(corrected_side=None)
    return len(labels)


def _owed() -> QuerySet[Label]:
    return Label.objects.standing().filter(corrected_side__isnull=False, correction=None)


def make_waiting_corrections(limit: int) -> int:
    """Those of pairs that ceased to be asked about without a last label; see `make_corrections`."""
    asked = Item.objects.filter(kind=COMPARISON, subject=OuterRef("comparison_id"), state=OPEN)
    waiting = _owed().filter(~Exists(asked)).select_related("comparison").order_by("created_at")
    pairs = {label.comparison_id: label.comparison for label in waiting[:limit]}
    return sum(make_corrections(pair) for pair in pairs.values())


def _make(comparison: Comparison, label: Label) -> None:
    """A finished branch that ends with the text in place of the side's final answer; where it gave
    none, after its last event. No worker is offered it, and nothing leaves for an agent."""
    side, actor = label.corrected_side, actor_of_user(label.reviewer)
    assert side is not None
    step = _final_step(comparison, side)
    final = step.event if step is not None else None
    parent, seq = _place(side, _seq(comparison, side), final)
    note = f"Corrected output of {side.label}, written in a judgement"
    branch = fork_branch(
        parent_id=parent,
        fork_seq=seq,
        actor=actor,
        note=note,
        name=f"{NAME}{side.label}"[:120],
        claimable=False,
    ).branch
    payload: dict[str, Any] = {
        "content": label.corrected,
        "by": actor.as_json(),
        "label": str(label.pk),
        "corrects": {
            "branch": str(side.pk),
            "event": str(final.event_id) if final is not None else None,
        },
    }
    write_events(branch=branch, drafts=[server_draft(terms.ASSISTANT, payload)])
    branch = complete_branch(branch_id=branch.pk, actor=actor, reason=note)
    Label.objects.filter(pk=label.pk).update(correction=branch)
    record_act(
        project_id=label.project_id,
        actor=actor,
        action="comparison.correct",
        subject=f"comparison:{comparison.pk}",
        digest=bytes(branch.head_digest),
        after={"label": str(label.pk), "branch": str(branch.pk), "of": str(side.pk)},
    )


def _seq(comparison: Comparison, side: Branch) -> int:
    """Where the side ended when it was judged."""
    return comparison.first_seq if side.pk == comparison.first_id else comparison.second_seq


def _final_step(comparison: Comparison, side: Branch) -> Step | None:
    other = comparison.second if side.pk == comparison.first_id else comparison.first
    cuts = [Cut(branch, _seq(comparison, branch)) for branch in (side, other)]
    parting = read_parting(*cuts)
    events = iter_lineage(side, upto=cuts[0].upto, after_step=parting.point.step)
    return final_step(events)


def _place(side: Branch, head_seq: int, final: StoredEvent | None) -> tuple[UUID, int]:
    """The last event before the answer: of its own branch, or of the one that it forked from."""
    branch_id, seq = (side.pk, head_seq) if final is None else (final.branch, final.seq - 1)
    while not seq:
        branch = side if branch_id == side.pk else Branch.objects.get(pk=branch_id)
        if branch.parent_id is None or branch.fork_seq is None:
            raise NothingCorrected("Nothing comes before its answer.", pointer="/corrected")
        branch_id, seq = branch.parent_id, branch.fork_seq
    return branch_id, seq


def drop_correction(*, label: Label, actor: Actor, reason: str) -> None:
    """The branch is abandoned with the judgement that it came from; it stays to be read."""
    branch = label.correction
    if branch is None:
        return
    branch.refresh_from_db()
    if Status(branch.status) not in ENDED:
        abandon_branch(branch_id=branch.pk, actor=actor, reason=reason or "judgement taken back")


def correction_json(winner: Branch) -> dict[str, Any] | None:
    """What a merge keeps of where its winner came from, if that was a person's correction."""
    label = (
        Label.objects.standing()
        .filter(correction=winner)
        .select_related("reviewer", "comparison")
        .first()
    )
    if label is None:
        return None
    return {
        "label": str(label.pk),
        "by": label.reviewer.get_full_name() or label.reviewer.get_username(),
        "comparison": str(label.comparison_id),
        "of": str(winner.parent_id),
        "fork_seq": winner.fork_seq,
        "at": label.created_at.isoformat(),
    }
