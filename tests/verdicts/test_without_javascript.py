"""The main loop by links and plain forms alone, as a browser without scripts goes through it."""

from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from branches.models import Branch, Merge
from tests.branches.story import Story, tell_story
from tests.make import append, make_message, make_user
from tests.verdicts.make import push

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
    side = "left" if f"{fork.head_digest.hex()}" in _value(pair, "left_head") else "right"
    judged = press(client, pair, "/label/", choice=side, rationale="stays below")
    merged = press(client, judged, "/merge/")
    merge = Merge.objects.get()
    assert (merged.status_code, merge.winner_id) == (200, fork.pk)
    press(client, merged, "/revert/", reason="the wrong one")
    merge.refresh_from_db()
    assert merge.revert_reason == "the wrong one"


def _value(page: Any, name: str) -> str:
    forms = Forms(page.content.decode()).found.values()
    return next(form[name] for form in forms if name in form)
