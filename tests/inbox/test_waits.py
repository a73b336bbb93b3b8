"""What waits elsewhere, as the inbox has it: approvals, pairs, disagreements, escalations."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from branches.approvals import AnswerRefused, answer_approval
from branches.domain import terms
from branches.models import Approval, Branch, Directive
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_key,
    make_message,
    make_person,
    make_run,
    make_user,
)
from verdicts.comparisons import (
    HeadMoved,
    draw_sides,
    label_comparison,
    open_comparison,
    withdraw_label,
)
from verdicts.models import Comparison, Label
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.inbox.claims import ClaimLost, claim_item, claim_next
from verel_site.inbox.decisions import CannotUndo, decide_item, undo_decision
from verel_site.inbox.models import Claim, Decision, Item
from verel_site.inbox.sweeps import sweep_inbox
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db


def ask(project: Project, **extra: Any) -> Approval:
    branch = make_run(project)[1]
    request = {
        "approval_id": str(uuid4()),
        "action": "Bash",
        "args": {"command": "git push"},
        **extra,
    }
    append(branch, make_draft(terms.APPROVAL_REQUESTED, request))
    return Approval.objects.get(pk=request["approval_id"])


def make_pair(project: Project, actor: Actor, required: int = 1) -> tuple[Comparison, list[Branch]]:
    trunk = make_run(project)[1]
    append(trunk, make_message("user", "Cap the dose."))
    forks = [make_fork(trunk, 2, f"Secret {n}").branch for n in range(2)]
    for number, fork in enumerate(forks):
        append(fork, make_message("assistant", f"Answer {number}"))
    pair = open_comparison(left=forks[0].pk, right=forks[1].pk, actor=actor, required=required)
    return pair, forks


def item_of(subject: Any, kind: str) -> Item:
    return Item.objects.get(subject=subject.pk, kind=kind)


def decide(item: Item, actor: Actor, answer: str, **fields: Any) -> Decision:
    return decide_item(
        item_id=item.pk, actor=actor, answer=answer, digest=item.digest, fields=fields
    )


def pick(pair: Comparison, actor: Actor, branch: Branch, rationale: str = "") -> Label:
    sides = draw_sides(comparison_id=pair.pk, reviewer=actor)
    return label_comparison(
        comparison_id=pair.pk,
        actor=actor,
        choice="left" if sides.left.branch.pk == branch.pk else "right",
        rationale=rationale,
    )


def test_an_action_that_names_its_object_is_told_once(project: Project) -> None:
    for action, title in (("edit a.py", "edit a.py"), ("edit", "edit a.py"), ("a", "a a.py")):
        approval = ask(project, action=action, args={"path": "a.py", "new_string": "x"})
        assert item_of(approval, "approval").title == title


def test_an_agent_that_asks_waits_in_the_inbox_and_hears_the_answer_given_there(
    project: Project, ada: Actor
) -> None:
    approval = ask(project)
    item = item_of(approval, "approval")
    assert (item.title, item.priority > 0) == ("Bash git push", True)
    decision = decide(item, ada, "edit", args='{"command": "git push --dry-run"}')
    approval.refresh_from_db()
    assert approval.answer_args == {"command": "git push --dry-run"}
    assert Directive.objects.filter(branch=approval.branch, kind="approval_answered").exists()
    item.refresh_from_db()
    assert item.state == Item.State.DONE
    with pytest.raises(CannotUndo):
        undo_decision(decision_id=decision.pk, actor=ada)


@pytest.mark.parametrize("args", ["{", "[1]", '{"a": NaN}', "\ud800"])
def test_an_edit_that_cannot_be_read_answers_nothing(
    project: Project, ada: Actor, args: str
) -> None:
    approval = ask(project)
    with pytest.raises(AnswerRefused):
        decide(item_of(approval, "approval"), ada, "edit", args=args)
    approval.refresh_from_db()
    assert approval.answered_at is None
    assert not Decision.objects.exists()


def test_an_approval_answered_at_the_run_is_settled_in_the_inbox_whoever_held_it(
    project: Project, ada: Actor, tom: Actor
) -> None:
    approval = ask(project)
    item = item_of(approval, "approval")
    claim_item(item_id=item.pk, actor=tom)
    answer_approval(
        approval_id=approval.pk,
        actor=ada,
        answer="accept",
        request_digest=bytes(approval.request_digest),
    )
    item.refresh_from_db()
    assert (item.state, item.scored) == (Item.State.DONE, 1)
    assert Decision.objects.get().reviewer_id == ada.user_id
    assert not Claim.objects.exists()


def test_a_request_that_expired_or_has_no_item_is_put_right_by_the_sweep(
    project: Project, ada: Actor
) -> None:
    soon = (timezone.now() + timedelta(hours=1)).isoformat()
    expired, lost = ask(project, expires_at=soon), ask(project)
    Approval.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    item_of(lost, "approval").delete()
    for _ in range(2):
        sweep_inbox()
    assert item_of(expired, "approval").state == Item.State.CLOSED
    assert item_of(lost, "approval").state == Item.State.OPEN
    next_up = claim_next(actor=ada)
    assert next_up is not None
    assert next_up.item.subject == lost.pk


def test_a_pair_waits_blind_and_its_label_is_counted_by_whichever_door_it_came(
    project: Project, ada: Actor, tom: Actor
) -> None:
    pair, forks = make_pair(project, ada, required=2)
    item = item_of(pair, "comparison")
    told = f"{item.title} {item.about} {item.flag} {item.body}"
    assert "Secret" not in told
    assert forks[0].label not in told
    pick(pair, ada, forks[0])
    draw_sides(comparison_id=pair.pk, reviewer=tom)
    decide(item, tom, "equal", rationale="Both ask first.", strength="2")
    item.refresh_from_db()
    assert (item.scored, item.state) == (2, Item.State.DONE)
    assert Label.objects.get(reviewer=tom.user_id).strength == 2
    mine = Label.objects.get(reviewer=ada.user_id)
    withdraw_label(label_id=mine.pk, actor=ada, reason="again")
    item.refresh_from_db()
    assert (item.scored, item.state) == (1, Item.State.OPEN)


def test_the_undo_of_a_pair_withdraws_its_label(project: Project, ada: Actor) -> None:
    pair, _ = make_pair(project, ada)
    draw_sides(comparison_id=pair.pk, reviewer=ada)
    decision = decide(item_of(pair, "comparison"), ada, "left")
    undo_decision(decision_id=decision.pk, actor=ada)
    assert Label.objects.get().withdrawn_at is not None


def test_a_pair_whose_side_has_moved_takes_no_answer_and_is_swept_away(
    project: Project, ada: Actor
) -> None:
    pair, forks = make_pair(project, ada)
    item = item_of(pair, "comparison")
    draw_sides(comparison_id=pair.pk, reviewer=ada)
    append(forks[0], make_message("assistant", "More"))
    with pytest.raises(HeadMoved):
        decide(item, ada, "left")
    sweep_inbox()
    item.refresh_from_db()
    assert item.state == Item.State.CLOSED
    assert "moved on" in item.closed_because


def test_reviewers_who_disagree_are_judged_by_a_third_who_sees_both_reasons(
    project: Project, ada: Actor, tom: Actor, client: Client
) -> None:
    pair, forks = make_pair(project, ada, required=2)
    pick(pair, ada, forks[0], "It proved it.")
    assert not Item.objects.filter(kind="adjudication").exists()
    pick(pair, tom, forks[1], "It asked first.")
    item = item_of(pair, "adjudication")
    with pytest.raises(Forbidden):
        claim_item(item_id=item.pk, actor=ada)
    judge = make_user(project)
    client.force_login(judge)
    shown = client.get(f"/inbox/{item.pk}/").content.decode()
    assert "It proved it." in shown
    assert "It asked first." in shown
    assert "Secret" not in shown
    decision = decide(item, actor_of_user(judge), "left", rationale="Asking comes first.")
    sides = draw_sides(comparison_id=pair.pk, reviewer=actor_of_user(judge))
    assert decision.result["chosen"] == str(sides.left.branch.pk)
    item.refresh_from_db()
    assert item.state == Item.State.DONE


def test_an_adjudication_is_needed_no_more_once_the_reviewers_agree(
    project: Project, ada: Actor, tom: Actor
) -> None:
    pair, forks = make_pair(project, ada, required=2)
    pick(pair, ada, forks[0])
    mine = pick(pair, tom, forks[1])
    withdraw_label(label_id=mine.pk, actor=tom, reason="misread")
    assert item_of(pair, "adjudication").state == Item.State.CLOSED


def test_a_client_works_through_the_inbox_with_tokens(project: Project, client: Client) -> None:
    pair, _ = make_pair(project, make_person(project))
    ada = make_user(project)
    client.force_login(ada)
    claim = client.post("/api/v1/inbox/next", {}, content_type="application/json").json()
    item = Item.objects.get(pk=claim["item"])
    assert item.subject == pair.pk
    client.post(f"/api/v1/comparisons/{pair.pk}/sides")
    Claim.objects.update(reviewer=make_user(project))
    label = {"choice": "left", "claim": claim["claim"]}
    address = f"/api/v1/comparisons/{pair.pk}/label"
    lost = client.post(address, label, content_type="application/json")
    assert (lost.status_code, lost.json()["code"]) == (409, ClaimLost.code)
    assert not Label.objects.exists()
    Claim.objects.update(reviewer=ada)
    assert client.post(address, label, content_type="application/json").status_code == 201
    item.refresh_from_db()
    assert item.state == Item.State.DONE
    none = client.post("/api/v1/inbox/next", {}, content_type="application/json")
    assert none.status_code == 204


def test_a_key_reads_what_waits_and_takes_no_seat(project: Project, client: Client) -> None:
    ask(project)
    key = {"Authorization": f"Bearer {make_key(project, 'admin')}"}
    listed = client.get("/api/v1/inbox?kind=approval", headers=key).json()["results"]
    assert [each["title"] for each in listed] == ["Bash git push"]
    taken = client.post(
        f"/api/v1/inbox/{listed[0]['item']}/claim", headers=key, content_type="application/json"
    )
    assert taken.status_code == 403


def test_a_list_by_cursor_leaves_nothing_out(project: Project, client: Client) -> None:
    wanted = {str(item_of(ask(project), "approval").pk) for _ in range(5)}
    client.force_login(make_user(project))
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get(f"/api/v1/inbox?limit=2&after={after}").json()
        seen += [each["item"] for each in page["results"]]
        after = page["next"]
    assert len(seen) == len(wanted)
    assert set(seen) == wanted
