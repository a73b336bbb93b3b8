"""Stasis: a branch asks a person, and waits durably for the answer (see `approvals`)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from branches.domain.digest import request_digest
from branches.domain.interrupt import BadInterrupt, is_interrupt, read_request
from branches.domain.terms import Answer
from branches.models import Approval, Branch
from branches.querysets import waits_at
from verel_site.inbox.items import post_item
from verel_site.kit.refusals import Unprocessable
from verel_site.kit.strict_json import encode

APPROVAL: Final = "approval"
# An agent stands still meanwhile, and so it comes before what only waits.
APPROVAL_PRIORITY: Final = 10


class BadApproval(Unprocessable):
    code = "bad_approval"
    title = "The approval request cannot be read"


def open_approval(*, branch: Branch, payload: dict[str, Any], seq: int, digest: bytes) -> Approval:
    """The row of a `harness.approval.requested` event, inside that event's transaction.

    `digest` is the content digest at the request. LangGraph's interrupts are read as they are.
    """
    told = _read_told(payload)
    try:
        approval_id = UUID(str(payload["approval_id"]))
    except (KeyError, ValueError) as error:
        raise BadApproval("approval_id is a UUID.", pointer="/payload/approval_id") from error
    if Approval.objects.filter(pk=approval_id).exists():
        raise BadApproval("This approval_id is taken.", pointer="/payload/approval_id")
    action = told.get("action")
    if not isinstance(action, str) or not 0 < len(action) <= 200:
        at = "/payload/action_request/action" if is_interrupt(payload) else "/payload/action"
        raise BadApproval("action is a text of 1 to 200 characters.", pointer=at)
    approval = Approval.objects.create(
        id=approval_id,
        project_id=branch.project_id,
        branch=branch,
        request_seq=seq,
        request_digest=request_digest(digest, encode(payload)),
        action=action,
        args=told.get("args") or {},
        allow=_read_allow(told.get("allow")),
        description=str(payload.get("description") or ""),
        expires_at=_read_expiry(payload.get("expires_at")),
    )
    post_approval(approval)
    return approval


def _read_told(payload: dict[str, Any]) -> Mapping[str, Any]:
    try:
        return read_request(payload)
    except BadInterrupt as error:
        raise BadApproval(str(error), pointer=f"/payload{error.pointer}") from error


def post_approval(approval: Approval) -> None:
    """Puts the request before people; again is no harm."""
    branch = approval.branch
    who = ", ".join(filter(None, [branch.run.agent, f"run {branch.run.number}", branch.label]))
    post_item(
        project_id=approval.project_id,
        kind=APPROVAL,
        subject_id=approval.pk,
        subject_digest=bytes(approval.request_digest),
        title=_title(approval),
        about=who,
        priority=APPROVAL_PRIORITY,
        due_at=approval.expires_at,
    )


def _title(approval: Approval) -> str:
    """What it asks to do and on what, in one line; an action that names its object says it once."""
    told = _first_text(approval.args)
    return approval.action if told in approval.action else f"{approval.action} {told}"


def _first_text(args: Any) -> str:
    """What of the arguments tells most in one line: the first text among them."""
    values = args.values() if isinstance(args, dict) else [args]
    return next((value for value in values if isinstance(value, str)), "")


def holds_back(branch: Branch) -> bool:
    """Whether a question of the branch can still be answered. One that expired holds nobody."""
    return branch.approvals.filter(waits_at(timezone.now())).exists()


def _read_allow(value: Any) -> list[str]:
    known = [answer.value for answer in Answer]
    if value is None:
        return known
    if not isinstance(value, list) or not value or any(item not in known for item in value):
        raise BadApproval(f"allow lists some of {known}.", pointer="/payload/allow")
    return [answer for answer in known if answer in value]


def _read_expiry(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        moment = parse_datetime(value) if isinstance(value, str) else None
        if moment is not None and timezone.is_aware(moment):
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadApproval("expires_at is an aware ISO 8601 time.", pointer="/payload/expires_at")
