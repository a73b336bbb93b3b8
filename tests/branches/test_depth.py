"""A thousand nested forks: every door opens, without recursion, in as many queries as for twenty."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.plugin import DjangoDbBlocker

from branches.models import Branch, Event, Run
from tests.branches.deep import tell_deep_run
from tests.make import make_user
from tests.sound import faults_of

pytestmark = pytest.mark.django_db

DEEP, SHALLOW = 1000, 20
MAX_PAGE_BYTES, MAX_ROWS = 60 * 1024, 600

type Deep = tuple[Run, Branch, Branch]


def ask(deep: Deep, path: str) -> tuple[Any, int]:
    """The answer, and how many queries it took."""
    run, trunk, last = deep
    client = Client()
    client.force_login(make_user(run.project))
    event = Event.objects.get(branch=last, seq=3)
    where = path.format(
        run=run.pk, last=last.pk, trunk=trunk.pk, event=event.event_id, slug=run.project.slug
    )
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(where, follow=True)
    assert answer.status_code == 200, answer.content[:500]
    return answer, len(queries)


DOORS = {
    "context": "/api/v1/branches/{last}/context?format=openai",
    "context for anthropic": "/api/v1/branches/{last}/context?format=anthropic",
    "events": "/api/v1/branches/{last}/context?format=events",
    "tree": "/api/v1/runs/{run}/tree",
    "run page": "/runs/{run}/",
    "run page of the last branch": "/runs/{run}/?branch={last}",
    "run page of an event": "/runs/{run}/?event={event}",
    "run list": "/p/{slug}/runs/",
    "fork drawer": "/events/{event}/fork/",
    "page of pairs": "/runs/{run}/compare/",
    "compare page": "/runs/{run}/compare/?left={last}&right={trunk}",
    "verdicts page": "/runs/{run}/verdicts/",
    "gate": "/api/v1/branches/{last}/gate",
}


@pytest.fixture(scope="module")
def shallow_and_deep(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[Deep, Deep]]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield tell_deep_run(SHALLOW), tell_deep_run(DEEP)
        transaction.set_rollback(True)


@pytest.mark.parametrize("door", DOORS)
def test_a_door_takes_no_more_queries_for_a_thousand_forks(
    shallow_and_deep: tuple[Deep, Deep], door: str
) -> None:
    shallow, deep = shallow_and_deep
    _, few = ask(shallow, DOORS[door])
    _, many = ask(deep, DOORS[door])
    assert many <= few


@pytest.mark.parametrize("door", [door for door in DOORS if "page" in door or "drawer" in door])
def test_a_page_stays_small(shallow_and_deep: tuple[Deep, Deep], door: str) -> None:
    answer, _ = ask(shallow_and_deep[1], DOORS[door])
    assert len(gzip.compress(answer.content)) <= MAX_PAGE_BYTES
    assert answer.content.count(b'role="treeitem"') <= MAX_ROWS


def test_the_context_holds_every_message_in_order(shallow_and_deep: tuple[Deep, Deep]) -> None:
    answer, _ = ask(shallow_and_deep[1], DOORS["context"])
    said = [
        m["content"] for m in json.loads(answer.content)["messages"] if m["role"] == "assistant"
    ]
    assert said == [f"Done {number}." for number in range(1, DEEP + 1)]


def test_the_tree_lists_parents_before_their_forks(shallow_and_deep: tuple[Deep, Deep]) -> None:
    answer, _ = ask(shallow_and_deep[1], DOORS["tree"])
    seen: set[str] = set()
    for node in json.loads(answer.content)["branches"]:
        assert node["parent"] is None or node["parent"] in seen
        seen.add(node["branch"])
    assert len(seen) == DEEP + 1


def test_the_run_was_stored_as_the_journal_would(shallow_and_deep: tuple[Deep, Deep]) -> None:
    assert faults_of(shallow_and_deep[1][0].project_id) == []
