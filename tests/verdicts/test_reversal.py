"""A judgement reversed later, with what was merged on it and the triplets that came of that."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from branches.merges import ReasonMissing
from branches.models import Branch, Merge, Triplet
from branches.triplets import WITHDRAWAL
from tests.make import (
    make_person,
)
from tests.verdicts.compare_page.pages import page_of
from tests.verdicts.make import make_pair, push, side_of
from verdicts.comparisons import label_comparison, open_comparison, withdraw_label
from verdicts.merging import merge_preferred
from verdicts.models import Comparison, Label
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.inbox.decisions import undo_decision
from verel_site.inbox.models import Decision
from verel_site.kit.refusals import Unprocessable
from verel_site.outbox.models import Promise
from verel_site.outbox.promises import sweep_promises

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(project: Project) -> tuple[Branch, Branch]:
    pair = make_pair(project)
    push(pair[0])
    return pair


@pytest.fixture
def comparison(pair: tuple[Branch, Branch]) -> Comparison:
    return open_comparison(left=pair[0].pk, right=pair[1].pk, actor=SYSTEM)


def judge(comparison: Comparison, actor: Actor, better: Branch) -> Label:
    choice = side_of(comparison, actor, better)
    return label_comparison(comparison_id=comparison.pk, actor=actor, choice=choice)


def merge(comparison: Comparison, actor: Actor, pair: tuple[Branch, Branch]) -> Merge:
    heads = {branch.pk: bytes(branch.head_digest) for branch in pair}
    return merge_preferred(comparison_id=comparison.pk, actor=actor, expected_heads=heads)


def age(merge: Merge) -> None:
    """As if its ten seconds had passed, and its triplets had left."""
    long_ago = timezone.now() - timedelta(minutes=5)
    Merge.objects.filter(pk=merge.pk).update(created_at=long_ago, undo_until=long_ago)
    Decision.objects.update(created_at=long_ago)
    Promise.objects.update(due_at=long_ago)


def statuses(pair: tuple[Branch, Branch]) -> set[str]:
    return {row.status for row in Branch.objects.filter(pk__in=[one.pk for one in pair])}


def test_a_late_reversal_needs_a_reason_and_withdraws_what_left(
    pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    actor = actor_of_user(ines)
    judge(comparison, actor, pair[0])
    made = merge(comparison, actor, pair)
    age(made)
    sweep_promises()
    decision = Decision.objects.get()
    with pytest.raises(Unprocessable, match="say why you take it back"):
        undo_decision(decision_id=decision.pk, actor=actor)
    assert Label.objects.standing().exists()
    undo_decision(decision_id=decision.pk, actor=actor, reason="I misread the unit")
    made.refresh_from_db()
    assert (made.revert_reason, made.reverted_by) == ("I misread the unit", "Ines Kaur")
    assert statuses(pair) == {"running"}
    assert Triplet.objects.get().withdrawn_at is not None
    assert Promise.objects.filter(kind=WITHDRAWAL).count() == 1, "what had left is told back"
    acts = list(AuditEntry.objects.order_by("number").values_list("action", "reason"))
    assert ("merge.revert", "I misread the unit") in acts
    assert ("comparison.withdraw", "I misread the unit") in acts
    assert ("inbox.undo", "I misread the unit") in acts


def test_a_judgement_that_nothing_rests_on_is_withdrawn_alone(
    project: Project, pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    """Another reviewer merged on their own word, before this one judged."""
    other = make_person(project)
    judge(comparison, other, pair[0])
    late = judge(comparison, actor_of_user(ines), pair[1])
    made = merge(comparison, other, pair)
    withdraw_label(label_id=late.pk, actor=actor_of_user(ines))
    made.refresh_from_db()
    assert made.reverted_at is None


def test_a_merge_that_rests_on_a_judgement_is_never_lost_without_a_reason(
    pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    actor = actor_of_user(ines)
    label = judge(comparison, actor, pair[0])
    made = merge(comparison, actor, pair)
    with pytest.raises(ReasonMissing):
        withdraw_label(label_id=label.pk, actor=actor)
    made.refresh_from_db()
    assert made.reverted_at is None
    assert Label.objects.standing().count() == 1


def test_an_admin_reverses_anothers_judgement_and_its_merge(
    project: Project, pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    label = judge(comparison, actor_of_user(ines), pair[0])
    made = merge(comparison, actor_of_user(ines), pair)
    admin = make_person(project, Role.ADMIN)
    withdraw_label(label_id=label.pk, actor=admin, reason="the rubric was wrong")
    made.refresh_from_db()
    assert made.reverted_by == admin.name
    assert Triplet.objects.get().withdrawn_at is not None


def test_a_merge_taken_back_already_is_left_alone(
    pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    actor = actor_of_user(ines)
    label = judge(comparison, actor, pair[0])
    made = merge(comparison, actor, pair)
    Merge.objects.filter(pk=made.pk).update(reverted_at=timezone.now(), reverted_by="somebody")
    withdraw_label(label_id=label.pk, actor=actor)
    made.refresh_from_db()
    assert made.reverted_by == "somebody"


def test_the_page_asks_for_the_reason_and_says_what_follows(
    client: Client, pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    actor = actor_of_user(ines)
    client.force_login(ines)
    judge(comparison, actor, pair[0])
    assert "Judge again" in page_of(client, comparison)
    made = merge(comparison, actor, pair)
    assert "Reverse my judgement and the merge" in page_of(client, comparison)
    address = reverse("comparison-judge-again", args=[comparison.pk])
    refused = client.post(address)
    assert refused.status_code == 422
    assert "A merge rests on it" in refused.content.decode()
    assert client.post(address, {"reason": "wrong unit"}).status_code == 302
    made.refresh_from_db()
    assert made.revert_reason == "wrong unit"
