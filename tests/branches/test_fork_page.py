"""The fork drawer: what it shows before a fork is made, and what its submission does."""

import json
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from branches.domain import terms
from branches.models import Branch, Event
from branches.selectors.context import rehydrate
from branches.selectors.fork_page import ForkPage
from tests import make
from tests.branches.story import Story, tell_story
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true", "HX-Target": "fork-drawer"}


@pytest.fixture
def story(client: Client) -> Story:
    told = tell_story()
    client.force_login(make.make_user(told.project, Role.REVIEWER, first_name="Ines"))
    return told


def address(event: Event) -> str:
    return reverse("fork", args=[event.event_id])


def look(client: Client, event: Event, override: str = "", **form: str) -> ForkPage:
    preview = reverse("fork-preview", args=[event.event_id])
    answer = client.post(preview, {"override": override, "token": "t", **form})
    assert answer.status_code == 200
    page = answer.context["page"]
    assert isinstance(page, ForkPage)
    return page


def test_the_drawer_is_a_whole_page_without_htmx(client: Client, story: Story) -> None:
    text = client.get(address(story.event(7))).content.decode()
    assert "<!doctype html>" in text
    assert "aria-modal" not in text
    assert "Fork at 7" in text


def test_with_htmx_the_drawer_comes_alone(client: Client, story: Story) -> None:
    text = client.get(address(story.event(7)), headers=HTMX).content.decode()
    assert "<!doctype html>" not in text
    assert 'aria-modal="true"' in text


def test_patches_are_shown_with_what_they_change(client: Client, story: Story) -> None:
    make.append(story.trunk, make.make_draft(terms.STATE, {"variables": {"Dose": "45mg"}}))
    page = look(client, story.event(8), "Careful.\nDose = 50mg\nDose = 40mg\nUnit = mg")
    assert [(p.line, p.name, p.was, p.becomes) for p in page.patches] == [
        (2, "Dose", "45mg", "50mg"),
        (3, "Dose", "50mg", "40mg"),
        (4, "Unit", None, "mg"),
    ]
    assert page.unread == ((1, "Careful."),)


def test_the_shown_messages_are_those_that_a_claim_gives(client: Client, story: Story) -> None:
    page = look(client, story.event(5), "Stop.\nDose = 50mg", view="json")
    client.post(address(story.event(5)), {"override": "Stop.\nDose = 50mg", "token": "t"})
    fork = Branch.objects.get(run=story.run, number=1)
    sent = rehydrate(fork, format="openai").context
    assert json.loads(page.sent.json) == sent.messages[-len(page.sent.messages) :]
    assert page.sent.earlier + len(page.sent.messages) == len(sent.messages)
    assert page.sent.tokens == sent.approx_tokens
    assert page.sent.messages[-1].human


def test_calls_after_the_point_are_named_as_repeatable(client: Client, story: Story) -> None:
    page = look(client, story.event(2))
    assert [(c.name, c.text) for c in page.repeated] == [
        ("Bash", "cat clamp.py"),
        ("Bash", "pytest -q"),
    ]
    assert not look(client, story.event(7)).repeated


def test_what_was_tried_here_is_told(client: Client, story: Story) -> None:
    make.make_fork(story.trunk, 7, "Do not edit the tests.")
    make.make_fork(story.trunk, 6, "Elsewhere.")
    page = look(client, story.event(7))
    assert [one.override for one in page.tried] == ["Do not edit the tests."]


def test_forking_leads_to_the_new_branch(client: Client, story: Story) -> None:
    form = {"override": "Fix it.\r\nDose = 50mg", "name": "Fixed", "token": "t"}
    answer = client.post(address(story.event(7)), form)
    fork = Branch.objects.get(run=story.run, number=1)
    assert answer["Location"] == f"/runs/{story.run.pk}/?branch={fork.pk}"
    assert (fork.name, fork.fork_seq, fork.override) == ("Fixed", 7, "Fix it.\nDose = 50mg")
    assert fork.claimable


def test_with_htmx_the_browser_is_sent_to_the_new_branch(client: Client, story: Story) -> None:
    form = {"override": "Fix it.", "token": "t"}
    answer = client.post(address(story.event(7)), form, headers=HTMX)
    fork = Branch.objects.get(run=story.run, number=1)
    assert answer["HX-Redirect"] == f"/runs/{story.run.pk}/?branch={fork.pk}"


def test_a_second_press_makes_no_second_fork(client: Client, story: Story) -> None:
    form = {"override": "Fix it.", "token": uuid4().hex}
    first = client.post(address(story.event(7)), form)
    second = client.post(address(story.event(7)), form)
    assert first["Location"] == second["Location"]
    assert story.run.branches.count() == 2


def test_going_back_and_changing_the_text_makes_another_fork(client: Client, story: Story) -> None:
    form = {"override": "Fix it.", "token": uuid4().hex}
    client.post(address(story.event(7)), form)
    client.post(address(story.event(7)), {**form, "override": "Fix it well."})
    assert story.run.branches.count() == 3


def test_a_refused_fork_keeps_the_draft_and_may_be_sent_again(client: Client, story: Story) -> None:
    form = {"override": "", "name": "Kept name", "token": "t"}
    refused = client.post(address(story.event(7)), form, headers=HTMX)
    text = refused.content.decode()
    assert refused.status_code == 422
    assert "A fork without an override needs a reason" in text
    assert 'value="Kept name"' in text
    again = client.post(address(story.event(7)), {**form, "reason": "a second sample"})
    assert again.status_code == 302


def test_a_text_with_nul_is_refused_in_words(client: Client, story: Story) -> None:
    refused = client.post(address(story.event(7)), {"override": "a\x00b", "token": "t"})
    assert refused.status_code == 422
    assert "NUL" in refused.content.decode()


def test_a_viewer_is_refused_in_words(client: Client, story: Story) -> None:
    client.force_login(make.make_user(story.project, Role.VIEWER))
    for answer in (
        client.get(address(story.event(7))),
        client.post(address(story.event(7)), {"override": "x", "token": "t"}),
    ):
        assert answer.status_code == 403
        assert "needs the right" in answer.content.decode()
    assert story.run.branches.count() == 1


def test_an_event_of_another_project_is_not_found(client: Client, story: Story) -> None:
    other = tell_story()
    assert client.get(address(other.event(7))).status_code == 404


def test_the_parent_of_a_fork_is_the_branch_that_owns_the_event(
    client: Client, story: Story
) -> None:
    child = make.make_fork(story.trunk, 7).branch
    client.post(address(story.event(3)), {"override": "Earlier.", "token": "t"})
    made = Branch.objects.get(run=story.run, number=2)
    assert made.parent_id == story.trunk.pk != child.pk
