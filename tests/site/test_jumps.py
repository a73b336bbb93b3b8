"""Jumping to what a few letters name: only what the reader may see, by a fixed number of queries."""

from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from memory.facts import make_fact
from memory.proposals import propose
from tests.inbox.make import make_item, plain_kind
from tests.make import append, make_fork, make_message, make_project, make_run, make_user
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.jumps import JumpPage

pytestmark = pytest.mark.django_db

HOSTILE = "<img src=x onerror=alert(1)> dose \x1b[31m\u202e"
SCRIPTED = {"HX-Request": "true", "HX-Target": "jump-results"}
# The session, its person, the memberships; then runs, branches, memory, the inbox.
QUERIES = 7


def found(client: Client, text: str, **headers: str) -> dict[str, list[str]]:
    """The lines by group."""
    answer = client.get("/jump/", {"q": text}, headers=headers)
    assert answer.status_code == 200, answer.content
    page: JumpPage = answer.context["page"]
    return {group.name: [jump.text for jump in group.jumps] for group in page.groups}


def fill(project: Project, name: str) -> UUID:
    """A run, a fork, a fact and an item that all have `name` in them."""
    trunk = make_run(project, goal=f"Cap the {name}")[1]
    append(trunk, make_message("user", "Go"))
    make_fork(trunk, 2, f"Halve the {name}")
    told = make_fact(text=f"The {name} has a cap")
    propose(project_id=project.pk, actor=SYSTEM, proposal=told)
    make_item(project.pk, title=f"Is the {name} right?")
    return trunk.run_id


def test_a_few_letters_find_what_stands_in_each_room(project: Project, desk: Client) -> None:
    with plain_kind():
        fill(project, "bolus")
        lines = found(desk, "the BOLUS")
        assert lines["Runs"] == ["Cap the bolus"]
        assert lines["Branches"] == ["fork 1"]
        assert lines["Memory"] == ["The bolus has a cap"]
        assert lines["Inbox"] == ["Is the bolus right?"]
        assert lines["Events"] == ["Search all events for “the BOLUS”"]


def test_every_line_leads_to_a_page_that_is_there(project: Project, desk: Client) -> None:
    with plain_kind():
        fill(project, "bolus")
        page = desk.get("/jump/", {"q": "bolus"}).context["page"]
        pages = desk.get("/jump/").context["page"]
        led = [jump.href for one in (page, pages) for group in one.groups for jump in group.jumps]
        assert len(led) > 15
        for href in filter(None, led):
            assert desk.get(href).status_code == 200, href


def test_what_is_of_another_project_is_found_by_nobody_else(
    project: Project, desk: Client, ada: User
) -> None:
    with plain_kind():
        run = fill(make_project(), "bolus")
        assert set(found(desk, "bolus")) == {"Events"}
        assert set(found(desk, str(run))) == {"Events"}


def test_a_viewer_is_not_led_to_what_they_may_not_decide_or_administer(
    project: Project, client: Client
) -> None:
    client.force_login(make_user(project, Role.VIEWER))
    with plain_kind():
        fill(project, "bolus")
        assert "Inbox" not in found(client, "bolus")
    assert not {"API keys", "Audit log", "Import"} & set(found(client, "")["Pages"])


def test_a_number_and_an_id_name_a_row(project: Project, desk: Client) -> None:
    runs = [make_run(project, goal=f"Goal {letter}")[0] for letter in "abc"]
    assert found(desk, "r-2")["Runs"] == ["Goal b"]
    assert found(desk, "2")["Runs"] == ["Goal b"]
    assert found(desk, str(runs[2].pk))["Runs"] == ["Goal c"]
    branch = make_run(project, goal="Goal d")[1]
    assert found(desk, str(branch.pk))["Branches"] == ["main"]


def test_a_page_that_is_named_comes_first_and_what_was_found_comes_before_others(
    project: Project, desk: Client
) -> None:
    make_run(project, goal="Read the inbox of the ward")
    assert next(iter(found(desk, "inbox"))) == "Pages"
    assert next(iter(found(desk, "ward"))) == "Runs"


def test_lines_take_as_many_queries_for_many_rows_as_for_one(
    project: Project, desk: Client
) -> None:
    counts = []
    with plain_kind():
        for more in (1, 12):
            for _ in range(more):
                fill(project, "bolus")
            for text in ("bolus", "7"):
                with CaptureQueriesContext(connection) as asked:
                    desk.get("/jump/", {"q": text}, headers=SCRIPTED)
                counts.append(len(asked))
    assert set(counts) == {QUERIES}


def test_what_agents_and_people_wrote_stays_inert(project: Project, desk: Client) -> None:
    with plain_kind():
        fill(project, HOSTILE)
        for headers in ({}, SCRIPTED):
            answer = desk.get("/jump/", {"q": "dose"}, headers=headers)
            told = answer.content.decode()
            assert "&lt;img src=x" in told
            assert not [sign for sign in ("<img", "\x1b", "\u202e") if sign in told]
        echoed = desk.get("/jump/", {"q": '"><script>alert(1)</script>'}).content.decode()
        assert "<script>alert" not in echoed


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"' * 300, "x " * 300, "9" * 40, "\ud7ff"])
def test_odd_text_is_looked_for_and_breaks_nothing(
    project: Project, desk: Client, text: str
) -> None:
    make_run(project)
    assert "Runs" not in found(desk, text)


def test_without_scripts_it_is_a_page_whose_acts_are_forms(project: Project, desk: Client) -> None:
    page: Any = desk.get("/jump/").content.decode()
    assert 'action="/logout/"' in page
    assert "data-theme-switch" not in page.partition('id="jump-results"')[2]
    assert 'role="option"' not in page
    assert 'role="option"' in desk.get("/jump/", headers=SCRIPTED).content.decode()
