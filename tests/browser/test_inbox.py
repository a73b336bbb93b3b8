"""Deciding by keys alone, in a real browser, and two people at once."""

from uuid import UUID

from django.contrib.auth.models import User
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenAs
from tests.browser.inbox_page import READY, open_inbox, pane, post, write
from tests.browser.pages import PHONE, assert_reachable, visit
from tests.make import make_user
from verel_site.access.models import Project
from verel_site.inbox.models import Claim, Decision, Item

MANY = 100


def test_a_hundred_items_are_decided_by_keys_alone(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, MANY)
    page = open_as(ada)
    open_inbox(page, address)
    for number in range(MANY):
        here = pane(page)
        page.keyboard.press("a" if number % 2 else "d")
        page.locator(f"#inbox-pane:not([data-item='{here}'])").wait_for(state="attached")
        if number < MANY - 1:
            page.locator(READY).wait_for(state="attached")
    expect(page.locator("#inbox-pane")).to_contain_text("Nothing more is free")
    expect(page.locator(".batch")).to_contain_text(f"{MANY} of {MANY} today")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing waits for you")
    assert Decision.objects.filter(reviewer=ada, undone_at=None).count() == MANY
    assert set(Item.objects.values_list("state", flat=True)) == {"done"}


def test_the_next_item_is_there_before_the_key_is_up_and_before_the_server_has_answered(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, 3)
    page = open_as(ada)
    held: list[Route] = []
    page.route("**/inbox/*/decide/", lambda route: held.append(route))
    open_inbox(page, address)
    expect(page.locator("[data-inbox][data-next-ready]")).to_be_attached()
    here = pane(page)
    page.keyboard.down("a")
    page.locator(f"#inbox-pane[data-claim]:not([data-item='{here}'])").wait_for(state="attached")
    assert not Decision.objects.exists()
    page.keyboard.up("a")
    expect(page.locator("#inbox-pane[data-deciding]")).to_be_attached()
    held.pop().continue_()
    page.locator(READY).wait_for(state="attached")
    assert Decision.objects.get().item_id == UUID(here)


def test_a_held_key_and_one_that_is_typed_decide_nothing(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, 4)
    page = open_as(ada)
    open_inbox(page, address)
    here = pane(page)
    for _ in range(5):
        page.keyboard.down("d")
    page.keyboard.up("d")
    page.locator(f"#inbox-pane:not([data-item='{here}'])").wait_for(state="attached")
    page.locator(READY).wait_for(state="attached")
    page.keyboard.press("c")
    page.keyboard.type("add a word")
    page.keyboard.press("Escape")
    # Playwright's AltGraph is a key and no modifier, so that its event is made here.
    page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'd', modifierAltGraph: true, bubbles: true}))"
    )
    page.keyboard.press("Alt+d")
    expect(page.locator(".batch")).to_contain_text("1 of 4 today")
    assert Decision.objects.count() == 1


def test_an_answer_is_taken_back_by_one_key_and_its_item_comes_back(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, 3)
    page = open_as(ada)
    open_inbox(page, address)
    here = pane(page)
    page.keyboard.press("a")
    expect(page.locator("#inbox-undo .toast")).to_contain_text("final in")
    page.locator(READY).wait_for(state="attached")
    page.keyboard.press("z")
    page.locator(f"#inbox-pane[data-item='{here}']").wait_for(state="attached")
    expect(page.locator("#inbox-undo .toast")).to_have_count(0)
    assert Decision.objects.get().undone_at is not None


def test_a_lost_claim_brings_the_item_back_with_what_was_written(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, 3)
    page = open_as(ada)
    open_inbox(page, address)
    here = pane(page)
    write(page, "half a thought")
    tom = make_user(project, name="tom")
    Claim.objects.filter(item_id=here).update(reviewer=tom)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#alarm")).to_contain_text("Your claim has lapsed")
    expect(
        page.locator(f"#inbox-pane[data-item='{here}'] textarea[name=text]").last
    ).to_be_visible()
    written = page.locator("#inbox-decide textarea[name=text]")
    expect(written).to_have_value("half a thought")
    assert not Decision.objects.exists()


def test_what_is_posted_meanwhile_appears_by_itself_and_not_while_one_writes(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, 2)
    page = open_as(ada)
    open_inbox(page, address)
    post(project, 1)
    expect(page.get_by_role("heading", level=1)).to_have_text("3 items wait for you")
    expect(page.locator(".main-nav [aria-current] .count")).to_have_text("3")
    expect(page).to_have_title("3 items wait for you · Verel")
    write(page, "a draft")
    expect(page.locator("[data-live-state]")).to_have_text("Paused while you write")
    post(project, 1)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("3 items wait for you")
    expect(page.locator(".batch")).to_contain_text("1 of 4 today")


def test_axe_finds_nothing_serious_in_either_theme(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, 3)
    page = open_as(ada)
    open_inbox(page, address)
    assert_reachable(page)
    page.set_viewport_size(PHONE)
    assert_reachable(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_on_a_phone_the_item_that_is_tapped_comes_before_the_eyes(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    post(project, 12)
    page = open_as(ada)
    page.set_viewport_size(PHONE)
    visit(page, f"{address}/inbox/")
    expect(page.locator("#inbox-pane h2")).to_have_count(0)
    page.locator("#inbox-queue [data-row]").nth(3).click()
    expect(page.locator("#inbox-pane h2")).to_be_in_viewport()
