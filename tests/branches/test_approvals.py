from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from branches.approvals import (
    AnswerRefused,
    ApprovalClosed,
    ApprovalExpired,
    RequestMoved,
    answer_approval,
)
from branches.domain import terms
from branches.journal import BranchEnded
from branches.models import Approval, Branch, Directive, Event
from branches.stasis import BadApproval
from branches.steering import MoveRefused, abandon_branch, pause_branch, resume_branch
from tests.make import append, make_draft, make_fork, make_person, make_run
from verel_site.access.rights import Role
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db


def ask(**extra: Any) -> Approval:
    _, trunk = make_run()
    branch = make_fork(trunk, 1).branch
    payload = {"approval_id": str(uuid4()), "action": "git push", "args": {"to": "main"}, **extra}
    append(branch, make_draft(terms.APPROVAL_REQUESTED, payload))
    return Approval.objects.get(branch=branch)


def answer(approval: Approval, kind: str = "accept", **extra: Any) -> Approval:
    extra.setdefault("actor", make_person(approval.project))
    extra.setdefault("request_digest", bytes(approval.request_digest))
    return answer_approval(approval_id=approval.pk, answer=kind, **extra)


def test_a_request_puts_the_branch_into_stasis() -> None:
    approval = ask()
    assert approval.branch.status == "paused"
    assert Event.objects.filter(branch=approval.branch).order_by("seq").last().type == terms.PAUSED  # type: ignore[union-attr]


def test_the_answer_resumes_the_branch_and_tells_the_agent() -> None:
    approval = ask()
    answer(approval, "edit", args={"to": "feature"})
    branch = Branch.objects.get(pk=approval.branch_id)
    assert branch.status == "running"
    directive = Directive.objects.get(branch=branch, kind="approval_answered")
    assert directive.body["args"] == {"to": "feature"}
    assert directive.body["request_digest"] == bytes(approval.request_digest).hex()


def test_one_answer_counts() -> None:
    approval = ask()
    answer(approval)
    with pytest.raises(ApprovalClosed):
        answer(approval, "ignore")


def test_an_expired_request_cannot_be_approved() -> None:
    approval = ask(expires_at=(timezone.now() + timedelta(hours=1)).isoformat())
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(ApprovalExpired):
        answer(approval)


def test_an_answer_is_bound_to_the_digest_of_the_request() -> None:
    approval = ask()
    with pytest.raises(RequestMoved):
        answer(approval, request_digest=bytes(32))


@pytest.mark.parametrize(
    ("kind", "extra"), [("accept", {}), ("respond", {}), ("edit", {}), ("dance", {})]
)
def test_an_answer_that_the_request_does_not_allow_is_refused(
    kind: str, extra: dict[str, Any]
) -> None:
    approval = ask(allow=["respond", "edit"])
    with pytest.raises(AnswerRefused):
        answer(approval, kind, **extra)
    assert Approval.objects.get().answered_at is None


def test_a_waiting_branch_is_not_resumed_past_its_question() -> None:
    approval = ask()
    with pytest.raises(MoveRefused):
        resume_branch(branch_id=approval.branch_id, actor=make_person(approval.project))


def test_a_viewer_cannot_answer() -> None:
    approval = ask()
    with pytest.raises(Forbidden):
        answer(approval, actor=make_person(approval.project, Role.VIEWER))


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"approval_id": "x", "action": "a"},
        {"approval_id": str(uuid4())},
        {"approval_id": str(uuid4()), "action": "a", "allow": ["dance"]},
        {"approval_id": str(uuid4()), "action": "a", "expires_at": "2026-01-01T00:00:00"},
    ],
)
def test_a_request_that_cannot_be_read_stores_nothing(payload: dict[str, Any]) -> None:
    _, trunk = make_run()
    with pytest.raises(BadApproval):
        append(trunk, make_draft(terms.APPROVAL_REQUESTED, payload))
    assert Event.objects.filter(branch=trunk).count() == 1


def test_two_requests_at_one_head_have_digests_of_their_own() -> None:
    _, trunk = make_run()
    for action in ("read", "write"):
        payload = {"approval_id": str(uuid4()), "action": action}
        append(trunk, make_draft(terms.APPROVAL_REQUESTED, payload))
    one, other = Approval.objects.filter(branch=trunk)
    assert bytes(one.request_digest) != bytes(other.request_digest)


def ask_again(approval: Approval, **extra: Any) -> Approval:
    again = {"approval_id": str(uuid4()), "action": "git push --force", **extra}
    append(approval.branch, make_draft(terms.APPROVAL_REQUESTED, again))
    return Approval.objects.get(pk=again["approval_id"])


def status_of(approval: Approval) -> str:
    return Branch.objects.get(pk=approval.branch_id).status


def test_a_branch_goes_on_when_its_last_question_is_answered() -> None:
    approval = ask()
    other = ask_again(approval)
    answer(approval)
    assert status_of(approval) == "paused"
    answer(other)
    assert status_of(approval) == "running"


def test_an_expired_question_holds_nobody_back() -> None:
    past = (timezone.now() - timedelta(seconds=1)).isoformat()
    approval = ask(expires_at=past)
    person = make_person(approval.project)
    assert resume_branch(branch_id=approval.branch_id, actor=person).status == "running"
    pause_branch(branch_id=approval.branch_id, actor=person)
    answer(ask_again(approval))
    assert status_of(approval) == "running"


def test_an_ended_branch_takes_no_answer() -> None:
    approval = ask()
    abandon_branch(branch_id=approval.branch_id, actor=make_person(approval.project), reason="no")
    events = Event.objects.filter(branch=approval.branch).count()
    with pytest.raises(BranchEnded):
        answer(approval)
    assert Event.objects.filter(branch=approval.branch).count() == events
