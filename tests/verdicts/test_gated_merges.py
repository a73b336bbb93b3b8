from uuid import UUID

import pytest

from branches.models import Branch, Merge
from tests.make import append, make_fork, make_message, make_person, make_run
from tests.verdicts.make import push
from verdicts.comparisons import draw_sides, label_comparison, open_comparison
from verdicts.gated_merges import HeadsMissing, merge_through_gate
from verdicts.models import GateDecision
from verel_site.access.rights import Role
from verel_site.kit.refusals import Forbidden, NotFound

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair() -> tuple[Branch, Branch]:
    trunk = make_run()[1]
    append(trunk, make_message("user", "Go"))
    winner = make_fork(trunk, 2).branch
    append(winner, make_message("assistant", "B"))
    push(winner)
    return winner, trunk


def heads(*branches: Branch) -> dict[UUID, bytes]:
    return {branch.pk: bytes(branch.head_digest) for branch in branches}


def test_a_merge_keeps_the_gates_word_beside_it(pair: tuple[Branch, Branch]) -> None:
    winner, loser = pair
    merge = merge_through_gate(
        winner_id=winner.pk,
        loser_ids=[loser.pk],
        actor=make_person(winner.project),
        expected_heads=heads(winner, loser),
    )
    decision = GateDecision.objects.get()
    assert (decision.branch_id, decision.open) == (winner.pk, True)
    assert merge.admission["head_digest"] == bytes(decision.head_digest).hex()


def test_a_triplet_keeps_the_scores_of_who_judged_its_sides(pair: tuple[Branch, Branch]) -> None:
    winner, loser = pair
    append(loser, make_message("assistant", "A"))
    judge = make_person(winner.project)
    comparison = open_comparison(left=winner.pk, right=loser.pk, actor=judge)
    swapped = draw_sides(comparison_id=comparison.pk, reviewer=judge).left.branch.pk != winner.pk
    side = "right" if swapped else "left"
    label_comparison(
        comparison_id=comparison.pk, actor=judge, choice=side, strength=4, scores={"correct": 2}
    )
    other = make_fork(loser, 2).branch
    append(other, make_message("assistant", "C"))
    merge = merge_through_gate(
        winner_id=winner.pk,
        loser_ids=[loser.pk, other.pk],
        actor=judge,
        expected_heads=heads(winner, loser, other),
    )
    over_loser, over_other = (
        merge.triplets.get(rejected_branch=branch).metadata for branch in (loser, other)
    )
    [told] = over_loser["judgements"]
    assert (told["choice"], told["strength"], told["scores"]) == (side, 4, {"correct": 2})
    assert told["reviewer"] == merge.by_name
    assert over_other["judgements"] == []
    assert "judgements" not in over_loser["gate"]


def test_a_head_that_nobody_looked_at_takes_the_merge_back(pair: tuple[Branch, Branch]) -> None:
    winner, loser = pair
    with pytest.raises(HeadsMissing):
        merge_through_gate(
            winner_id=winner.pk,
            loser_ids=[loser.pk],
            actor=make_person(winner.project),
            expected_heads=heads(winner),
        )
    assert (Merge.objects.count(), GateDecision.objects.count()) == (0, 0)
    winner.refresh_from_db()
    assert winner.status == "running"


def test_strangers_find_no_branch_and_viewers_may_not(pair: tuple[Branch, Branch]) -> None:
    winner, loser = pair
    for actor, refusal in [
        (make_person(make_run()[0].project), NotFound),
        (make_person(winner.project, Role.VIEWER), Forbidden),
    ]:
        with pytest.raises(refusal):
            merge_through_gate(
                winner_id=winner.pk,
                loser_ids=[loser.pk],
                actor=actor,
                expected_heads=heads(winner, loser),
            )
