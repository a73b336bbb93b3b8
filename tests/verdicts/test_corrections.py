"""A corrected output becomes a branch: where it forks, what it says, what it teaches, its undo."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from branches.models import Branch, Directive, Event, Triplet
from branches.selectors.events import payload_of
from branches.storage.pairs import column_json
from tests.make import (
    append,
    make_fork,
    make_message,
    make_person,
    make_run,
    make_user,
)
from tests.sound import faults_of
from tests.verdicts.compare_page.pages import approve, page_of, submit
from tests.verdicts.make import make_pair, push, side_of
from verdicts.comparisons import BadLabel, draw_sides, label_comparison, open_comparison
from verdicts.corrections import NothingCorrected
from verdicts.models import Comparison, Label
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user, set_member
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.inbox.decisions import decide_item, undo_decision
from verel_site.inbox.models import Item
from verel_site.inbox.sweeps import sweep_inbox

pytestmark = pytest.mark.django_db

BETTER = "5 mL, and never more than 50 mg."


@pytest.fixture
def pair(project: Project) -> tuple[Branch, Branch]:
    return make_pair(project, "Go on.")


@pytest.fixture
def comparison(pair: tuple[Branch, Branch]) -> Comparison:
    return open_comparison(left=pair[0].pk, right=pair[1].pk, actor=SYSTEM)


def correct(comparison: Comparison, actor: Actor, branch: Branch, **extra: Any) -> Label:
    choice = side_of(comparison, actor, branch)
    fields = {"choice": choice, "corrected": BETTER} | extra
    return label_comparison(comparison_id=comparison.pk, actor=actor, **fields)


def test_a_correction_stands_in_place_of_the_better_sides_answer(
    pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    good, _ = pair
    label = correct(comparison, actor_of_user(ines), good)
    made = label.correction
    assert made is not None
    answer = Event.objects.filter(branch=good).latest("seq")
    assert (made.parent_id, made.fork_seq) == (good.pk, answer.seq - 1)
    assert (made.status, made.claimable, made.forked_by) == ("completed", False, "Ines Kaur")
    said = payload_of(Event.objects.get(branch=made, type="data.message.assistant"))
    assert said["content"] == BETTER
    assert said["by"]["name"] == "Ines Kaur"
    assert said["label"] == str(label.pk)
    assert said["corrects"] == {"branch": str(good.pk), "event": str(answer.event_id)}
    entry = AuditEntry.objects.get(action="comparison.correct")
    assert entry.actor_name == "Ines Kaur"
    assert str(made.pk) in bytes(entry.body).decode()
    assert not Directive.objects.filter(branch=made).exists(), "nothing is told to an agent"


def test_the_compared_heads_stay_as_they_are(
    pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    before = {branch.pk: bytes(branch.head_digest) for branch in pair}
    correct(comparison, actor_of_user(ines), pair[0])
    for branch in pair:
        branch.refresh_from_db()
    assert {branch.pk: bytes(branch.head_digest) for branch in pair} == before


@pytest.mark.parametrize("choice", ["equal", "both_bad"])
def test_of_two_that_are_both_bad_the_named_side_is_corrected(
    pair: tuple[Branch, Branch], comparison: Comparison, ines: User, choice: str
) -> None:
    actor = actor_of_user(ines)
    named = side_of(comparison, actor, pair[1])
    label = correct(comparison, actor, pair[1], choice=choice, corrected_of=named)
    assert label.correction is not None
    assert label.correction.parent_id == pair[1].pk
    assert label.chosen_id is None


def test_an_answer_right_after_the_fork_is_corrected_from_the_fork(
    project: Project, ines: User
) -> None:
    """What the parent went on to say is corrected from before it said so."""
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose."))
    fork = make_fork(trunk, 2).branch
    append(trunk, make_message("assistant", "10 mL"))
    append(fork, make_message("assistant", "5 mL"))
    comparison = open_comparison(left=trunk.pk, right=fork.pk, actor=SYSTEM)
    label = correct(comparison, actor_of_user(ines), trunk)
    assert label.correction is not None
    assert (label.correction.parent_id, label.correction.fork_seq) == (trunk.pk, 2)


def test_a_side_without_an_answer_gets_one_after_its_last_event(
    project: Project, ines: User
) -> None:
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose."))
    quiet, other = (make_fork(trunk, 2, f"Dose = {n}mg").branch for n in (1, 2))
    append(other, make_message("assistant", "5 mL"))
    comparison = open_comparison(left=quiet.pk, right=other.pk, actor=SYSTEM)
    label = correct(comparison, actor_of_user(ines), quiet)
    assert label.correction is not None
    quiet.refresh_from_db()
    assert (label.correction.parent_id, label.correction.fork_seq) == (quiet.pk, quiet.head_seq)


def test_what_says_the_same_or_names_no_side_is_refused_with_nothing_written(
    pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    actor = actor_of_user(ines)
    with pytest.raises(NothingCorrected) as refused:
        correct(comparison, actor, pair[0], corrected=f" {pair[0].override}\n")
    assert refused.value.pointer == "/corrected"
    with pytest.raises(BadLabel) as wrong:
        correct(comparison, actor, pair[0], corrected_of="up")
    assert wrong.value.pointer == "/corrected_of"
    assert not Label.objects.exists()
    assert Branch.objects.count() == 3


def test_an_undo_within_ten_seconds_abandons_the_correction(
    pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    actor = actor_of_user(ines)
    item = Item.objects.get(subject=comparison.pk)
    side = side_of(comparison, actor, pair[0])
    decision = decide_item(
        item_id=item.pk,
        actor=actor,
        answer=side,
        digest=item.digest,
        fields={"corrected": BETTER},
    )
    made = Label.objects.get().correction
    assert made is not None
    undo_decision(decision_id=decision.pk, actor=actor)
    made.refresh_from_db()
    assert made.status == "abandoned"
    assert not Label.objects.standing().exists()
    again = correct(comparison, actor, pair[0])
    assert again.correction_id not in (None, made.pk), "judged again it is another branch"


def test_a_correction_wins_over_both_sides_and_its_provenance_stays_with_the_triplets(
    client: Client, pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    client.force_login(ines)
    actor = actor_of_user(ines)
    answered = submit(
        client,
        comparison,
        ines,
        choice=side_of(comparison, actor, pair[0]),
        corrected=BETTER,
        strength="4",
    )
    assert answered.status_code == 302
    label = Label.objects.get()
    made = label.correction
    assert made is not None
    assert label.strength == 4
    assert "The gate is shut to it" in page_of(client, comparison), "nobody graded it"
    assert approve(client, comparison, ines, corrected="1").status_code == 409
    push(made)
    assert "Merge it over both" in page_of(client, comparison)
    assert approve(client, comparison, ines, corrected="1").status_code == 302
    triplets = {row.rejected_branch_id: row for row in Triplet.objects.all()}
    assert triplets.keys() == {branch.pk for branch in pair}
    of_good = triplets[pair[0].pk]
    assert column_json(of_good, "chosen")[0]["content"] == BETTER
    assert column_json(of_good, "rejected")[0]["content"] == pair[0].override
    told = of_good.metadata["gate"]["correction"]
    assert (told["by"], told["label"], told["of"]) == (
        "Ines Kaur",
        str(label.pk),
        str(pair[0].pk),
    )


def test_a_correction_is_no_branch_while_others_have_yet_to_judge(
    client: Client, project: Project, pair: tuple[Branch, Branch], ines: User
) -> None:
    """In the run, in search and in lists of branches it would tell what a peer thinks."""
    comparison = open_comparison(left=pair[0].pk, right=pair[1].pk, actor=SYSTEM, required=2)
    correct(comparison, actor_of_user(ines), pair[0])
    client.force_login(ines)
    assert "once nobody is asked" in page_of(client, comparison)
    other = make_user(project)
    reader = Client()
    reader.force_login(other)
    run = pair[0].run_id
    for address in (
        reverse("run", args=[run]),
        reverse("compare-open", args=[run]),
        f"/api/v1/runs/{run}/tree",
        f"/api/v1/events?run={run}",
        f"/api/v1/search?project={project.slug}&q=never+more",
        reverse("search", args=[project.slug]) + "?q=never+more+than",
        reverse("comparison", args=[comparison.pk]),
    ):
        answer = reader.get(address)
        assert answer.status_code == 200
        text = answer.content.decode()
        assert "correction of" not in text
        assert BETTER not in text
    correct(comparison, actor_of_user(other), pair[1], corrected="")
    made = Label.objects.get(reviewer=ines).correction
    assert made is not None
    assert made.forked_by == "Ines Kaur", "it is hers, whoever judged last"


def test_a_correction_of_a_pair_that_waits_no_more_is_made_by_the_sweep(
    project: Project, pair: tuple[Branch, Branch], ines: User
) -> None:
    comparison = open_comparison(left=pair[0].pk, right=pair[1].pk, actor=SYSTEM, required=2)
    label = correct(comparison, actor_of_user(ines), pair[0])
    append(pair[1], make_message("assistant", "more"))
    append(pair[0], make_message("assistant", "more here too"))
    sweep_inbox()
    sweep_inbox()
    label.refresh_from_db()
    assert label.correction is not None
    assert label.correction.parent_id == pair[0].pk
    events = Event.objects.filter(branch=label.correction, type="data.message.assistant")
    assert [payload_of(event)["content"] for event in events] == [BETTER]
    assert faults_of(project.pk) == []


def test_who_may_fork_no_more_holds_up_nobody(
    project: Project, pair: tuple[Branch, Branch], ines: User
) -> None:
    comparison = open_comparison(left=pair[0].pk, right=pair[1].pk, actor=SYSTEM, required=2)
    label = correct(comparison, actor_of_user(ines), pair[0])
    set_member(project=project, user=ines, role=Role.VIEWER)
    correct(comparison, make_person(project), pair[1], corrected="")
    label.refresh_from_db()
    assert (label.correction, label.corrected, label.corrected_side) == (None, BETTER, None)


def test_the_form_keeps_a_correction_that_is_refused(
    client: Client, pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    client.force_login(ines)
    side = side_of(comparison, actor_of_user(ines), pair[0])
    answered = submit(client, comparison, ines, choice=side, corrected=pair[0].override)
    assert answered.status_code == 422
    assert pair[0].override in answered.content.decode().split('name="corrected"')[1]


def test_the_api_takes_a_correction_and_tells_its_branch(
    client: Client, pair: tuple[Branch, Branch], comparison: Comparison, ines: User
) -> None:
    client.force_login(ines)
    sides = draw_sides(comparison_id=comparison.pk, reviewer=actor_of_user(ines))
    body = {"choice": "left", "corrected": BETTER, "corrected_of": "right"}
    told = client.post(
        f"/api/v1/comparisons/{comparison.pk}/label", body, content_type="application/json"
    )
    assert told.status_code == 201
    made = Branch.objects.get(pk=told.json()["correction"])
    assert made.parent_id == sides.right.branch.pk


def test_another_reviewers_correction_is_not_ones_own_to_merge(
    client: Client,
    project: Project,
    pair: tuple[Branch, Branch],
    comparison: Comparison,
    ines: User,
) -> None:
    other = make_person(project)
    correct(comparison, other, pair[0])
    correct(comparison, actor_of_user(ines), pair[0], corrected="")
    client.force_login(ines)
    refused = approve(client, comparison, ines, corrected="1")
    assert refused.status_code == 409
