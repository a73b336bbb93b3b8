"""Whose a consolidated record is: the repository's whose runs taught it, or the team's."""

import pytest

from memory.models import Record
from memory.recall import recall
from tests.memory.make import propose
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
    team = Record.objects.get(scope="team", key__contains="fault")
    assert (team.trust, team.grounding) == ("corroborated", "precise")
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
