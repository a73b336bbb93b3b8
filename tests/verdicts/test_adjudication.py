"""Disagreement goes to somebody else, who sees both rationales, and whose word closes it."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from branches.models import Branch, Merge
from tests.make import (
    make_person,
    make_user,
)
from tests.verdicts.compare_page.pages import approve, page_of, words
from tests.verdicts.make import make_pair, push, side_of
from verdicts.comparisons import draw_sides, label_comparison, open_comparison, withdraw_label
from verdicts.models import Comparison, Label
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.inbox.decisions import decide_item, undo_decision
from verel_site.inbox.models import Decision, Item
from verel_site.kit.refusals import Forbidden, Unprocessable

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(project: Project) -> tuple[Branch, Branch]:
    pair = make_pair(project)
    push(pair[0])
    return pair


def compare(pair: tuple[Branch, Branch], required: int = 2) -> Comparison:
    return open_comparison(left=pair[0].pk, right=pair[1].pk, actor=SYSTEM, required=required)


def judge(comparison: Comparison, actor: Actor, branch: Branch, why: str = "") -> Label:
    choice = side_of(comparison, actor, branch)
    return label_comparison(comparison_id=comparison.pk, actor=actor, choice=choice, rationale=why)


def asked(comparison: Comparison) -> Item | None:
    rows = Item.objects.filter(kind="adjudication", subject=comparison.pk, state="open")
    return rows.first()


def adjudicate(comparison: Comparison, user: User, branch: Branch, why: str = "") -> Decision:
    item = asked(comparison)
    assert item is not None
    actor = actor_of_user(user)
    return decide_item(
        item_id=item.pk,
        actor=actor,
        answer=side_of(comparison, actor, branch),
        digest=item.digest,
        fields={"rationale": why},
    )


def test_nobody_adjudicates_while_a_reviewer_is_still_asked(
    project: Project, pair: tuple[Branch, Branch]
) -> None:
    """Whoever may yet judge would be shown what is sealed from them."""
    comparison = compare(pair, required=3)
    judge(comparison, make_person(project), pair[0])
    judge(comparison, make_person(project), pair[1])
    assert asked(comparison) is None
    third = make_person(project)
    judge(comparison, third, pair[0])
    item = asked(comparison)
    assert item is not None
    with pytest.raises(Forbidden):
        decide_item(item_id=item.pk, actor=third, answer="left", digest=item.digest)


def test_the_adjudicator_sees_both_rationales_blind_and_closes_it(
    client: Client, project: Project, pair: tuple[Branch, Branch]
) -> None:
    comparison = compare(pair)
    judge(comparison, make_person(project), pair[0], "It proved it.")
    judge(comparison, make_person(project), pair[1], "It asked first.")
    ada = make_user(project, first_name="Ada", last_name="Brandt")
    client.force_login(ada)
    item = asked(comparison)
    assert item is not None
    shown = client.get(f"/inbox/{item.pk}/").content.decode()
    assert "It proved it." in shown
    assert "It asked first." in shown
    assert "Secret" not in shown
    adjudicate(comparison, ada, pair[0], "Proof comes first.")
    assert asked(comparison) is None
    page = page_of(client, comparison)
    assert "Adjudicated" in page
    assert "Proof comes first." in page
    assert "Secret 1" in page, "the one who decided may know now"


def test_the_word_is_what_is_merged_whoever_merges_it(
    client: Client, project: Project, pair: tuple[Branch, Branch]
) -> None:
    comparison = compare(pair)
    ines = make_user(project)
    judge(comparison, actor_of_user(ines), pair[1])
    judge(comparison, make_person(project), pair[0])
    ada = make_user(project, first_name="Ada", last_name="Brandt")
    word = adjudicate(comparison, ada, pair[0], "Proof comes first.")
    client.force_login(ines)
    assert "is better. Merge it?" in words(page_of(client, comparison))
    assert approve(client, comparison, ines).status_code == 302
    merge = Merge.objects.get()
    assert merge.winner_id == pair[0].pk
    told = [one for one in merge.admission["judgements"] if one.get("adjudicated")]
    assert [(one["decision"], one["reviewer"]) for one in told] == [(str(word.pk), "Ada Brandt")]


def test_a_word_that_neither_is_better_leaves_nothing_to_merge(
    client: Client, project: Project, pair: tuple[Branch, Branch]
) -> None:
    comparison = compare(pair)
    ines = make_user(project)
    judge(comparison, actor_of_user(ines), pair[0])
    judge(comparison, make_person(project), pair[1])
    item = asked(comparison)
    assert item is not None
    judge_of = make_person(project)
    draw_sides(comparison_id=comparison.pk, reviewer=judge_of)
    decide_item(item_id=item.pk, actor=judge_of, answer="both_bad", digest=item.digest)
    client.force_login(ines)
    assert "Both are bad" in page_of(client, comparison)
    assert approve(client, comparison, ines).status_code == 409


def test_a_later_label_does_not_open_it_again(
    project: Project, pair: tuple[Branch, Branch]
) -> None:
    comparison = compare(pair)
    judge(comparison, make_person(project), pair[0])
    judge(comparison, make_person(project), pair[1])
    adjudicate(comparison, make_user(project), pair[0])
    judge(comparison, make_person(project), pair[1])
    assert asked(comparison) is None


def test_a_word_reversed_later_takes_its_merge_back_and_is_asked_for_again(
    client: Client, project: Project, pair: tuple[Branch, Branch]
) -> None:
    comparison = compare(pair)
    ines, ada = make_user(project), make_user(project)
    judge(comparison, actor_of_user(ines), pair[0])
    judge(comparison, make_person(project), pair[1])
    word = adjudicate(comparison, ada, pair[0])
    client.force_login(ines)
    assert approve(client, comparison, ines).status_code == 302
    with pytest.raises(Unprocessable):
        undo_decision(decision_id=word.pk, actor=actor_of_user(ada))
    undo_decision(decision_id=word.pk, actor=actor_of_user(ada), reason="the proof is wrong")
    merge = Merge.objects.get()
    assert merge.revert_reason == "the proof is wrong"
    assert asked(comparison) is not None


def test_reviewers_who_come_to_agree_need_nobody(
    project: Project, pair: tuple[Branch, Branch]
) -> None:
    comparison = compare(pair)
    judge(comparison, make_person(project), pair[0])
    tom = make_person(project)
    mine = judge(comparison, tom, pair[1])
    assert asked(comparison) is not None
    withdraw_label(label_id=mine.pk, actor=tom)
    assert asked(comparison) is None
    judge(comparison, tom, pair[0])
    assert asked(comparison) is None
