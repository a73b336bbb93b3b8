"""The whole loop in a browser that runs no scripts: links and forms as they stand on the pages."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.fixtures import Settings

from branches.domain import terms
from branches.models import Approval, Branch, Merge
from branches.steering import complete_branch
from tests.branches.story import Story, tell_story
from tests.branches.test_datasets import pass_undo
from tests.make import append, make_draft, make_message, make_user
from tests.verdicts.make import push
from verel_site.access.actors import SYSTEM
from verel_site.access.rights import Role

PASSWORD = "correct horse battery"


@pytest.fixture
def story(transactional_db: None) -> Story:
    return tell_story()


@pytest.fixture(autouse=True)
def written_for_the_server(own_archive: None, settings: Settings) -> None:
    """What this process writes, archives and passwords, the server reads."""
    settings.VEREL_ARCHIVE_URL = f"file://{settings.VEREL_HOME}/archive"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]


@pytest.fixture
def ines(story: Story) -> User:
    return make_user(story.project, Role.ADMIN, name="ines")


@pytest.fixture
def page(browser: Browser, address: str, ines: User) -> Iterator[Page]:
    """A page without scripts, signed in through the form."""
    context = browser.new_context(java_script_enabled=False, base_url=address)
    opened = context.new_page()
    opened.goto("/")
    opened.get_by_label("Name").fill("ines")
    opened.get_by_label("Password").fill(PASSWORD)
    opened.get_by_role("button", name="Sign in").click()
    expect(opened.get_by_role("navigation", name="Main")).to_be_visible()
    yield opened
    context.close()


def expect_heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_from_signing_in_to_a_dataset_in_the_hand(page: Page, story: Story) -> None:
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("link", name="Cap the dose").first.click()
    page.locator(f"#e-{story.event(7).event_id} a[data-row-link]").click()
    page.get_by_role("link", name="Fork here").click()
    page.locator("#override").fill("Leave the tests alone.\nDose = 50mg")
    page.get_by_role("button", name="Fork and continue").click()
    expect(page.locator("#run-rail")).to_contain_text("fork 1")
    fork = Branch.objects.get(parent=story.trunk)
    ask = {"approval_id": "5b0c1c5e-2f0a-4c55-9c3a-3f8f1d2a7a10", "action": "git push"}
    told = {"args": {"to": "main"}, "allow": ["accept", "ignore"], "description": "Push it."}
    append(fork, make_draft(terms.APPROVAL_REQUESTED, ask | told))

    page.reload()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("[data-stasis]")).to_have_count(0)
    assert Approval.objects.get().answer == "accept"
    append(fork, make_message("assistant", "The bolus is capped at 50 mg."))
    append(story.trunk, make_message("assistant", "I changed the expected value."))
    for branch in (fork, story.trunk):
        complete_branch(branch_id=branch.pk, actor=SYSTEM)
        branch.refresh_from_db()
    push(fork)

    page.get_by_role("navigation", name="Run").get_by_role("link", name="Compare").click()
    page.locator(".offers").get_by_role("link", name="Compare").first.click()
    expect_heading(page, "Which continuation is better?")
    turns = page.locator(".compare-row[data-rel=differs] .turn").all_inner_texts()
    good = "A" if any("50 mg" in turn for turn in turns[::2]) else "B"
    page.locator("label.choice", has_text=f"{good} is better").click()
    page.get_by_label("Why").fill("It leaves the tests alone.")
    page.get_by_role("button", name="Submit").click()
    expect_heading(page, f"{good} is better. Merge it?")
    page.get_by_role("button", name="Approve merge").click()
    expect_heading(page, "fork 1 is merged")
    assert Merge.objects.get().winner == fork
    pass_undo()

    page.get_by_role("link", name="Datasets", exact=True).first.click()
    expect_heading(page, "Datasets")
    page.get_by_label("Text in a message").fill("bolus")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("1 triplet of this filter")).to_be_visible()
    page.get_by_role("button", name="Make a snapshot").click()
    expect_heading(page, "TRL, DPO")
    expect(page.get_by_role("link", name="Download data/")).to_be_visible()
    with page.expect_download() as awaited:
        page.get_by_role("link", name="Download data/").click()
    row = json.loads(Path(awaited.value.path()).read_text())
    assert "50 mg" in row["chosen"][0]["content"]

    page.get_by_role("link", name="Search or jump").click()
    page.get_by_role("searchbox", name="Search or jump").fill("bolus")
    page.get_by_role("searchbox", name="Search or jump").press("Enter")
    page.get_by_role("link", name="Search all events for “bolus”").click()
    page.locator(".hits a[data-row-link]", has_text="bolus").first.click()
    expect(page.locator("#event-detail")).to_contain_text("bolus")
