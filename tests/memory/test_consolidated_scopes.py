"""Whose a consolidated record is: the repository's whose runs taught it, or the team's."""

import pytest

from memory.domain.terms import Answer
from memory.models import PromotionRequest, Record
from memory.recall import recall
from tests.memory.make import answer, propose
from tests.memory.steps import consolidate, fail_once
from verel_site.access.actors import Actor
from verel_site.access.models import Project

pytestmark = pytest.mark.django_db
FAULT = "ERROR the pump does not answer"


def scopes(project: Project) -> dict[str, int]:
    """By scope the runs that speak for the fault."""
    rows = Record.objects.filter(
        project=project, text__contains="does not answer", key__contains="fault"
    )
    return dict(rows.values_list("scope", "support_count"))


def test_what_one_repositorys_runs_taught_is_its_own(project: Project) -> None:
    for _ in range(3):
        fail_once(project, FAULT, repo="https://github.com/acme/pump-control.git")
    consolidate(project)
    assert scopes(project) == {"repo:acme/pump-control": 3}
    record = Record.objects.filter(key__contains="fault").get()
    assert (record.tier, record.trust) == ("private", "corroborated")
    told = {"project_id": project.pk, "goal": "pump answer", "limit": 5}
    assert recall(**told, scopes=["team"]) == []  # type: ignore[arg-type]  # by name
    assert recall(**told, scopes=["repo:acme/pump-control"]) != []  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize("repos", [("a", "b"), ("a", ""), ("", ""), ("no name", "no name")])
def test_what_several_taught_or_none_named_is_the_teams(
    project: Project, repos: tuple[str, str]
) -> None:
    for repo in repos:
        fail_once(project, FAULT, repo=repo)
    consolidate(project)
    assert scopes(project) == {"team": 2}


def test_what_a_second_repository_teaches_goes_to_the_team_with_both_as_evidence(
    project: Project,
) -> None:
    for _ in range(2):
        fail_once(project, FAULT, repo="a")
    consolidate(project)
    assert scopes(project) == {"repo:a": 2}
    fail_once(project, FAULT, repo="b")
    consolidate(project)
    assert scopes(project) == {"repo:a": 2, "team": 3}
    team, narrow = (
        Record.objects.get(scope=scope, key__contains="fault") for scope in ("team", "repo:a")
    )
    assert (team.trust, team.grounding) == ("corroborated", "precise")
    # It speaks in the place of the narrow one, which is kept.
    assert (narrow.standing, narrow.suppressed_by) == ("suppressed", team)
    fail_once(project, FAULT, repo="a")
    consolidate(project)
    assert scopes(project) == {"repo:a": 2, "team": 4}


def test_what_an_agent_proposed_for_another_repository_widens_nothing(
    project: Project, agent: Actor
) -> None:
    fail_once(project, FAULT, repo="a")
    consolidate(project)
    record = Record.objects.get(key__contains="fault")
    about = {"subject": record.subject, "predicate": record.predicate, "object": record.object}
    Record.objects.filter(pk=record.pk).update(standing="buried")
    propose(project, record.text, actor=agent, scope="repo:c", **about)
    fail_once(project, FAULT, repo="b")
    consolidate(project)
    assert "team" not in scopes(project)


def test_what_one_agent_met_in_several_repositories_is_its_own_until_another_meets_it(
    project: Project,
) -> None:
    for repo in ("a", "b", ""):
        fail_once(project, FAULT, repo=repo, agent="dose-fixer")
    consolidate(project)
    assert scopes(project) == {"agent:dose-fixer": 3}
    fail_once(project, FAULT, agent="pump-tester")
    consolidate(project)
    assert scopes(project) == {"agent:dose-fixer": 3, "team": 4}
    assert Record.objects.live().get(key__contains="fault").scope == "team"


def test_what_a_person_verified_for_one_repository_goes_on_to_speak_there(
    project: Project, curator: Actor
) -> None:
    for _ in range(3):
        fail_once(project, FAULT, repo="a")
    consolidate(project)
    record = Record.objects.get(key__contains="fault")
    answer(record, curator, Answer.PROMOTE)
    fail_once(project, FAULT, repo="b")
    consolidate(project)
    told = Record.objects.live().filter(key__contains="fault").order_by("scope")
    assert [(row.scope, row.trust) for row in told] == [
        ("repo:a", "verified"),
        ("team", "corroborated"),
    ]


def test_who_is_asked_about_a_narrow_record_is_told_that_the_teams_took_its_place(
    project: Project,
) -> None:
    for _ in range(3):
        fail_once(project, FAULT, repo="a")
        consolidate(project)
    fail_once(project, FAULT, repo="b")
    consolidate(project)
    asked = PromotionRequest.objects.filter(record__scope="repo:a").order_by("created_at")
    assert {one.state for one in asked} == {"void"}
    assert asked[len(asked) - 1].void_reason == "It is suppressed by now."
    open_one = PromotionRequest.objects.get(record__key__contains="fault", state="open")
    assert open_one.record.scope == "team"
