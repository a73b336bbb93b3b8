"""The inbox page: constant queries, the item at its address, and every form without scripts."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.inbox.make import make_item
from tests.make import make_project, make_user
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.inbox import queues
from verel_site.inbox.claims import claim_item, read_draft, skip_item
from verel_site.inbox.models import Claim, Comment, Decision, Item

pytestmark = pytest.mark.django_db

HOSTILE = "<img src=x onerror=alert(1)> \x1b[31m run"


@pytest.fixture
def ada(project: Project) -> User:
    return make_user(project, name="ada")


@pytest.fixture
def desk(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


def text_of(answer: Any) -> str:
    assert answer.status_code < 400, answer.content
    return str(answer.content.decode())


def test_the_list_and_the_item_ask_the_database_as_often_for_one_as_for_many(
    project: Project, desk: Client
) -> None:
    counts = []
    for more in (1, 150):
        item = [make_item(project.pk, about="x") for _ in range(more)][-1]
        for address in ("/inbox/", f"/inbox/{item.pk}/", "/inbox/?kind=plain"):
            with CaptureQueriesContext(connection) as asked:
                desk.get(address)
            counts.append(len(asked))
    assert counts[:3] == counts[3:]
    assert counts[0] <= 12


def test_beyond_a_bound_the_page_says_that_more_wait_and_counts_no_further(
    project: Project, desk: Client, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MAX_COUNT", 3)
    make_item(make_project().pk)
    items = [make_item(project.pk) for _ in range(7)]
    told = []
    for item in items:
        page = text_of(desk.get("/inbox/"))
        head, batch = (
            re.search(part, page) for part in (r"<h1>(.*?)</h1>", r"of</span> <b.*?>(.*?)<")
        )
        assert head is not None
        assert batch is not None
        told.append((head[1].split(" item")[0], batch[1]))
        skip_item(item_id=item.pk, actor=actor_of_user(ada))
    assert told == [("3+", "3+")] * 4 + [("3", "3"), ("2", "2"), ("1", "1")]
    assert "Nothing waits for you" in text_of(desk.get("/inbox/"))


def test_what_agents_wrote_is_shown_and_does_nothing(project: Project, desk: Client) -> None:
    item = make_item(project.pk, title=HOSTILE, about=HOSTILE, flag="<b>x</b>")
    for address in ("/inbox/", f"/inbox/{item.pk}/"):
        text = text_of(desk.get(address))
        assert "<img src=x" not in text
        assert "<b>x</b>" not in text
        assert "\x1b" not in text


def test_one_works_through_the_inbox_by_forms_alone(project: Project, desk: Client) -> None:
    first, second = make_item(project.pk), make_item(project.pk)
    opened = desk.post("/inbox/next/", {"query": "kind=plain"})
    assert opened["Location"] == f"/inbox/{first.pk}/?kind=plain"
    shown = text_of(desk.get(opened["Location"]))
    token = str(Claim.objects.get().pk)
    assert f'value="{token}"' in shown
    answered = desk.post(
        f"/inbox/{first.pk}/decide/",
        {"answer": "yes", "digest": first.digest, "claim": token, "query": "kind=plain"},
    )
    assert answered["Location"].startswith(f"/inbox/{second.pk}/?kind=plain&undo=")
    assert "data-undo-for" in text_of(desk.get(answered["Location"]))
    undone = desk.post(f"/inbox/decisions/{Decision.objects.get().pk}/undo/", {"query": ""})
    assert undone["Location"] == f"/inbox/{first.pk}/"
    desk.post(f"/inbox/{first.pk}/skip/")
    assert "Put it back into my queue" in text_of(desk.get(f"/inbox/{first.pk}/"))
    desk.post(f"/inbox/{first.pk}/requeue/")
    desk.post(f"/inbox/{first.pk}/comments/", {"text": HOSTILE})
    assert Comment.objects.get().text == HOSTILE


def test_an_answer_that_is_refused_keeps_what_was_filled_in(
    project: Project, desk: Client, ada: User
) -> None:
    item = make_item(project.pk)
    claim_item(item_id=item.pk, actor=actor_of_user(make_user(project, name="jonas")))
    answer = desk.post(
        f"/inbox/{item.pk}/decide/",
        {"answer": "yes", "digest": item.digest, "rationale": "half a thought"},
    )
    assert answer.status_code == 409
    assert "jonas holds it, frees in" in answer.content.decode()
    assert read_draft(item.pk, ada.pk) == {"rationale": "half a thought"}
    assert not Decision.objects.exists()


def test_filters_search_and_saved_views_narrow_the_list(project: Project, desk: Client) -> None:
    make_item(project.pk, title="the dose")
    make_item(project.pk, title="the alarm")
    found = text_of(desk.get("/inbox/?q=DOSE"))
    assert "the dose" in found
    assert "the alarm" not in found
    assert "the dose" not in text_of(desk.get("/inbox/?kind=approval"))
    desk.post("/inbox/views/", {"name": "Doses", "query": "q=dose"})
    assert "/inbox/?q=dose" in text_of(desk.get("/inbox/"))
    desk.post("/inbox/views/", {"forget": "Doses", "query": ""})
    assert "Doses" not in text_of(desk.get("/inbox/"))


def test_a_long_kind_is_paged_and_no_item_is_left_out_or_shown_twice(
    project: Project, desk: Client
) -> None:
    wanted = {str(make_item(project.pk).pk) for _ in range(230)}
    seen: list[str] = []
    address = "/inbox/?kind=plain"
    while address:
        groups = desk.get(address).context["page"].groups
        seen += [str(row.item.pk) for row in groups[0].rows]
        address = groups[0].more
    assert len(seen) == len(wanted)
    assert set(seen) == wanted


def test_the_marked_ones_are_answered_together_where_their_kind_allows_it(
    project: Project, desk: Client
) -> None:
    items = [make_item(project.pk) for _ in range(3)]
    marks = [f"{item.pk}:{item.digest}" for item in items]
    desk.post("/inbox/bulk/", {"answer": "no", "mark": marks, "query": "kind=plain"})
    assert set(Item.objects.values_list("state", flat=True)) == {"done"}
    refused = desk.post("/inbox/bulk/", {"answer": "yes", "mark": marks})
    assert refused.status_code == 409
    assert "0 answered, 3 not." in refused.content.decode()


def test_bad_input_is_refused_and_never_a_fault(project: Project, desk: Client) -> None:
    item = make_item(project.pk)
    here = f"/inbox/{item.pk}"
    assert desk.post(f"{here}/decide/", {"answer": "yes", "claim": "x"}).status_code == 400
    assert desk.post(f"{here}/decide/", {"answer": "\x00"}).status_code == 409
    assert desk.post(f"{here}/release/").status_code == 400
    assert desk.post(f"{here}/comments/", {"text": " "}).status_code == 422
    assert desk.post(f"{here}/assign/", {"assignee": "9999999"}).status_code == 422
    assert desk.post("/inbox/bulk/", {"answer": "no", "mark": "x"}).status_code == 400
    assert desk.get("/inbox/?after=%ff&sort=x&view=x&kind=x&project=x").status_code == 200
    assert not Decision.objects.exists()
