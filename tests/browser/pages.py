"""What tests do with any page: open it, and wait until it hears them."""

from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.axe import find_faults

SERIOUS = ("serious", "critical")
PHONE: ViewportSize = {"width": 390, "height": 844}


def wait_until_heard(page: Page) -> None:
    """Every script of the page listens now: what is pressed earlier is lost on a slow machine."""
    expect(page.locator("html[data-listens]")).to_be_attached()


def visit(page: Page, address: str) -> None:
    page.goto(address)
    wait_until_heard(page)


def assert_reachable(page: Page) -> None:
    """axe finds nothing serious on the page as it is now, in either theme."""
    faults = find_faults(page, of=SERIOUS)
    assert not faults, "\n".join(faults)
