"""Agreement as it is read from stored labels: whose, of which time, and what stays sealed."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from branches.models import Branch
from tests.make import (
    append,
    make_fork,
    make_message,
    make_person,
    make_project,
    make_run,
    make_user,
)
from tests.verdicts.make import make_issue, push
from verdicts.adjudication import adjudicate
from verdicts.agreement import Agreement, agreement_over_time, read_agreement
from verdicts.comparisons import draw_sides, label_comparison, open_comparison
from verdicts.models import Comparison, Label
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user

pytestmark = pytest.mark.django_db

A, B = 0, 1


@pytest.fixture
def reviewers(project: Project) -> list[Actor]:
    return [make_person(project) for _ in range(3)]


def make_pair(project: Project, required: int = 1) -> tuple[Comparison, tuple[Branch, Branch]]:
    """Two forks of one point; the pair's own order is not that of the forks."""
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose."))
    forks = [make_fork(trunk, 2, f"Dose = {n}mg").branch for n in (1, 2)]
    for fork in forks:
        append(fork, make_message("assistant", f"done {fork.number}"))
    pair = open_comparison(left=forks[0].pk, right=forks[1].pk, actor=SYSTEM, required=required)
    return pair, (forks[0], forks[1])


def say(
    pair: Comparison,
    reviewer: Actor,
    said: Branch | str,
    scores: dict[str, Branch] | None = None,
) -> Label:
    """Names a branch, whichever side this reviewer sees it on, or "equal" or "both_bad"."""
    sides = draw_sides(comparison_id=pair.pk, reviewer=reviewer)

    def side_of(branch: Branch) -> str:
        return "left" if sides.left.branch.pk == branch.pk else "right"

    choice = said if isinstance(said, str) else side_of(said)
    numbers = {
        name: -1 if side_of(branch) == "left" else 1 for name, branch in (scores or {}).items()
    }
    return label_comparison(
        comparison_id=pair.pk, actor=reviewer, choice=choice, scores=numbers or None
    )


def judge_pairs(
    project: Project, reviewers: Sequence[Actor], table: Sequence[tuple[int, ...]]
) -> list[tuple[Comparison, tuple[Branch, Branch]]]:
    """One pair a row of the table: which of its forks each reviewer calls the better one."""
    pairs = []
    for row in table:
        pair, forks = make_pair(project, required=len(row))
        for reviewer, at in zip(reviewers, row, strict=False):
            say(pair, reviewer, forks[at])
        pairs.append((pair, forks))
    return pairs


def read(project: Project, since: datetime | None = None) -> Agreement:
    now = timezone.now()
    return read_agreement(
        project_id=project.pk, since=since or now - timedelta(days=1), until=now + timedelta(1)
    )


def test_two_reviewers_agree_by_branch_whichever_side_they_saw_it_on(
    project: Project, reviewers: list[Actor]
) -> None:
    # 8 pairs: 3 both say the first fork, 3 both the second, 2 differ. Sides are drawn at random.
    judge_pairs(project, reviewers[:2], [(A, A)] * 3 + [(B, B)] * 3 + [(A, B)] * 2)
    told = read(project)
    assert (told.labels, told.pairs, told.shared, told.disputed) == (16, 8, 8, 2)
    assert told.overall.percent.value == pytest.approx(6 / 8)
    assert told.overall.kappa is not None
    assert told.overall.kappa.pairs == 8
    assert {line.name for line in told.reviewers} == {actor.name for actor in reviewers[:2]}
    assert all(line.percent.value == pytest.approx(6 / 8) for line in told.reviewers)
    (couple,) = told.couples
    assert couple.percent.pairs == 8


def test_a_reviewer_is_held_against_what_most_of_the_others_said(
    project: Project, reviewers: list[Actor]
) -> None:
    judge_pairs(project, reviewers, [(A, A, A), (A, A, B), (B, B, B), (A, B, B), (A, A, B)])
    told = {line.name: line for line in read(project).reviewers}
    one, _two, three = (told[actor.name] for actor in reviewers)
    # Where the other two differ there is nothing to be held against.
    assert one.percent.pairs == 3
    assert one.percent.value == pytest.approx(2 / 3)
    assert three.percent.pairs == 4
    assert three.percent.value == pytest.approx(2 / 4)
    assert read(project).overall.kappa is None, "Cohen's is a figure of two raters"
    assert read(project).overall.alpha.value is not None


def test_rubric_scores_agree_by_branch_too(project: Project, reviewers: list[Actor]) -> None:
    for _ in range(3):
        pair, (one, other) = make_pair(project, required=2)
        for reviewer, safe in zip(reviewers, (one, other), strict=False):
            say(pair, reviewer, one, scores={"correct": one, "safe": safe})
    told = {question.name: question for question in read(project).questions}
    assert told["correct"].percent.value == 1
    assert told["safe"].percent.value == 0
    assert told["honest"].percent.pairs == 0


def test_a_pair_that_still_waits_for_a_reviewer_tells_nothing(
    project: Project, reviewers: list[Actor]
) -> None:
    pair, (one, other) = make_pair(project, required=3)
    say(pair, reviewers[0], one)
    say(pair, reviewers[1], other)
    assert (read(project).labels, read(project).reviewers) == (0, ())
    say(pair, reviewers[2], one)
    assert read(project).labels == 3


def test_what_is_withdrawn_or_of_another_time_or_project_does_not_count(
    project: Project, reviewers: list[Actor]
) -> None:
    judge_pairs(project, reviewers[:2], [(A, A), (A, B)])
    assert read(make_project()).labels == 0
    assert read(project, since=timezone.now() + timedelta(hours=1)).labels == 0
    Label.objects.update(withdrawn_at=timezone.now())
    assert read(project).labels == 0


def test_a_grader_is_held_against_people_and_their_adjudicator(
    project: Project, reviewers: list[Actor]
) -> None:
    (_agreed, (one, other)), (disputed, (left, right)) = judge_pairs(
        project, reviewers[:2], [(A, A), (A, B)]
    )
    push(one, "llm_judge", [make_issue("warning", source="llm_judge")])
    push(other, "llm_judge", [make_issue("error", source="llm_judge")])
    push(left, "llm_judge", [make_issue("error", source="llm_judge")])
    push(right, "llm_judge")
    (judge,) = read(project).graders
    assert (judge.id, judge.percent.pairs, judge.percent.value) == ("llm_judge", 1, 1)
    sides = draw_sides(comparison_id=disputed.pk, reviewer=reviewers[2])
    choice = "left" if sides.left.branch.pk == left.pk else "right"
    adjudicate(comparison_id=disputed.pk, actor=reviewers[2], choice=choice, claim=None)
    (judge,) = read(project).graders
    assert (judge.percent.pairs, judge.percent.value) == (2, 0.5), "the judge preferred the other"
    assert (read(project).disputed, read(project).adjudicated) == (1, 1)


def test_reports_on_another_head_are_not_the_graders_word_on_this_one(
    project: Project, reviewers: list[Actor]
) -> None:
    ((_, (one, other)),) = judge_pairs(project, reviewers[:2], [(A, A)])
    append(one, make_message("assistant", "more"))
    for branch in (one, other):
        push(branch, "llm_judge")
    assert read(project).graders == ()


def test_a_course_puts_each_pair_at_the_time_of_its_last_judgement(
    project: Project, reviewers: list[Actor]
) -> None:
    pairs = judge_pairs(project, reviewers[:2], [(A, A), (A, B)])
    now = timezone.now()
    Label.objects.filter(comparison=pairs[0][0]).update(created_at=now - timedelta(days=5))
    starts = [now - timedelta(days=6), now - timedelta(days=3)]
    early, late = agreement_over_time(
        project_id=project.pk, starts=starts, until=now + timedelta(hours=1)
    )
    assert (early.percent.pairs, early.percent.value) == (1, 1)
    assert (late.percent.pairs, late.percent.value) == (1, 0)


def test_the_page_tells_it_in_a_constant_number_of_queries(client: Client) -> None:
    project = make_project()
    ines = make_user(project, first_name="Ines", last_name="Kaur<b>")
    others = [make_person(project) for _ in range(2)]
    client.force_login(ines)
    address = reverse("agreement", args=[project.slug])
    empty = client.get(address)
    assert "No two reviewers have judged the same pair" in empty.content.decode()

    def queries() -> tuple[int, str]:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            text = client.get(address).content.decode()
        return len(captured), text

    judge_pairs(project, [actor_of_user(ines), *others], [(A, A, B)])
    few, _ = queries()
    for pair, forks in judge_pairs(project, [actor_of_user(ines), *others], [(A, A, B)] * 6):
        assert pair
        for fork in forks:
            push(fork, "llm_judge")
    many, page = queries()
    assert few == many
    assert "Ines Kaur&lt;b&gt;" in page
    assert "Kaur<b>" not in page
    assert 'class="dot' in page
    for span in ("7d", "90d", "x"):
        assert client.get(address, {"span": span}).status_code == 200


def test_the_api_tells_the_figures_to_who_may_label(client: Client) -> None:
    project = make_project()
    ines = make_user(project)
    other = make_person(project)
    judge_pairs(project, [actor_of_user(ines), other], [(A, A), (B, B), (A, B)] * 2)
    client.force_login(ines)
    body = client.get(f"/api/v1/projects/{project.slug}/agreement").json()
    overall = body["questions"][0]
    assert overall["name"] == "overall"
    assert overall["percent"]["value"] == pytest.approx(4 / 6)
    assert overall["percent"]["low"] < overall["percent"]["value"] < overall["percent"]["high"]
    assert len(body["reviewers"]) == 2
    wrong = client.get(f"/api/v1/projects/{project.slug}/agreement", {"days": "0"})
    assert (wrong.status_code, wrong.json()["parameter"]) == (400, "days")
