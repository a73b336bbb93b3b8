from typing import Any
from uuid import uuid4

import pytest

from branches.models import Branch
from branches.steering import pause_branch
from tests.make import append, make_fork, make_message, make_person, make_project, make_run
from verdicts.comparisons import (
    AlreadyLabelled,
    BadLabel,
    HeadMoved,
    LabelWithdrawn,
    PairRefused,
    SidesNotDrawn,
    draw_sides,
    label_comparison,
    open_comparison,
    withdraw_label,
)
from verdicts.models import Comparison, Label
from verdicts.selectors import read_comparison, read_labels
from verel_site.access.actors import SYSTEM, Actor, key_actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import Forbidden, NotFound, Refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def pair(project: Project) -> tuple[Branch, Branch]:
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose."))
    fork = make_fork(trunk, trunk.head_seq).branch
    append(trunk, make_message("assistant", "10 mL"))
    append(fork, make_message("assistant", "5 mL"))
    return trunk, fork


@pytest.fixture
def reviewer(project: Project) -> Actor:
    return make_person(project)


def compare(pair: tuple[Branch, Branch]) -> Comparison:
    return open_comparison(left=pair[0].pk, right=pair[1].pk, actor=SYSTEM)


def label(comparison: Comparison, reviewer: Actor, choice: str = "left", **extra: Any) -> Label:
    draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
    return label_comparison(comparison_id=comparison.pk, actor=reviewer, choice=choice, **extra)


def test_a_pair_has_no_order_and_one_comparison(pair: tuple[Branch, Branch]) -> None:
    one = open_comparison(left=pair[0].pk, right=pair[1].pk, actor=SYSTEM)
    two = open_comparison(left=pair[1].pk, right=pair[0].pk, actor=SYSTEM)
    assert one == two
    assert one.first_id.bytes < one.second_id.bytes
    append(pair[0], make_message("assistant", "more"))
    assert compare(pair) != one, "another head is another comparison"


def test_what_is_no_pair_is_refused(project: Project, pair: tuple[Branch, Branch]) -> None:
    trunk, fork = pair
    _, elsewhere = make_run(project)
    for other in (trunk, elsewhere):
        with pytest.raises(PairRefused):
            open_comparison(left=trunk.pk, right=other.pk, actor=SYSTEM)
    with pytest.raises(NotFound):
        open_comparison(left=trunk.pk, right=uuid4(), actor=SYSTEM)
    stranger = make_person(make_project())
    with pytest.raises(NotFound):
        open_comparison(left=trunk.pk, right=fork.pk, actor=stranger)
    with pytest.raises(Forbidden):
        open_comparison(left=trunk.pk, right=fork.pk, actor=make_person(project, Role.VIEWER))


def test_two_heads_of_the_same_content_are_not_compared(project: Project) -> None:
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose."))
    one, two = (make_fork(trunk, trunk.head_seq, "Dose = 50mg").branch for _ in range(2))
    with pytest.raises(PairRefused):
        open_comparison(left=one.pk, right=two.pk, actor=SYSTEM)


def test_sides_are_drawn_once_for_each_reviewer(
    project: Project, pair: tuple[Branch, Branch]
) -> None:
    comparison = compare(pair)
    drawn = set()
    for _ in range(40):
        reviewer = make_person(project)
        sides = draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
        again = draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
        assert (again.left.branch, again.right.branch) == (sides.left.branch, sides.right.branch)
        assert {sides.left.branch, sides.right.branch} == set(pair)
        drawn.add(sides.left.branch.pk)
    assert len(drawn) == 2, "both orders come up"


@pytest.mark.parametrize("choice", ["left", "right"])
def test_a_side_becomes_the_branch_that_the_reviewer_saw_there(
    pair: tuple[Branch, Branch], reviewer: Actor, choice: str
) -> None:
    comparison = compare(pair)
    sides = draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
    given = label(comparison, reviewer, choice, strength=3, scores={"safety": 0.5})
    picked = sides.left if choice == "left" else sides.right
    assert (given.choice, given.chosen) == (choice, picked.branch)
    assert {given.chosen, given.rejected} == set(pair)
    assert (given.strength, given.scores) == (3, {"safety": 0.5})
    entry = AuditEntry.objects.get(action="comparison.label")
    assert entry.actor_name == reviewer.name


@pytest.mark.parametrize("choice", ["equal", "both_bad"])
def test_equal_and_both_bad_choose_no_branch(
    pair: tuple[Branch, Branch], reviewer: Actor, choice: str
) -> None:
    given = label(compare(pair), reviewer, choice, corrected="5 mL, slowly")
    assert (given.chosen, given.rejected, given.corrected) == (None, None, "5 mL, slowly")


def test_one_label_stands_per_reviewer(
    project: Project, pair: tuple[Branch, Branch], reviewer: Actor
) -> None:
    comparison = compare(pair)
    label(comparison, reviewer)
    with pytest.raises(AlreadyLabelled):
        label(comparison, reviewer, "right")
    label(comparison, make_person(project), "right")
    assert Label.objects.standing().count() == 2


def test_a_label_of_an_unseen_pair_is_refused(pair: tuple[Branch, Branch], reviewer: Actor) -> None:
    comparison = compare(pair)
    with pytest.raises(SidesNotDrawn):
        label_comparison(comparison_id=comparison.pk, actor=reviewer, choice="left")


def test_a_label_is_refused_when_a_side_has_grown(
    pair: tuple[Branch, Branch], reviewer: Actor
) -> None:
    comparison = compare(pair)
    sides = draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
    append(pair[0], make_message("assistant", "more"), make_message("assistant", "and more"))
    with pytest.raises(HeadMoved) as refused:
        label(comparison, reviewer)
    (moved,) = refused.value.extra["moved"]
    side = "left" if sides.left.branch == pair[0] else "right"
    assert (moved["side"], moved["new_events"]) == (side, 2)
    assert bytes(pair[0].head_digest).hex() not in str(refused.value.extra)
    assert not Label.objects.exists()


def test_a_pause_is_no_move(pair: tuple[Branch, Branch], reviewer: Actor) -> None:
    comparison = compare(pair)
    pause_branch(branch_id=pair[0].pk, actor=SYSTEM, reason="wait")
    assert label(comparison, reviewer).choice == "left"


def test_a_label_of_other_content_than_was_seen_is_refused(
    pair: tuple[Branch, Branch], reviewer: Actor
) -> None:
    comparison = compare(pair)
    sides = draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
    left, right = sides.seals
    for wrong in ("00" * 32, left, sides.left.head_digest.hex(), ""):
        with pytest.raises(HeadMoved) as refused:
            label(comparison, reviewer, seen_heads={"left": left, "right": wrong})
        assert [moved["side"] for moved in refused.value.extra["moved"]] == ["right"]
    assert label(comparison, reviewer, seen_heads={"left": left, "right": right}).choice == "left"


def test_a_digest_says_as_well_as_its_seal_what_was_looked_at(
    pair: tuple[Branch, Branch], reviewer: Actor
) -> None:
    comparison = compare(pair)
    sides = draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
    seen = {"left": sides.left.head_digest.hex(), "right": sides.right.head_digest.hex()}
    assert label(comparison, reviewer, seen_heads=seen).choice == "left"


def test_a_seal_is_of_one_reviewer_one_pair_and_one_side(pair: tuple[Branch, Branch]) -> None:
    comparison = compare(pair)
    people = [make_person(comparison.project) for _ in range(2)]
    drawn = [draw_sides(comparison_id=comparison.pk, reviewer=each) for each in people]
    append(pair[0], make_message("assistant", "more"))
    pair[0].refresh_from_db()
    newer = compare(pair)
    later = draw_sides(comparison_id=newer.pk, reviewer=people[0])
    seals = [seal for sides in (*drawn, later) for seal in sides.seals]
    assert len(set(seals)) == 6
    theirs = dict(zip(("left", "right"), later.seals, strict=True))
    with pytest.raises(HeadMoved):
        label(newer, people[1], seen_heads=theirs)
    assert label(newer, people[0], seen_heads=theirs).choice == "left"


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"choice": "mine"}, "/choice"),
        ({"strength": 0}, "/strength"),
        ({"strength": 6}, "/strength"),
        ({"strength": True}, "/strength"),
        ({"strength": "3"}, "/strength"),
        ({"scores": [1]}, "/scores"),
        ({"scores": {"a/b": "high"}}, "/scores/a~1b"),
        ({"scores": {"a": float("nan")}}, "/scores/a"),
        ({"rationale": 7}, "/rationale"),
        ({"rationale": "a\x00"}, "/rationale"),
        ({"corrected": "x" * 200_001}, "/corrected"),
    ],
)
def test_a_bad_label_is_refused_with_a_pointer(
    pair: tuple[Branch, Branch], reviewer: Actor, wrong: dict[str, Any], pointer: str
) -> None:
    comparison = compare(pair)
    draw_sides(comparison_id=comparison.pk, reviewer=reviewer)
    fields = {"choice": "left"} | wrong
    with pytest.raises(Refusal) as refused:
        label_comparison(comparison_id=comparison.pk, actor=reviewer, **fields)
    assert refused.value.pointer == pointer


def test_a_label_takes_a_person_who_may(project: Project, pair: tuple[Branch, Branch]) -> None:
    comparison = compare(pair)
    key = key_actor(key_id="k", name="ci", project_id=project.pk, scopes=["admin"])
    for actor in (key, make_person(project, Role.VIEWER)):
        with pytest.raises(Forbidden):
            draw_sides(comparison_id=comparison.pk, reviewer=actor)
    stranger = make_person(make_project(), Role.ADMIN)
    with pytest.raises(NotFound):
        draw_sides(comparison_id=comparison.pk, reviewer=stranger)
    with pytest.raises(NotFound):
        read_comparison(actor=stranger, comparison_id=comparison.pk)


def test_a_withdrawn_label_stays_and_makes_room_for_another(
    pair: tuple[Branch, Branch], reviewer: Actor
) -> None:
    comparison = compare(pair)
    first = label(comparison, reviewer)
    withdraw_label(label_id=first.pk, actor=reviewer)
    with pytest.raises(LabelWithdrawn):
        withdraw_label(label_id=first.pk, actor=reviewer)
    second = label(comparison, reviewer, "right")
    assert list(Label.objects.standing()) == [second]
    assert Label.objects.count() == 2
    assert AuditEntry.objects.filter(action="comparison.withdraw").count() == 1


def test_another_persons_label_is_withdrawn_by_an_admin_with_a_reason(
    project: Project, pair: tuple[Branch, Branch], reviewer: Actor
) -> None:
    given = label(compare(pair), reviewer)
    with pytest.raises(Forbidden):
        withdraw_label(label_id=given.pk, actor=make_person(project), reason="no")
    admin = make_person(project, Role.ADMIN)
    with pytest.raises(BadLabel):
        withdraw_label(label_id=given.pk, actor=admin)
    assert withdraw_label(label_id=given.pk, actor=admin, reason="wrong rubric").withdrawn_at


def test_others_labels_are_hidden_until_ones_own(
    project: Project, pair: tuple[Branch, Branch], reviewer: Actor
) -> None:
    comparison = compare(pair)
    label(comparison, make_person(project))
    assert read_labels(actor=reviewer, comparison=comparison) == []
    label(comparison, reviewer)
    assert len(read_labels(actor=reviewer, comparison=comparison)) == 2
    assert len(read_labels(actor=make_person(project, Role.VIEWER), comparison=comparison)) == 2
