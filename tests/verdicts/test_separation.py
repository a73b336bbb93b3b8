from collections.abc import Callable
from uuid import UUID

import pytest

from branches.forks import fork_branch
from branches.models import Branch, Merge
from tests.api_client import Api, problem
from tests.make import append, make_fork, make_message, make_person, make_run, make_user
from tests.verdicts.make import push
from verdicts.comparisons import draw_sides, label_comparison, open_comparison
from verdicts.gated_merges import merge_through_gate
from verdicts.models import GateDecision
from verdicts.separation import SecondPersonNeeded
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db

type Made = tuple[Branch, Branch]


@pytest.fixture
def trunk() -> Branch:
    trunk = make_run()[1]
    append(trunk, make_message("user", "Go"))
    Project.objects.filter(pk=trunk.project_id).update(separate_duties=True)
    return trunk


@pytest.fixture
def author(trunk: Branch) -> Actor:
    return make_person(trunk.project)


def fork_as(actor: Actor, parent: Branch, seq: int = 2) -> Branch:
    made = fork_branch(parent_id=parent.pk, fork_seq=seq, actor=actor, override="Dose = 50mg")
    append(made.branch, make_message("assistant", "B"))
    push(made.branch)
    return made.branch


def merge(winner: Branch, loser: Branch, actor: Actor) -> Merge:
    heads: dict[UUID, bytes] = {b.pk: bytes(b.head_digest) for b in (winner, loser)}
    return merge_through_gate(
        winner_id=winner.pk, loser_ids=[loser.pk], actor=actor, expected_heads=heads
    )


def judge(winner: Branch, loser: Branch, reviewer: Actor) -> None:
    comparison = open_comparison(left=winner.pk, right=loser.pk, actor=reviewer)
    sides = draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
    choice = "left" if sides.left.branch.pk == winner.pk else "right"
    label_comparison(comparison_id=comparison.pk, actor=reviewer, choice=choice)


def test_who_wrote_the_override_does_not_merge_alone(trunk: Branch, author: Actor) -> None:
    winner = fork_as(author, trunk)
    judge(winner, trunk, author)
    with pytest.raises(SecondPersonNeeded):
        merge(winner, trunk, author)
    assert (Merge.objects.count(), GateDecision.objects.count()) == (0, 0)
    assert merge(winner, trunk, make_person(trunk.project)).winner == winner


def test_another_persons_judgement_of_this_head_lets_it_through(
    trunk: Branch, author: Actor
) -> None:
    winner = fork_as(author, trunk)
    judge(winner, trunk, make_person(trunk.project))
    append(winner, make_message("assistant", "One more thing."))
    push(winner)
    with pytest.raises(SecondPersonNeeded):
        merge(winner, trunk, author)
    judge(winner, trunk, make_person(trunk.project))
    assert merge(winner, trunk, author).winner == winner


def test_a_fork_of_ones_own_fork_is_still_ones_own(trunk: Branch, author: Actor) -> None:
    first = fork_as(author, trunk)
    winner = fork_as(make_person(trunk.project), first, first.head_seq)
    with pytest.raises(SecondPersonNeeded):
        merge(winner, trunk, author)


@pytest.mark.parametrize("shape", ["shared", "others", "off"])
def test_what_is_no_concern_of_the_rule_merges(shape: str, trunk: Branch, author: Actor) -> None:
    shapes: dict[str, Callable[[], Made]] = {
        "shared": lambda: (_sibling(own), _sibling(own)),
        "others": lambda: (_sibling(trunk), fork_as(author, trunk)),
        "off": lambda: (fork_as(author, trunk), trunk),
    }
    own = fork_as(author, trunk)
    if shape == "off":
        Project.objects.filter(pk=trunk.project_id).update(separate_duties=False)
    winner, loser = shapes[shape]()
    push(winner)
    assert merge(winner, loser, author).winner == winner


def _sibling(parent: Branch) -> Branch:
    made = make_fork(parent, parent.head_seq).branch
    append(made, make_message("assistant", "C"))
    return made


def test_the_api_names_the_refusal(trunk: Branch) -> None:
    user = make_user(trunk.project, Role.ADMIN)
    api = Api(user=user)
    forked = api.post(f"branches/{trunk.pk}/forks", {"fork_seq": 2, "override": "Dose = 50mg"})
    winner = Branch.objects.get(pk=forked.json()["branch"])
    push(winner)
    heads = {str(b.pk): bytes(b.head_digest).hex() for b in (winner, trunk)}
    body = {"winner": str(winner.pk), "losers": [str(trunk.pk)], "expected_heads": heads}
    problem(api.post("merges", body), 409, "second_person_needed")
    bypass = {**body, "bypass_reason": "in a hurry"}
    problem(api.post("merges", bypass), 409, "second_person_needed")
