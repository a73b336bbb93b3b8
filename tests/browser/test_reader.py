"""What a reader never loses: the time where they are, and the focus when a part of the page is put
in anew."""

import re

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from tests import make
from tests.browser.conftest import OpenAs
from tests.browser.inbox_page import READY, open_inbox, pane, post
from tests.browser.pages import visit
from verel_site.access.models import Project


def test_the_first_page_after_signing_in_is_told_in_the_browsers_zone(
    browser: Browser, project: Project, ada: User, address: str
) -> None:
    post(project, 1)
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="ja-JP")
    page = context.new_page()
    # The page of the sign-in is where the server is told.
    page.goto(f"{address}/login/")
    client = Client()
    client.force_login(ada)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": address}])
    page.goto(f"{address}/inbox/")
    title = page.locator("#inbox-queue time").first
    expect(title).to_have_attribute("title", re.compile(r"^\S+ \S+ JST, \S+ \S+ UTC$"))
    page.goto(f"{address}/account/")
    page.get_by_label("Time zone").select_option("America/New_York")
    page.get_by_role("button", name="Keep the zone").click()
    page.goto(f"{address}/inbox/")
    expect(title).to_have_attribute("title", re.compile(r" E[SD]T, "))
    context.close()


def assert_focus_is_kept(page: Page) -> None:
    """Somewhere on the page, and not at its beginning."""
    expect(page.locator("body:focus")).to_have_count(0)
    expect(page.locator(":focus")).to_have_count(1)


def test_the_focus_is_on_the_page_after_each_part_that_is_put_in_anew(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, 5)
    page = open_as(ada)
    open_inbox(page, address)
    assert_focus_is_kept(page)
    for key in ("a", "w", "z"):
        here = pane(page)
        page.locator(READY).wait_for(state="attached")
        page.keyboard.press(key)
        page.locator(f"#inbox-pane:not([data-item='{here}'])").wait_for(state="attached")
        assert_focus_is_kept(page)
    # What was taken back is looked at, and held by nobody.
    page.keyboard.press("Enter")
    page.locator(READY).wait_for(state="attached")
    assert_focus_is_kept(page)
    page.keyboard.press("c")
    page.keyboard.type("A word beside it")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".inbox-comments")).to_contain_text("A word beside it")
    assert_focus_is_kept(page)
    page.keyboard.press("u")
    expect(page.get_by_role("button", name="Claim")).to_be_visible()
    assert_focus_is_kept(page)


def test_the_focus_is_on_the_page_after_a_run_put_in_another_event_and_a_drawer_was_closed(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    run, trunk = make.make_run(project)
    make.append(trunk, *[make.make_message("assistant", f"m{number}") for number in range(4)])
    page = open_as(ada)
    visit(page, f"{address}/runs/{run.pk}/")
    for _ in range(2):
        page.keyboard.press("k")
    assert_focus_is_kept(page)
    detail = page.locator("#event-detail")
    expect(detail).to_contain_text("m")
    page.keyboard.press("f")
    expect(page.locator("[aria-modal='true']")).to_be_visible()
    assert_focus_is_kept(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("[aria-modal='true']")).to_have_count(0)
    assert_focus_is_kept(page)
