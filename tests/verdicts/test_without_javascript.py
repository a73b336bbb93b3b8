"""The main loop by links and plain forms alone, as a browser without scripts goes through it."""

import re
from collections import Counter, deque
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import resolve

from branches.models import Branch, Merge
from tests.access.table import PAGES
from tests.access.world import World
from tests.branches.story import Story, tell_story
from tests.make import append, make_message, make_user
from tests.verdicts.make import push
from verdicts.models import SideOrder
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db


class Forms(HTMLParser):
    """What a browser would send for each form by address: hidden and filled fields as they stand."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._open: dict[str, str] | None = None
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = self.found.setdefault(given.get("action", ""), {})
        elif tag == "input" and self._open is not None and "name" in given:
            loose = given.get("type") in {"radio", "checkbox"} and "checked" not in given
            if not loose:
                self._open[given["name"]] = given.get("value", "on")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def press(client: Client, page: Any, ending: str, **filled: str) -> Any:
    """Submits the page's form whose address ends so, with these fields filled in."""
    forms = Forms(page.content.decode()).found
    address = next(action for action in forms if action.split("?")[0].endswith(ending))
    return client.post(address, forms[address] | filled, follow=True)


@pytest.fixture
def story() -> Story:
    return tell_story()


@pytest.fixture
def client(story: Story) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(story.project))
    return client


def test_from_reading_over_a_fork_and_a_judgement_to_a_merge_and_back(
    client: Client, story: Story
) -> None:
    event = story.event(7)
    assert client.get(f"/events/{event.event_id}/", follow=True).status_code == 200
    drawer = client.get(f"/events/{event.event_id}/fork/")
    landed = press(client, drawer, "/fork/", override="Dose = 50mg")
    fork = Branch.objects.get(parent=story.trunk)
    assert landed.status_code == 200
    append(fork, make_message("assistant", "At 50mg"))
    push(fork)
    pair = client.get(
        f"/runs/{story.run.pk}/compare/?left={fork.pk}&right={story.trunk.pk}", follow=True
    )
    drawn = SideOrder.objects.get()
    side = "left" if (drawn.comparison.first_id == fork.pk) != drawn.swapped else "right"
    judged = press(client, pair, "/label/", choice=side, rationale="stays below")
    merged = press(client, judged, "/merge/")
    merge = Merge.objects.get()
    assert (merged.status_code, merge.winner_id) == (200, fork.pk)
    press(client, merged, "/revert/", reason="the wrong one")
    merge.refresh_from_db()
    assert merge.revert_reason == "the wrong one"


class Links(HTMLParser):
    """Where a page leads by links, pictures, and forms that only ask."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        place = {"a": "href", "img": "src", "audio": "src"}.get(tag, "")
        if tag == "form" and given.get("method", "get") == "get":
            place = "action"
        if given.get(place):
            self.found.append(given[place])


# Parts of a page that its scripts fetch.
PARTS = {
    "/runs/<run>/rows/",
    "/runs/<run>/branches/",
    "/runs/<run>/minimap/",
    "/events/<event>/",
    "/inbox/<item>/pane/",
}
# Doors that no page leads to: a link that somebody is sent, the sign-in itself, probes, the kit of
# staff, a project's address as one cuts it off, and a context of memory, which the answer to the
# agent names. And the whole of a text that a comparison cuts: no text of the world is so long.
DOORS = {
    "/sign-in/<token>/",
    "/login/",
    "/kit/",
    "/healthz",
    "/readyz",
    "/p/<slug>/",
    "/p/<slug>/memory/contexts/<context>/",
    "/comparisons/<comparison>/steps/<seal>/",
}
# Enough to come by each run of the world, in whatever order they are listed.
VISITS = 12


def crawl(client: Client, start: str) -> dict[str, int]:
    """How often each route was reached from there by links alone; all of them answer well."""
    reached: Counter[str] = Counter()
    seen, waiting = set[tuple[str, str]](), deque([start])
    while waiting:
        address = urljoin("http://testserver/", waiting.popleft()).removeprefix("http://testserver")
        path, query = urlsplit(address).path, urlsplit(address).query
        if not address.startswith("/") or (path, query) in seen or path.startswith("/static/"):
            continue
        route = "/" + re.sub(r"<\w+:(\w+)>", r"<\1>", resolve(path).route)
        if reached[route] >= VISITS:
            continue
        seen.add((path, query))
        reached[route] += 1
        answer = client.get(f"{path}?{query}" if query else path)
        assert answer.status_code < 400, (address, answer.status_code)
        if answer.status_code in (301, 302):
            waiting.append(urljoin(address, answer["Location"]))
        elif "html" in answer["Content-Type"] and not answer.streaming:
            waiting.extend(urljoin(address, link) for link in Links(answer.content.decode()).found)
    return reached


def test_every_page_is_reached_from_the_home_page_by_links_alone() -> None:
    world = World()
    reader = Client()
    reader.force_login(make_user(world.project, Role.ADMIN))
    reached = crawl(reader, "/")
    pages = {row.split(" (")[0].removeprefix("GET ") for row in PAGES if row.startswith("GET ")}
    assert pages - PARTS - DOORS - set(reached) == set()
