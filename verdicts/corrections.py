"""Corrected outputs: what a reviewer would have had the agent say, as a branch of its own.

The branch forks where the corrected side's final answer was given, and has the reviewer's text in
its place: the prompt up to there is shared byte for byte, so that a merge of the correction over
what it corrects gives a preference pair of two answers to one prompt.
"""

from typing import Any
from uuid import UUID

from django.db import transaction

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
from verdicts.models import Label
from verel_site.access.actors import Actor
from verel_site.kit.refusals import Unprocessable

NAME = "correction of "


class NothingCorrected(Unprocessable):
    code = "nothing_corrected"
    title = "The correction says what the side says already"


@transaction.atomic
def make_correction(
    *, label: Label, side: Branch, other: Branch, text: str, actor: Actor
) -> Branch:
    """A finished branch that ends with `text` in place of the side's final answer; where it gave
    none, after its last event. No worker is offered it, and nothing leaves for an agent."""
    step = _final_step(side, other)
    if step is not None and step.text.strip() == text.strip():
        raise NothingCorrected("Change it, or leave it out.", pointer="/corrected")
    final = step.event if step is not None else None
    parent, seq = _place(side, final)
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
        "content": text,
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
    label.correction = branch
    return branch


def _final_step(side: Branch, other: Branch) -> Step | None:
    cuts = [Cut(branch, branch.head_seq) for branch in (side, other)]
    parting = read_parting(*cuts)
    events = iter_lineage(side, upto=side.head_seq, after_step=parting.point.step)
    return final_step(events)


def _place(side: Branch, final: StoredEvent | None) -> tuple[UUID, int]:
    """The last event before the answer: of its own branch, or of the one that it forked from."""
    branch_id, seq = (side.pk, side.head_seq) if final is None else (final.branch, final.seq - 1)
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
