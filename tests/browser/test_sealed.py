"""Blind in a real browser: everything that it is sent about a pair, and nothing that is sealed."""

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, Response, Route, WebSocket, expect

from branches.models import Branch
from tests.browser.conftest import OpenAs
from tests.browser.pages import visit, wait_until_heard
from tests.verdicts.sealed import (
    item_of,
    make_author,
    make_judged,
    make_sealed_pair,
    sealed_words,
)
from verdicts.models import Comparison, Label
from verel_site.access.models import Project


class Wire:
    """All that a page is sent but the product's own files: heads and bodies of answers, and frames
    of sockets, each with where it came from."""

    def __init__(self, page: Page) -> None:
        self.told: list[tuple[str, str]] = []
        self.posted: list[Response] = []
        page.route(re.compile("^(?!.*/static/)"), self._ask)
        page.on("response", self._keep)
        page.on("websocket", self._join)

    def _ask(self, route: Route) -> None:
        """Asks what the page asks, beside it: the body of a page that was left cannot be read."""
        if route.request.method == "GET":
            answer = route.fetch(max_redirects=0)
            self.told.append((answer.url, f"{answer.url}\n{answer.headers}\n{answer.text()}"))
        route.continue_()

    def _keep(self, answer: Response) -> None:
        if answer.request.method != "GET":
            self.posted.append(answer)

    def read(self) -> list[tuple[str, str]]:
        """Call it while the page stands that posted last."""
        posts = [(post.url, f"{post.headers}\n{post.text()}") for post in self.posted]
        return [*self.told, *posts]

    def _join(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: self.told.append((socket.url, str(data))))


@pytest.fixture
def author(project: Project) -> User:
    return make_author(project)


@pytest.fixture
def pair(project: Project, author: User) -> tuple[Branch, Branch]:
    return make_sealed_pair(project, author)


@pytest.fixture
def comparison(pair: tuple[Branch, Branch], author: User) -> Comparison:
    return make_judged(pair, author)


def test_a_browser_is_sent_nothing_that_is_sealed_until_its_person_has_judged(
    open_as: OpenAs, ada: User, address: str, pair: tuple[Branch, Branch], comparison: Comparison
) -> None:
    page = open_as(ada)
    wire = Wire(page)
    visit(page, address + reverse("comparison", args=[comparison.pk]))
    for mode in ("Diff", "Final only", "Read"):
        page.get_by_role("link", name=mode).click()
        expect(page.get_by_role("link", name=mode)).to_have_attribute("aria-current", "true")
    page.locator(".shared-fold").click()
    expect(page.locator(".shared-steps").first).to_be_visible()
    wait_until_heard(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#jump [role=option]").first).to_be_visible()
    page.keyboard.press("Escape")
    visit(page, f"{address}/inbox/")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    visit(page, f"{address}/inbox/{item_of(comparison).pk}/")
    page.keyboard.press("Enter")
    expect(page.locator("#inbox-pane[data-claim]")).to_be_visible()
    told = [*wire.read(), ("the page as it stands", page.content())]
    assert len(told) > 10
    sealed = sealed_words(pair)
    assert [(where, word) for where, text in told for word in sealed if word in text] == []
    page.keyboard.press("e")
    expect(page.locator("#inbox-pane")).to_contain_text("Nothing more is free")
    assert Label.objects.filter(reviewer=ada).count() == 1
    visit(page, address + reverse("comparison", args=[comparison.pk]))
    expect(page.locator("main")).to_contain_text("Secret one")
