"""Answering an agent that waits, from the run page."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from branches.domain import terms
from branches.models import Approval, Event
from tests import make
from tests.branches.story import Story, tell_story
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true", "HX-Target": "event-detail"}


@pytest.fixture
def story(client: Client) -> Story:
    told = tell_story()
    client.force_login(make.make_user(told.project))
    return told


def ask(story: Story, **extra: object) -> Approval:
    request: dict[str, object] = {
        "approval_id": str(uuid4()),
        "action": "git push",
        "args": {"remote": "origin"},
        **extra,
    }
    make.append(story.trunk, make.make_draft(terms.APPROVAL_REQUESTED, request))
    return Approval.objects.get(pk=UUID(str(request["approval_id"])))


def form(approval: Approval, **extra: str) -> dict[str, str]:
    return {"request_digest": bytes(approval.request_digest).hex(), **extra}


def answer_url(approval: Approval) -> str:
    return reverse("approval-answer", args=[approval.pk])


def detail(client: Client, story: Story, approval: Approval) -> str:
    event = story.event(approval.request_seq)
    answer = client.get(reverse("event", args=[event.event_id]), headers=HTMX)
    return answer.content.decode()


def test_the_form_offers_the_allowed_answers_only(client: Client, story: Story) -> None:
    text = detail(client, story, ask(story, allow=["accept", "ignore"]))
    assert 'value="accept"' in text
    assert 'value="ignore"' in text
    assert 'value="edit"' not in text
    assert 'value="respond"' not in text


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"answer": "accept"}, ("accept", None, "")),
        ({"answer": "ignore"}, ("ignore", None, "")),
        ({"answer": "edit", "args": '{"remote": "fork"}'}, ("edit", {"remote": "fork"}, "")),
        ({"answer": "respond", "text": "Not today."}, ("respond", None, "Not today.")),
    ],
)
def test_each_answer_resumes_the_branch(
    client: Client, story: Story, fields: dict[str, str], kept: tuple[object, ...]
) -> None:
    approval = ask(story)
    answer = client.post(answer_url(approval), form(approval, **fields), headers=HTMX)
    approval.refresh_from_db()
    story.trunk.refresh_from_db()
    assert (approval.answer, approval.answer_args, approval.answer_text) == kept
    assert story.trunk.status == "running"
    assert "data-stasis" not in answer.content.decode()


def test_without_htmx_the_answer_leads_back_to_the_event(client: Client, story: Story) -> None:
    approval = ask(story)
    answer = client.post(answer_url(approval), form(approval, answer="accept"))
    event = story.event(approval.request_seq)
    assert answer["Location"] == f"/runs/{story.run.pk}/?event={event.event_id}"


def test_arguments_that_are_no_json_are_refused_and_kept(client: Client, story: Story) -> None:
    approval = ask(story)
    fields = form(approval, answer="edit", args='{"remote": ')
    answer = client.post(answer_url(approval), fields, headers=HTMX)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "are not JSON" in text
    assert "{&quot;remote&quot;: </textarea>" in text


def test_an_answer_to_another_request_than_the_one_shown_is_a_409(
    client: Client, story: Story
) -> None:
    approval = ask(story)
    fields = {"request_digest": "00" * 32, "answer": "accept"}
    answer = client.post(answer_url(approval), fields, headers=HTMX)
    assert answer.status_code == 409
    assert "Read the request again" in answer.content.decode()


def test_an_answered_request_is_not_answered_again(client: Client, story: Story) -> None:
    approval = ask(story)
    client.post(answer_url(approval), form(approval, answer="accept"))
    answer = client.post(answer_url(approval), form(approval, answer="ignore"))
    assert answer.status_code == 409
    assert Event.objects.filter(run=story.run, type=terms.APPROVAL_RESOLVED).count() == 1


def test_an_expired_request_shows_no_buttons(client: Client, story: Story) -> None:
    past = (timezone.now() - timedelta(minutes=1)).isoformat()
    text = detail(client, story, ask(story, expires_at=past))
    assert "can not be answered any more" in text
    assert 'value="accept"' not in text


def test_a_viewer_reads_that_a_reviewer_must_answer(client: Client, story: Story) -> None:
    approval = ask(story)
    client.force_login(make.make_user(story.project, Role.VIEWER))
    assert "data-stasis" not in detail(client, story, approval)
    assert client.post(answer_url(approval), form(approval, answer="accept")).status_code == 403


def test_an_approval_of_another_project_is_not_found(client: Client, story: Story) -> None:
    approval = ask(tell_story())
    assert client.post(answer_url(approval), form(approval, answer="accept")).status_code == 404
