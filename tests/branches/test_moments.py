"""Pages that are read while the run grows: whatever commits between two of a page's queries, the
page tells one moment, and never fails."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from tests.branches.story import Story, tell_story
from tests.make import append, make_fork, make_message, make_user

pytestmark = pytest.mark.django_db(transaction=True)

# More queries than any of these pages takes; a page that takes more fails the test below.
MAX_QUERIES = 60

PAGES = {
    "run": "/runs/{run}/",
    "run, one branch": "/runs/{run}/?branch={branch}",
    "run, one event": "/runs/{run}/?event={event}",
    "run, searched": "/runs/{run}/?q=bolus",
    "rows": "/runs/{run}/rows/",
    "rows after a place": "/runs/{run}/rows/?after=1&limit=600",
    "rail": "/runs/{run}/branches/",
    "minimap": "/runs/{run}/minimap/",
    "next error": "/runs/{run}/next-error/?from=0",
    "event": "/events/{event}/",
    "fork drawer": "/events/{event}/fork/",
    "compare, two to choose": "/runs/{run}/compare/",
    "run's verdicts": "/runs/{run}/verdicts/",
    "list of runs": "/p/{slug}/runs/",
    "search": "/p/{slug}/search/?q=bolus",
    "tree": "/api/v1/runs/{run}/tree",
    "context": "/api/v1/branches/{branch}/context?format=openai",
    "events": "/api/v1/events?run={run}",
}


@contextmanager
def just_before(number: int, act: Callable[[], object]) -> Iterator[list[bool]]:
    """Acts in a thread of its own, and so on a connection of its own, before the query of that
    number is put. What is yielded tells whether it came to that."""
    put, acted = 0, list[bool]()

    def act_and_close() -> None:
        try:
            act()
        finally:
            connection.close()

    def watch(execute: Callable[..., Any], *query: Any) -> Any:
        nonlocal put
        put += 1
        if put == number:
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(act_and_close).result(60)
            acted.append(True)
        return execute(*query)

    with connection.execute_wrapper(watch):
        yield acted


def grow(story: Story) -> None:
    """A fork with an answer, the trunk's next event, and a fork of the fork."""
    fork = make_fork(story.trunk, 7, "From elsewhere.\nDose = 9mg").branch
    append(fork, make_message("assistant", "The bolus is capped."))
    append(story.trunk, make_message("assistant", "The bolus is capped too."))
    make_fork(fork, fork.head_seq, "Deeper.")


@pytest.mark.parametrize("door", PAGES)
def test_a_page_is_told_whole_whatever_commits_between_its_queries(door: str) -> None:
    story = tell_story(forks=1)
    client = Client()
    client.force_login(make_user(story.project))
    path = PAGES[door].format(
        run=story.run.pk,
        branch=story.trunk.pk,
        event=story.event(6).event_id,
        slug=story.project.slug,
    )
    for number in range(1, MAX_QUERIES):
        story.trunk.refresh_from_db()
        with just_before(number, lambda: grow(story)) as acted:
            answer = client.get(path, headers={"HX-Request": "true"} if door == "event" else {})
        assert answer.status_code in {200, 302}, (number, answer.content[:300])
        if not acted:
            return
    pytest.fail(f"The page takes {MAX_QUERIES} queries or more.")
