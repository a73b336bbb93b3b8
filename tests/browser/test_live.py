"""Two people at once, and a line that is cut: nothing is missing afterwards, and nothing doubled."""

import re
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Route, WebSocketRoute, expect

from branches.models import Event
from tests import make
from tests.browser.inbox_page import READY, open_inbox, pane, post, write
from tests.browser.pages import visit
from verdicts.comparisons import open_comparison
from verdicts.escalations import Cause, escalate
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project

type Seat = Callable[[User], Page]
# Enough for a first reconnection that fails, and the longer pause after it.
LEAST_REFUSED = 2
PATIENCE_MS = 20_000


@pytest.fixture
def seat(browser: Browser, address: str, transactional_db: None) -> Iterator[Seat]:
    """Each person in a browser of their own; what is said of a line that was cut is no fault."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def sit(user: User) -> Page:
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        contexts.append(context)
        context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": address}]
        )
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        return page

    yield sit
    for context in contexts:
        context.close()
    assert not faults, faults


@pytest.fixture
def tom(project: Project) -> User:
    return make.make_user(project, name="tom")


class Line:
    """The line between a page and the server. While it is cut nothing passes, and each attempt of
    the page to open its socket anew is counted and refused."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.cut_off = False
        self.refused = 0
        self.sockets: list[WebSocketRoute] = []
        page.route_web_socket(re.compile("/ws/(runs|inbox)/"), self._join)
        page.route("**/*", self._ask)

    def _join(self, socket: WebSocketRoute) -> None:
        if self.cut_off:
            self.refused += 1
            socket.close()
            return
        socket.connect_to_server()
        self.sockets.append(socket)

    def _ask(self, route: Route) -> None:
        if self.cut_off:
            route.abort()
        else:
            route.continue_()

    def cut(self) -> None:
        self.cut_off = True
        for socket in self.sockets:
            socket.close()
        self.sockets.clear()

    def wait_until_refused(self) -> None:
        waited = 0
        while self.refused < LEAST_REFUSED and waited < PATIENCE_MS:
            self.page.wait_for_timeout(50)
            waited += 50
        assert self.refused >= LEAST_REFUSED

    def mend(self) -> None:
        self.cut_off = False


def test_two_people_see_what_the_other_decides_and_holds(
    seat: Seat, project: Project, ada: User, tom: User, address: str
) -> None:
    post(project, 4)
    here, there = seat(ada), seat(tom)
    for page in (here, there):
        visit(page, f"{address}/inbox/")
        expect(page.locator("[data-live-state]")).to_have_text("Live")
    open_inbox(here, address)
    held = there.locator(f"#inbox-queue [data-item='{pane(here)}']")
    expect(held).to_contain_text("ada holds it")
    open_inbox(there, address)
    assert pane(there) != pane(here)
    here.keyboard.press("a")
    expect(there.get_by_role("heading", level=1)).to_have_text("3 items wait for you")
    expect(held).to_have_count(0)
    there.keyboard.press("d")
    expect(here.get_by_role("heading", level=1)).to_have_text("2 items wait for you")
    here.locator(READY).wait_for(state="attached")
    # What one takes back waits for the other again.
    here.keyboard.press("z")
    expect(there.get_by_role("heading", level=1)).to_have_text("3 items wait for you")


def test_whoever_looks_at_the_same_thing_is_named_until_they_go(
    seat: Seat, project: Project, ada: User, tom: User, address: str
) -> None:
    run, trunk = make.make_run(project)
    make.append(trunk, make.make_message("user", "Go"))
    fork = make.make_fork(trunk, 2).branch
    make.append(trunk, make.make_message("assistant", "A"))
    comparison = open_comparison(left=trunk.pk, right=fork.pk, actor=SYSTEM, required=2)
    item = escalate(
        project_id=project.pk,
        subject_id=uuid4(),
        cause=Cause.STUCK,
        digest=bytes(32),
        title="Stuck",
        reasons=["x"],
    )
    here, there = seat(ada), seat(tom)
    for path in (f"runs/{run.pk}", f"comparisons/{comparison.pk}", f"inbox/{item.pk}"):
        visit(here, f"{address}/{path}/")
        seen = here.locator("[data-presence]").first
        expect(seen).to_be_hidden()
        visit(there, f"{address}/{path}/")
        expect(seen).to_have_text("tom is reviewing")
        expect(there.locator("[data-presence]").first).to_have_text("ada is reviewing")
        visit(there, f"{address}/account/")
        expect(seen).to_be_hidden()


def test_a_list_that_was_cut_off_has_every_item_once_when_the_line_is_back(
    seat: Seat, project: Project, ada: User, address: str
) -> None:
    post(project, 3)
    page = seat(ada)
    line = Line(page)
    visit(page, f"{address}/inbox/?kind=escalation")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    line.cut()
    expect(page.locator("[data-live-state]")).to_have_text("Reconnecting")
    posted = post(project, 5)
    line.wait_until_refused()
    posted += post(project, 2)
    line.mend()
    expect(page.locator("[data-live-state]")).to_have_text("Live", timeout=PATIENCE_MS)
    rows = page.locator("#inbox-queue [data-row]")
    expect(rows).to_have_count(10)
    shown = rows.evaluate_all("rows => rows.map((row) => row.dataset.item)")
    assert len(set(shown)) == 10
    assert {str(item.pk) for item in posted} <= set(shown)


def test_a_run_that_was_cut_off_has_every_event_once_and_in_order_when_the_line_is_back(
    seat: Seat, project: Project, ada: User, address: str
) -> None:
    run, trunk = make.make_run(project)
    make.append(trunk, *[make.make_message("assistant", f"m{number}") for number in range(5)])
    page = seat(ada)
    line = Line(page)
    visit(page, f"{address}/runs/{run.pk}/")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    make.append(trunk, make.make_message("assistant", "before"))
    expect(page.locator(".event-row", has_text="before")).to_have_count(1)
    line.cut()
    for number in range(6):
        make.append(trunk, make.make_message("assistant", f"meanwhile {number}"))
    line.wait_until_refused()
    make.append(trunk, make.make_message("assistant", "and more"))
    line.mend()
    make.append(trunk, make.make_message("assistant", "after"))
    expect(page.locator(".event-row", has_text="after")).to_have_count(1, timeout=PATIENCE_MS)
    shown = page.locator(".event-row").evaluate_all("rows => rows.map((row) => row.id)")
    stored = Event.objects.filter(branch=trunk).order_by("seq").values_list("event_id", flat=True)
    assert shown == [f"e-{event_id}" for event_id in stored]


def test_what_is_written_while_the_line_is_cut_stays_and_is_sent_when_it_is_back(
    seat: Seat, project: Project, ada: User, address: str
) -> None:
    post(project, 2)
    page = seat(ada)
    line = Line(page)
    open_inbox(page, address)
    write(page, "half a thought")
    line.cut()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#alarm")).to_contain_text("What you filled in is kept")
    expect(page.locator("#inbox-decide textarea[name=text]")).to_have_value("half a thought")
    line.mend()
    page.locator(READY).wait_for(state="attached")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".batch")).to_contain_text("1 of 2 today")
