"""The behaviours in static/js, in a real browser, on pages of the test's own under the real CSP."""

import mimetypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect, sync_playwright

from verel_site.kit.security import STRICT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium on this machine"),
]

ORIGIN: Final = "http://verel.test"
STATIC: Final = Path(settings.BASE_DIR) / "static"
SCRIPTS: Final = (
    "keys",
    "rows",
    "tail",
    "live",
    "toast",
    "alarm",
    "menu",
    "copy",
    "payload",
    "theme",
)
HTMX: Final = (
    '{"allowEval":false,"selfRequestsOnly":true,"includeIndicatorStyles":false,'
    '"responseHandling":[{"code":"204","swap":false},{"code":"2..","swap":true},'
    '{"code":"409","swap":true},{"code":"422","swap":true},{"code":"...","swap":false,"error":true}]}'
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Of this module and not of the session: its event loop would be in the way of later
    # asynchronous tests.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*sandbox, *quiet]
        )


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


class Site:
    """Answers every request of the page: static files, and what the test put under a path."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.answers: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.faults: list[str] = []
        page.route("**/*", self.answer)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self.note)

    def note(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.faults.append(message.text)

    def answer(self, route: Route) -> None:
        parts = urlsplit(route.request.url)
        if parts.path.startswith("/static/"):
            file = STATIC / parts.path.removeprefix("/static/")
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            route.fulfill(body=file.read_bytes(), content_type=kind)
            return
        if route.request.resource_type != "document":
            query = f"?{parts.query}" if parts.query else ""
            self.asked.append(f"{route.request.method} {parts.path}{query}")
        status, body = self.answers.get(parts.path, (404, "nothing here"))
        route.fulfill(
            status=status,
            body=body,
            content_type="text/html",
            headers={"Content-Security-Policy": STRICT},
        )

    def open(self, body: str) -> Page:
        scripts = "".join(
            f'<script type="module" src="/static/js/{s}.js"></script>' for s in SCRIPTS
        )
        sheets = "".join(
            f'<link rel="stylesheet" href="/static/css/{s}.css">'
            for s in ("tokens", "base", "components")
        )
        self.answers["/"] = (
            200,
            f"<!doctype html><html><head><meta name='htmx-config' content='{HTMX}'>{sheets}"
            f'<script src="/static/vendor/htmx.min.js" defer></script>{scripts}</head>'
            f'<body><header></header><main>{body}</main><span class="live-state" data-live-state></span>'
            '<div class="alarm" id="alarm"></div>'
            '<dialog id="key-map"><p>Keys</p></dialog></body></html>',
        )
        self.page.goto(f"{ORIGIN}/")
        return self.page


@pytest.fixture
def site(page: Page) -> Iterator[Site]:
    made = Site(page)
    yield made
    assert made.faults == []


COUNTER = '<form id="f" hx-post="/press/" hx-swap="none"><textarea id="t"></textarea>'


def test_a_key_presses_its_button_but_not_while_typing(site: Site) -> None:
    site.answers["/press/"] = (204, "")
    page = site.open(f'{COUNTER}<button data-key="a">A</button></form>')
    page.locator("#t").press("a")
    assert page.locator("#t").input_value() == "a"
    page.locator("#t").press("Escape")
    with page.expect_response("**/press/"):
        page.keyboard.press("a")
    assert site.asked == ["POST /press/"]


def test_control_enter_sends_the_form_that_is_being_typed_in_only(site: Site) -> None:
    site.answers["/press/"] = (204, "")
    page = site.open(f'<input id="other">{COUNTER}<button data-key="Ctrl+Enter">Go</button></form>')
    page.locator("#other").press("Control+Enter")
    with page.expect_response("**/press/"):
        page.locator("#t").press("Control+Enter")
    assert site.asked == ["POST /press/"]


def test_a_disabled_or_covered_button_is_not_pressed(site: Site) -> None:
    site.answers["/press/"] = (204, "")
    page = site.open(
        '<button data-key="a" hx-post="/press/" disabled>A</button>'
        '<button data-key="b" hx-post="/press/?under">B</button>'
        '<section role="dialog" aria-modal="true"><button data-key="c" hx-post="/press/?over" hx-swap="none">C'
        "</button></section>"
    )
    page.keyboard.press("a")
    page.keyboard.press("b")
    with page.expect_response("**/press/*"):
        page.keyboard.press("c")
    assert site.asked == ["POST /press/?over"]


def test_a_second_press_waits_until_the_decision_is_answered(site: Site) -> None:
    page = site.open(
        '<button data-key="a" data-decides hx-post="/slow/" hx-swap="none">A</button>'
        '<button data-key="b" hx-post="/press/" hx-swap="none">B</button>'
    )
    held: list[Route] = []
    page.route("**/slow/", lambda route: held.append(route))
    with page.expect_request("**/slow/"):
        page.keyboard.press("a")
    page.keyboard.press("a")
    page.keyboard.press("b")
    assert site.asked == []
    with page.expect_response("**/slow/"):
        held[0].fulfill(status=204)
    site.answers["/press/"] = (204, "")
    expect(page.locator("[data-decides]")).not_to_have_class("htmx-request")
    with page.expect_response("**/press/"):
        page.keyboard.press("b")
    assert len(held) == 1


def test_a_sequence_of_keys_goes_to_a_page(site: Site) -> None:
    site.answers["/runs/"] = (200, "<h1>Runs</h1>")
    page = site.open('<a href="/runs/" data-key="g r">Runs</a><a href="/no/" data-key="r">R</a>')
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page.locator("h1")).to_have_text("Runs")


def test_the_question_mark_opens_the_keys_and_then_other_keys_sleep(site: Site) -> None:
    page = site.open(
        '<button data-open="key-map" data-key="?">?</button><a href="/no/" data-key="a">A</a>'
    )
    page.keyboard.press("?")
    expect(page.locator("#key-map")).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    expect(page.locator("#key-map")).to_be_hidden()
    assert page.url == f"{ORIGIN}/"


def test_escape_closes_the_drawer_link_and_leaves_a_field_first(site: Site) -> None:
    site.answers["/run/"] = (200, "<h1>Run</h1>")
    page = site.open('<a href="/run/" data-key="Escape">Close</a><textarea id="t">draft</textarea>')
    page.locator("#t").press("Escape")
    expect(page.locator("#t")).not_to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("h1")).to_have_text("Run")


ROWS = (
    '<div data-rows data-detail-target="#event-detail" role="tree">'
    + "".join(
        f'<div data-row role="treeitem" aria-selected="false" tabindex="-1" data-detail="/detail/{n}/"'
        f"{' data-bad' if n == 3 else ''}{' data-forks' if n == 2 else ''}>"
        f'<a data-row-link href="/?event={n}">row {n}</a></div>'
        for n in range(1, 5)
    )
    + '</div><div id="event-detail">none</div>'
)


@pytest.mark.parametrize(
    ("keys", "row"), [("j", 1), ("jj", 2), ("jjk", 1), ("je", 3), ("j]", 2), ("G", 4), ("G[", 2)]
)
def test_keys_move_through_rows_and_load_the_detail(site: Site, keys: str, row: int) -> None:
    for n in range(1, 5):
        site.answers[f"/detail/{n}/"] = (200, f'<div id="event-detail">detail {n}</div>')
    page = site.open(ROWS)
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator("#event-detail")).to_have_text(f"detail {row}")
    expect(page.locator('[aria-selected="true"]')).to_have_text(f"row {row}")
    expect(page).to_have_url(f"{ORIGIN}/?event={row}")


def test_a_click_on_a_row_link_loads_the_detail_without_leaving(site: Site) -> None:
    site.answers["/detail/2/"] = (200, '<div id="event-detail">detail 2</div>')
    page = site.open(ROWS)
    page.get_by_text("row 2").click()
    expect(page.locator("#event-detail")).to_have_text("detail 2")


def test_the_detail_of_a_row_that_was_left_meanwhile_is_dropped(site: Site) -> None:
    held: dict[str, Route] = {}
    site.page.route("**/detail/*/", lambda route: held.update({route.request.url[-2]: route}))
    page = site.open(ROWS)
    for row in "12":
        with page.expect_request(f"**/detail/{row}/"):
            page.keyboard.press("j")
    page.evaluate(
        "document.addEventListener('htmx:afterRequest', (event) => {"
        " document.body.dataset.answered = event.detail.pathInfo.requestPath; })"
    )
    held["1"].fulfill(body='<div id="event-detail">detail 1</div>', content_type="text/html")
    expect(page.locator("body")).to_have_attribute("data-answered", "/detail/1/")
    expect(page.locator("#event-detail")).to_have_text("none")
    held["2"].fulfill(body='<div id="event-detail">detail 2</div>', content_type="text/html")
    expect(page.locator("#event-detail")).to_have_text("detail 2")


def test_a_refusal_floats_and_the_draft_is_kept(site: Site) -> None:
    site.answers["/press/"] = (
        409,
        '<div class="notice refusal" data-refusal="moved"><b>Moved</b><button data-dismiss>Close</button></div>',
    )
    page = site.open(
        '<form hx-post="/press/" hx-target="this"><textarea id="t">draft</textarea><button>Go</button></form>'
    )
    page.get_by_role("button", name="Go").click()
    expect(page.locator("#alarm")).to_contain_text("Moved")
    expect(page.locator("#t")).to_have_value("draft")
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#alarm")).to_be_empty()


def test_a_server_fault_is_told_and_nothing_is_swapped(site: Site) -> None:
    site.answers["/press/"] = (500, "<h1>boom</h1>")
    page = site.open('<button hx-post="/press/" hx-target="this">Go</button>')
    page.get_by_role("button", name="Go").click()
    expect(page.locator("#alarm")).to_contain_text("The server answered 500")
    expect(page.get_by_role("button", name="Go")).to_be_visible()


def test_a_socket_announces_and_the_tail_fetches_after_its_cursor(site: Site) -> None:
    sockets: list[WebSocketRoute] = []
    site.page.route_web_socket("**/ws/runs/7/", lambda ws: sockets.append(ws))
    site.answers["/rows/"] = (200, '<p data-cursor="12">twelve</p>')
    page = site.open(
        '<div data-live="/ws/runs/7/"></div><div class="pane">'
        '<div id="event-rows" data-tail="/rows/?branch=b"><p data-cursor="9">nine</p></div></div>'
    )
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    sockets[0].send('{"branch": "b", "seq": 12}')
    expect(page.locator("#event-rows p")).to_have_text(["nine", "twelve"])
    assert site.asked == ["GET /rows/?branch=b&after=9"]


def test_after_a_reconnection_the_page_fetches_what_it_missed(site: Site) -> None:
    sockets: list[WebSocketRoute] = []
    site.page.route_web_socket("**/ws/runs/7/", lambda ws: sockets.append(ws))
    site.answers["/rows/"] = (200, '<p data-cursor="12">twelve</p>')
    page = site.open(
        '<div data-live="/ws/runs/7/"></div><div id="event-rows" data-tail="/rows/"><p data-cursor="9">nine</p></div>'
    )
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    sockets[0].close()
    expect(page.locator("[data-live-state]")).to_have_text("Reconnecting")
    expect(page.locator("#event-rows p")).to_have_text(["nine", "twelve"])
    expect(page.locator("[data-live-state]")).to_have_text("Live")


def test_announcements_wait_while_a_draft_is_written(site: Site) -> None:
    sockets: list[WebSocketRoute] = []
    site.page.route_web_socket("**/ws/runs/7/", lambda ws: sockets.append(ws))
    site.answers["/rows/"] = (200, '<p data-cursor="12">twelve</p>')
    site.answers["/closed/"] = (200, "closed")
    page = site.open(
        '<div data-live="/ws/runs/7/"></div><div id="event-rows" data-tail="/rows/"></div>'
        '<section id="drawer" data-live-hold><button hx-get="/closed/" hx-target="#drawer" hx-swap="outerHTML">'
        "Close</button></section>"
    )
    expect(page.locator("[data-live-state]")).to_have_text("Paused while you write")
    sockets[0].send('{"branch": "b", "seq": 12}')
    sockets[0].send('{"branch": "b", "seq": 13}')
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#event-rows p")).to_have_text(["twelve"])
    assert site.asked == ["GET /closed/", "GET /rows/?after=0"]


def test_a_reader_further_up_is_not_moved_and_the_pill_counts(site: Site) -> None:
    sockets: list[WebSocketRoute] = []
    site.page.route_web_socket("**/ws/runs/7/", lambda ws: sockets.append(ws))
    site.answers["/rows/"] = (200, '<p data-cursor="99">new</p>')
    page = site.open(
        '<div data-live="/ws/runs/7/"></div><div id="event-rows" data-tail="/rows/">'
        + "".join(f'<div class="skeleton-row" data-cursor="{n}"></div>' for n in range(90))
        + '</div><button data-tail-pill="event-rows" hidden><b data-tail-count>0</b> new</button>'
    )
    page.set_viewport_size({"width": 390, "height": 500})
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    sockets[0].send('{"branch": "b", "seq": 99}')
    pill = page.locator("[data-tail-pill]")
    expect(pill).to_have_text("1 new")
    assert page.locator("html").evaluate("e => e.scrollTop") == 0
    pill.evaluate("e => e.click()")
    expect(pill).to_be_hidden()
    assert page.locator("html").evaluate("e => e.scrollTop") > 0


def test_the_undo_counts_down_and_goes(site: Site) -> None:
    # The page's time stands still but for what the test lets pass, however long loading takes.
    site.page.clock.install(time=0)
    site.page.clock.pause_at(1)
    page = site.open('<div class="toast" data-undo-for="10"><b data-undo-seconds>10</b></div>')
    page.clock.run_for(4000)
    expect(page.locator("[data-undo-seconds]")).to_have_text("6")
    page.clock.run_for(7000)
    expect(page.locator(".toast")).to_have_count(0)


def test_a_menu_closes_on_escape_and_on_a_click_elsewhere(site: Site) -> None:
    page = site.open(
        '<details class="menu"><summary>Menu</summary><p>Inside</p></details><h1>Else</h1>'
    )
    menu = page.locator("details")
    page.locator("summary").click()
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    page.locator("summary").click()
    page.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")


def test_the_theme_is_kept_in_a_cookie(site: Site) -> None:
    page = site.open("<button data-theme-switch>Theme</button>")
    page.get_by_role("button").click()
    chosen = page.locator("html").get_attribute("data-theme")
    assert [c.get("value") for c in page.context.cookies() if c.get("name") == "verel_theme"] == [
        chosen
    ]
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", chosen or "")


def test_payload_tabs_and_wrapping(site: Site) -> None:
    page = site.open(
        '<div class="payload"><button data-payload-tab="text" aria-pressed="true">Text</button>'
        '<button data-payload-tab="json" aria-pressed="false">JSON</button>'
        '<button data-payload-wrap aria-pressed="true">Wrap</button>'
        '<pre data-payload-body="text">T</pre><pre data-payload-body="json" hidden>J</pre></div>'
    )
    page.get_by_role("button", name="JSON").click()
    expect(page.get_by_text("J", exact=True)).to_be_visible()
    expect(page.get_by_text("T", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Wrap").click()
    expect(page.locator(".payload")).to_have_attribute("data-nowrap", "")
