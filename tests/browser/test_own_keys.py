"""Keys that a person has chosen, pressed in a real browser."""

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenAs
from tests.browser.inbox_page import open_inbox, pane, post
from tests.browser.pages import assert_reachable, visit, wait_until_heard
from verel_site.access.models import Preferences, Project
from verel_site.inbox.models import Decision, Item


def give(page: Page, address: str, **keys: str) -> None:
    """Presses keys into the fields of acts; `__` stands for the point."""
    visit(page, f"{address}/account/")
    for act, pressed in keys.items():
        page.locator(f"[name='key-{act.replace('__', '.')}']").focus()
        for key in pressed.split():
            page.keyboard.press(key)
    page.get_by_role("button", name="Keep these keys").click()


def test_a_key_that_was_given_decides_and_the_usual_one_no_longer(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, 4)
    page = open_as(ada)
    give(page, address, escalation__dismiss="q", rows__next="i", go__inbox="g q")
    expect(page.get_by_role("status").first).to_contain_text("Your keys are kept")
    wait_until_heard(page)
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page.get_by_role("heading", level=1)).to_have_text("4 items wait for you")
    wait_until_heard(page)
    current = page.locator("#inbox-queue [data-row][aria-current]")
    page.keyboard.press("j")
    expect(current).to_have_count(0)
    page.keyboard.press("i")
    expect(current).to_have_count(1)
    open_inbox(page, address)
    here = pane(page)
    page.keyboard.press("d")
    page.keyboard.press("Alt+q")
    page.keyboard.press("q")
    page.locator(f"#inbox-pane:not([data-item='{here}'])").wait_for(state="attached")
    expect(page.locator(".batch")).to_contain_text("1 of 4 today")
    page.keyboard.press("?")
    sheet = page.locator("#key-map")
    expect(sheet.locator("dt:text-is('No action') + dd")).to_have_text("q")
    expect(sheet.locator("dt:text-is('Next row') + dd")).to_have_text("i")
    assert Decision.objects.get().answer == "dismiss"
    assert Item.objects.filter(state="open").count() == 3


def test_a_clash_is_told_at_its_field_and_reset_brings_all_back(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    page = open_as(ada)
    give(page, address, inbox__skip="c")
    field = page.locator("[name='key-inbox.skip']")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("c")
    expect(page.locator("#fault-inbox\\.skip")).to_contain_text("is already “Comment”")
    assert_reachable(page)
    field.focus()
    page.keyboard.press("Backspace")
    expect(field).to_have_value("")
    page.keyboard.press("q")
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Keep these keys").click()
    page.get_by_role("button", name="Give every act its usual key").click()
    expect(field).to_have_value("")
    assert Preferences.objects.get().keys == {}
