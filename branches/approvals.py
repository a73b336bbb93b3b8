"""Approvals: one answer by a person, bound to the digest of what was asked."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from branches.directives import post_directive
from branches.domain import terms
from branches.domain.interrupt import is_interrupt, tell_response
from branches.domain.terms import Answer, DirectiveKind, Status
from branches.journal import check_open, lock_branch, server_draft, write_events
from branches.models import Approval, Branch, Event
from branches.selectors.events import payload_of
from branches.stasis import APPROVAL, holds_back
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.inbox.decisions import record_decision
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable


class ApprovalClosed(Refusal):
    code = "approval_closed"
    title = "The request has been answered"


class ApprovalExpired(Refusal):
    code = "approval_expired"
    title = "The request has expired"


class RequestMoved(Refusal):
    code = "request_moved"
    title = "This is not the request that you looked at"


class AnswerRefused(Unprocessable):
    code = "answer_refused"
    title = "The request does not take this answer"


@transaction.atomic
def answer_approval(
    *,
    approval_id: UUID,
    actor: Actor,
    answer: str,
    request_digest: bytes,
    args: dict[str, Any] | None = None,
    text: str = "",
    claim: UUID | None = None,
) -> Approval:
    """Resolves the request, resumes the branch, and tells the agent, in one transaction.

    A branch that asked more than once goes on with the last answer; one that has ended takes none.
    With a `claim` of its item in the inbox the answer needs that claim's seat (ClaimLost).
    """
    approval = Approval.objects.filter(pk=approval_id).first()
    if approval is None:
        raise NotFound(f"There is no approval {approval_id} that you may see.")
    actor.demand(approval.project_id, Right.ANSWER)
    branch = lock_branch(branch_id=approval.branch_id)
    approval.refresh_from_db()
    check_open(branch)
    _check_answer(approval, answer, request_digest, args, text)
    payload = {
        "approval_id": str(approval.pk),
        "action": approval.action,
        "answer": answer,
        "request_digest": request_digest.hex(),
        "by": actor.as_json(),
        **({"args": args} if args is not None else {}),
        **({"text": text} if text else {}),
        **_as_response(branch, approval, answer, args, text),
    }
    approval.answer, approval.answer_args, approval.answer_text = answer, args, text
    approval.answered_by, approval.answered_at = actor.name, timezone.now()
    approval.save()
    drafts = [server_draft(terms.APPROVAL_RESOLVED, payload)]
    if branch.status == Status.PAUSED and not holds_back(branch):
        drafts.append(server_draft(terms.RESUMED, {"by": actor.as_json()}))
        Branch.objects.filter(pk=branch.pk).update(status=Status.RUNNING)
    write_events(branch=branch, drafts=drafts)
    post_directive(branch=branch, kind=DirectiveKind.APPROVAL_ANSWERED, body=payload)
    record_act(
        project_id=branch.project_id,
        actor=actor,
        action="approval.answer",
        subject=f"approval:{approval.pk}",
        digest=request_digest,
        after={"answer": answer, "args": args},
        reason=text,
    )
    record_decision(
        project_id=branch.project_id,
        kind=APPROVAL,
        subject_id=approval.pk,
        actor=actor,
        answer=answer,
        reason=text,
        claim=claim,
        settles=True,
    )
    return approval


def _as_response(
    branch: Branch, approval: Approval, answer: str, args: dict[str, Any] | None, text: str
) -> dict[str, Any]:
    """For who asked by a LangGraph interrupt, the answer in the shape that it is resumed with."""
    request = Event.objects.of_branch(branch).filter(seq=approval.request_seq).first()
    if request is None or not is_interrupt(payload_of(request)):
        return {}
    return {"response": tell_response(answer=answer, action=approval.action, args=args, text=text)}


def _check_answer(
    approval: Approval, answer: str, digest: bytes, args: dict[str, Any] | None, text: str
) -> None:
    if approval.answered_at is not None:
        raise ApprovalClosed(f"{approval.answered_by} answered: {approval.answer}.")
    if approval.expires_at is not None and approval.expires_at <= timezone.now():
        raise ApprovalExpired(f"It could be answered until {approval.expires_at.isoformat()}.")
    if bytes(approval.request_digest) != digest:
        raise RequestMoved("Read the request again; its digest is another.")
    if answer not in approval.allow:
        raise AnswerRefused(f"It takes {', '.join(approval.allow)}.", pointer="/answer")
    if answer == Answer.EDIT and not isinstance(args, dict):
        raise AnswerRefused("An edit carries the new args.", pointer="/args")
    if answer == Answer.RESPOND and not text.strip():
        raise AnswerRefused("A response carries text.", pointer="/text")
