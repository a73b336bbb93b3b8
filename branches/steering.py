"""Pause, resume, complete, abandon: the moves of a branch that a merge does not make."""

from uuid import UUID

from django.db import transaction

from branches.directives import post_directive
from branches.domain import terms
from branches.domain.terms import MOVES, DirectiveKind, Status
from branches.journal import check_lease, lock_branch, server_draft, write_events
from branches.models import Branch
from branches.stasis import holds_back
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Refusal, Unprocessable

_EVENT_OF = {
    Status.PAUSED: terms.PAUSED,
    Status.RUNNING: terms.RESUMED,
    Status.COMPLETED: terms.COMPLETED,
    Status.ABANDONED: terms.ABANDONED,
}
_DIRECTIVE_OF = {
    Status.PAUSED: DirectiveKind.PAUSE,
    Status.RUNNING: DirectiveKind.RESUME,
    Status.ABANDONED: DirectiveKind.STOP,
}


class MoveRefused(Refusal):
    code = "move_refused"
    title = "The branch cannot move there"


class ReasonMissing(Unprocessable):
    code = "reason_missing"
    title = "A reason is needed"


@transaction.atomic
def pause_branch(*, branch_id: UUID, actor: Actor, reason: str = "") -> Branch:
    return _move(branch_id, actor, Status.PAUSED, reason)


@transaction.atomic
def resume_branch(*, branch_id: UUID, actor: Actor, reason: str = "") -> Branch:
    """Refused while an approval of the branch waits: the answer resumes it. One that expired
    waits no more."""
    return _move(branch_id, actor, Status.RUNNING, reason)


@transaction.atomic
def complete_branch(
    *, branch_id: UUID, actor: Actor, reason: str = "", lease_epoch: int | None = None
) -> Branch:
    """What an agent says when it has finished. It is a claim; a verdict is what makes it done.

    With `lease_epoch` only the worker that holds the branch may say it: StaleLease.
    """
    if lease_epoch is not None:
        check_lease(lock_branch(branch_id=branch_id), lease_epoch)
    return _move(branch_id, actor, Status.COMPLETED, reason)


@transaction.atomic
def abandon_branch(*, branch_id: UUID, actor: Actor, reason: str) -> Branch:
    if not reason.strip():
        raise ReasonMissing("Say why the branch is abandoned.", pointer="/reason")
    return _move(branch_id, actor, Status.ABANDONED, reason)


def _demand(branch: Branch, actor: Actor, to: Status) -> None:
    agents_own = to == Status.COMPLETED and (
        actor.may(branch.project_id, Right.RUN_BRANCHES)
        or actor.may(branch.project_id, Right.WRITE_EVENTS)
    )
    if not agents_own:
        actor.demand(branch.project_id, Right.STEER)


def _move(branch_id: UUID, actor: Actor, to: Status, reason: str) -> Branch:
    branch = lock_branch(branch_id=branch_id)
    _demand(branch, actor, to)
    was = Status(branch.status)
    if was not in MOVES[to]:
        raise MoveRefused(f"{branch.label} is {was.value}; it cannot become {to.value}.")
    if to == Status.RUNNING and holds_back(branch):
        raise MoveRefused(f"{branch.label} waits for an approval; answer it to resume.")
    payload = {"by": actor.as_json(), **({"reason": reason} if reason else {})}
    write_events(branch=branch, drafts=[server_draft(_EVENT_OF[to], payload)])
    branch.status = to.value
    fields = ["status"]
    if to in {Status.COMPLETED, Status.ABANDONED}:
        branch.claimable, branch.lease_expires_at = False, None
        fields += ["claimable", "lease_expires_at"]
    branch.save(update_fields=fields)
    if to in _DIRECTIVE_OF:
        post_directive(branch=branch, kind=_DIRECTIVE_OF[to], body=payload)
    record_act(
        project_id=branch.project_id,
        actor=actor,
        action=f"branch.{to.value}",
        subject=f"branch:{branch.pk}",
        digest=bytes(branch.head_digest),
        before=was.value,
        after=to.value,
        reason=reason,
    )
    return branch
