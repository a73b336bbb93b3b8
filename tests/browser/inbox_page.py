"""What tests do with the inbox: fill it, open it, and say which item is shown."""

from uuid import uuid4

from playwright.sync_api import Page, expect

from tests.browser.pages import visit, wait_until_heard
from verdicts.escalations import Cause, escalate
from verel_site.access.models import Project
from verel_site.inbox.models import Item

READY = "#inbox-pane[data-claim]:not([data-deciding])"


def post(project: Project, count: int) -> list[Item]:
    return [
        escalate(
            project_id=project.pk,
            subject_id=uuid4(),
            cause=Cause.STUCK,
            digest=bytes(32),
            title=f"Stuck {number}",
            reasons=[f"reason {number}"],
        )
        for number in range(count)
    ]


def pane(page: Page) -> str:
    return page.locator("#inbox-pane").get_attribute("data-item") or ""


def open_inbox(page: Page, address: str) -> None:
    visit(page, f"{address}/inbox/")
    page.keyboard.press("Enter")
    expect(page.locator(READY)).to_be_visible()


def write(page: Page, text: str) -> None:
    """By key into the field of reasons."""
    wait_until_heard(page)
    page.keyboard.press("r")
    expect(page.locator("#inbox-decide textarea[name=text]")).to_be_focused()
    page.keyboard.type(text)
