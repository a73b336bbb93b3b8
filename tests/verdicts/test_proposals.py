"""Pairs that rules propose: which, when, to how many, and never twice."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from branches.models import Branch
from branches.steering import complete_branch
from tests.make import (
    append,
    make_fork,
    make_key,
    make_message,
    make_person,
    make_project,
    make_run,
    make_user,
)
from tests.verdicts.make import make_issue, push
from verdicts.comparisons import draw_sides, label_comparison, open_comparison
from verdicts.domain.pairing import PairRule
from verdicts.models import Comparison, PairCursor, PairRules
from verdicts.pair_rules import BadPairRules, PairReasonMissing, change_pair_rules
from verdicts.proposals import propose_finished
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.inbox.models import Item
from verel_site.inbox.sweeps import sweep_inbox
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db

EVERY = PairRule(on_finished=True)


def rule(project: Project, wanted: PairRule = EVERY) -> PairRules:
    return change_pair_rules(project_id=project.pk, actor=SYSTEM, rule=wanted)


def make_trunk(project: Project) -> Branch:
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose."))
    return trunk


def finish(branch: Branch, text: str) -> Branch:
    append(branch, make_message("assistant", text))
    return complete_branch(branch_id=branch.pk, actor=SYSTEM)


def make_forks(trunk: Branch, count: int = 2) -> list[Branch]:
    return [make_fork(trunk, 2, f"Dose = {n}mg").branch for n in range(count)]


def finish_pair(project: Project, word: str = "done") -> list[Branch]:
    forks = make_forks(make_trunk(project))
    return [finish(fork, f"{word} {fork.number}") for fork in forks]


def pairs() -> list[set[object]]:
    return [{row.first_id, row.second_id} for row in Comparison.objects.order_by("created_at")]


def test_nothing_is_proposed_before_a_project_says_so(project: Project) -> None:
    finish_pair(project)
    sweep_inbox()
    assert not Comparison.objects.exists()


def test_two_finished_siblings_are_proposed_once(project: Project) -> None:
    made = rule(project)
    first, second = make_forks(make_trunk(project))
    finish(first, "done")
    sweep_inbox()
    assert not Comparison.objects.exists(), "one alone is no pair"
    finish(second, "done too")
    sweep_inbox()
    sweep_inbox()
    (pair,) = Comparison.objects.all()
    assert {pair.first_id, pair.second_id} == {first.pk, second.pk}
    assert (pair.cause, pair.rules_version) == ("finished", made.version)
    item = Item.objects.get(subject=pair.pk)
    assert (item.required, item.state) == (1, "open")
    entry = AuditEntry.objects.get(action="comparison.open")
    assert b'"rules_version":1' in bytes(entry.body)


def test_a_fork_is_held_against_what_its_parent_went_on_to_do(project: Project) -> None:
    rule(project)
    trunk = make_trunk(project)
    fork, sibling = make_forks(trunk)
    finish(trunk, "10 mL")
    finish(fork, "5 mL")
    finish(sibling, "6 mL")
    sweep_inbox()
    assert {frozenset(map(str, pair)) for pair in pairs()} == {
        frozenset((str(trunk.pk), str(fork.pk))),
        frozenset((str(trunk.pk), str(sibling.pk))),
    }


def test_what_finished_before_the_rules_held_is_left_alone(project: Project) -> None:
    finish_pair(project)
    rule(project)
    sweep_inbox()
    assert not Comparison.objects.exists()
    rule(project, PairRule())
    assert not PairCursor.objects.exists()
    finish_pair(project)
    rule(project)
    sweep_inbox()
    assert not Comparison.objects.exists(), "nor what finished while they did not"


def test_another_projects_rules_do_not_hold_here(project: Project) -> None:
    rule(make_project())
    finish_pair(project)
    sweep_inbox()
    assert not Comparison.objects.exists()


def test_a_pair_that_was_opened_by_hand_stays_that_one(project: Project) -> None:
    rule(project, PairRule(on_finished=True, reviewers=3))
    one, other = finish_pair(project)
    by_hand = open_comparison(left=one.pk, right=other.pk, actor=SYSTEM)
    sweep_inbox()
    (pair,) = Comparison.objects.all()
    assert (pair.pk, pair.cause) == (by_hand.pk, "hand")
    assert Item.objects.get(subject=pair.pk).required == 1


def test_a_sampling_rate_takes_the_same_pairs_every_time(project: Project) -> None:
    rule(project, PairRule(on_finished=True, sample_percent=50))
    for n in range(12):
        finish_pair(project, f"answer {n}")
    sweep_inbox()
    drawn = {frozenset(map(str, pair)) for pair in pairs()}
    assert 0 < len(drawn) < 12
    PairCursor.objects.update(position=0)
    sweep_inbox()
    assert {frozenset(map(str, pair)) for pair in pairs()} == drawn


def test_reviewers_are_as_many_as_the_rules_say(project: Project) -> None:
    rule(project, PairRule(on_finished=True, reviewers=2, overlap_percent=100))
    finish_pair(project)
    sweep_inbox()
    assert Item.objects.get(kind="comparison").required == 3


def test_graders_that_disagree_over_a_pair_propose_it(project: Project) -> None:
    rule(project, PairRule(on_disputed=True))
    one, other = finish_pair(project)
    push(one, "test")
    push(other, "test", [make_issue()])
    push(one, "llm_judge", [make_issue(source="llm_judge", kind="intent_mismatch")])
    sweep_inbox()
    assert not Comparison.objects.exists(), "the judge has not seen the other one"
    push(other, "llm_judge")
    sweep_inbox()
    (pair,) = Comparison.objects.all()
    assert (pair.cause, {pair.first_id, pair.second_id}) == ("disputed", {one.pk, other.pk})
    sweep_inbox()
    assert Comparison.objects.count() == 1


def test_graders_that_agree_propose_nothing(project: Project) -> None:
    rule(project, PairRule(on_disputed=True))
    one, other = finish_pair(project)
    for grader in ("test", "llm_judge"):
        push(one, grader)
        push(other, grader, [make_issue(source=grader)])
    sweep_inbox()
    assert not Comparison.objects.exists()


def test_a_persons_correction_is_not_proposed(project: Project) -> None:
    rule(project)
    one, other = finish_pair(project)
    sweep_inbox()
    pair = Comparison.objects.get()
    ines = make_person(project)
    draw_sides(comparison_id=pair.pk, reviewer=ines)
    label_comparison(comparison_id=pair.pk, actor=ines, choice="left", corrected="Better.")
    sweep_inbox()
    assert pairs() == [{one.pk, other.pk}]


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_propose_a_pair_once(project: Project) -> None:
    rule(project)
    for _ in range(3):
        finish_pair(project)

    def sweep(_: int) -> None:
        try:
            propose_finished(50)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sweep, range(8)))
    assert Comparison.objects.count() == 3
    assert Item.objects.filter(kind="comparison").count() == 3
    assert AuditEntry.objects.filter(action="comparison.open").count() == 3


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        (PairRule(sample_percent=0), "/sample_percent"),
        (PairRule(sample_percent=101), "/sample_percent"),
        (PairRule(reviewers=0), "/reviewers"),
        (PairRule(overlap_percent=101), "/overlap_percent"),
        (PairRule(reviewers=True), "/reviewers"),
    ],
)
def test_rules_out_of_bounds_are_refused(project: Project, wrong: PairRule, pointer: str) -> None:
    with pytest.raises(BadPairRules) as refused:
        rule(project, wrong)
    assert refused.value.pointer == pointer
    assert not PairRules.objects.exists()


def test_an_admin_changes_the_rules_with_a_reason_and_versions_stay(project: Project) -> None:
    with pytest.raises(Forbidden):
        change_pair_rules(project_id=project.pk, actor=make_person(project), rule=EVERY)
    admin = make_person(project, Role.ADMIN)
    with pytest.raises(PairReasonMissing):
        change_pair_rules(project_id=project.pk, actor=admin, rule=EVERY)
    change_pair_rules(project_id=project.pk, actor=admin, rule=EVERY, reason="try it")
    change_pair_rules(project_id=project.pk, actor=admin, rule=PairRule(), reason="too many")
    assert list(PairRules.objects.order_by("version").values_list("version", "on_finished")) == [
        (1, True),
        (2, False),
    ]
    entries = AuditEntry.objects.filter(action="pairs.change_rules").order_by("number")
    assert [entry.reason for entry in entries] == ["try it", "too many"]


def test_the_page_changes_them_and_keeps_what_was_refused(client: Client, project: Project) -> None:
    client.force_login(make_user(project, Role.ADMIN))
    address = reverse("pair-rules", args=[project.slug])
    wrong = client.post(address, {"on_finished": "1", "sample_percent": "0", "reason": "try it"})
    assert wrong.status_code == 422
    assert "Nothing was changed" in wrong.content.decode()
    assert 'value="try it"' in wrong.content.decode()
    worse = client.post(address, {"reviewers": "many", "reason": "x"})
    assert worse.status_code == 422
    right = client.post(address, {"on_finished": "1", "sample_percent": "25", "reason": "try it"})
    assert right.status_code == 302
    finish_pair(project)
    with CaptureQueriesContext(connection) as few:
        page = client.get(address).content.decode()
    assert "Make it version 2" in page
    assert "25 %" in page
    for _ in range(3):
        finish_pair(project)
        sweep_inbox()
    with CaptureQueriesContext(connection) as many:
        client.get(address)
    assert len(few) == len(many)
    client.force_login(make_user(project, Role.VIEWER))
    assert "An admin of the project may change them" in client.get(address).content.decode()
    assert client.post(address, {"on_finished": "1", "reason": "x"}).status_code == 403


def test_the_api_tells_and_changes_them(client: Client, project: Project) -> None:
    key = {"Authorization": f"Bearer {make_key(project, 'admin')}"}
    address = f"/api/v1/projects/{project.slug}/pair-rules"
    assert client.get(address, headers=key).json()["version"] == 0
    made = client.post(
        address,
        {"on_disputed": True, "reviewers": 2},
        content_type="application/json",
        headers=key,
    )
    assert (made.status_code, made.json()["reviewers"]) == (201, 2)
    wrong = client.post(address, {"reviewers": 99}, content_type="application/json", headers=key)
    assert (wrong.status_code, wrong.json()["pointer"]) == (400, "/reviewers")
