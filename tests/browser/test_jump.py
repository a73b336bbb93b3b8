"""Search or jump, by keys alone in a real browser."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenAs
from tests.browser.pages import assert_reachable, visit, wait_until_heard
from tests.make import make_run
from verel_site.access.models import Project

HOSTILE = "<img src=x onerror=alert(1)><dialog open>Sign in again</dialog> dose"


@pytest.fixture(autouse=True)
def run(project: Project) -> None:
    make_run(project, goal="Cap the bolus")


def open_palette(page: Page, address: str) -> None:
    visit(page, f"{address}/p/pump/runs/")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search or jump")).to_be_focused()
    expect(page.get_by_role("option").first).to_be_visible()


def test_what_is_typed_and_entered_at_once_leads_to_what_was_typed(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    page = open_as(ada)
    open_palette(page, address)
    # No waiting between: the first line is still that of the empty field.
    page.keyboard.type("bolus")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}/"))
    wait_until_heard(page)
    page.keyboard.press("Control+k")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.type("memory")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/p/pump/memory/"))


def test_arrows_choose_escape_closes_and_the_focus_comes_back(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    page = open_as(ada)
    open_palette(page, address)
    selected = page.locator("[role=option][aria-selected=true]")
    expect(selected).to_contain_text("Cap the bolus")
    page.keyboard.press("ArrowDown")
    expect(selected).to_have_count(1)
    expect(selected).to_contain_text("Inbox")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(selected).to_contain_text("Sign out")
    assert_reachable(page)
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    # The keys of the page are awake again.
    page.keyboard.press("/")
    page.keyboard.type("x")
    page.keyboard.press("Control+k")
    expect(page.locator("dialog[open]")).to_have_count(1)
    page.keyboard.press("Control+k")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("input[data-key='/']")).to_be_focused()


def test_an_act_is_done_on_the_page_that_it_was_called_from(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    page = open_as(ada)
    open_palette(page, address)
    before = page.locator("html").get_attribute("data-theme")
    page.keyboard.type("theme")
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("html")).not_to_have_attribute("data-theme", before or "light")
    page.keyboard.press("Control+k")
    page.keyboard.type("show the keys")
    page.keyboard.press("Enter")
    expect(page.locator("#key-map[open]")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("sign out")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/login/"))


def test_what_an_agent_wrote_is_text_in_the_palette(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    make_run(project, goal=HOSTILE)
    page = open_as(ada)
    page.on("dialog", lambda dialog: pytest.fail("a dialog opened"))
    open_palette(page, address)
    page.keyboard.type("dose")
    expect(page.get_by_role("option").first).to_contain_text("<img src=x")
    expect(page.locator("#jump img, #jump dialog")).to_have_count(0)
