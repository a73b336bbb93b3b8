"""PostgreSQL keeps events in partitions by run: who reads by branch looks into one of them."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from branches.domain import terms
from branches.models import Branch
from branches.selectors.compare import Cut, read_parting, read_tail
from branches.selectors.context import FORMATS, rehydrate
from tests.branches.story import Story, tell_story
from tests.make import append, make_draft, make_user
from verdicts.inputs import read_author_model

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one table"),
]


@pytest.fixture
def story() -> Story:
    story = tell_story(forks=3)
    request = {"approval_id": "0e1f2a3b-0000-4000-8000-000000000001", "action": "push", "args": {}}
    append(story.trunk, make_draft(terms.APPROVAL_REQUESTED, request))
    return story


def partitions_of(statement: str) -> set[str]:
    """Those that the plan of a statement reads from."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    return set(re.findall(r" on (branches_event\w*) ", plan))


def test_whoever_names_a_branch_of_events_reads_one_partition(story: Story, client: Client) -> None:
    client.force_login(make_user(story.project))
    fork = Branch.objects.get(run=story.run, number=2)
    called, told_first = story.event(4), story.event(2, fork)
    page = reverse("run", args=[story.run.pk])
    with CaptureQueriesContext(connection) as queries:
        for query in (
            {"branch": str(fork.pk)},
            {"branch": str(fork.pk), "event": str(told_first.event_id)},
        ):
            assert client.get(page, query).status_code == 200
        for name, event in (("event", told_first), ("event", called), ("fork", told_first)):
            address = reverse(name, args=[event.event_id])
            assert client.get(address, headers={"HX-Request": "true"}).status_code == 200
        for format in FORMATS:
            rehydrate(fork, format=format, upto=1).body()
        read_tail(read_parting(Cut(fork, fork.head_seq), Cut(story.trunk, 7)))
        read_author_model(fork, 2)
    told = [query["sql"] for query in queries if '"branches_event"."branch_id"' in query["sql"]]
    wheres = [sql for sql in told if re.search(r'WHERE.*"branches_event"."branch_id"', sql)]
    assert len(wheres) > 8
    for sql in wheres:
        assert len(partitions_of(sql)) == 1, sql
