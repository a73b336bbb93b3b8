"""The failure ledger in a real browser: found, looked at, put into quarantine and taken back."""

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from tests.browser.axe import find_faults
from tests.browser.conftest import OpenAs
from tests.browser.pages import visit
from tests.make import append, make_message, make_project, make_run, make_user
from tests.verdicts.make import make_issue, push
from verdicts.admission import read_gate
from verdicts.models import Failure, FailureEntry
from verel_site.access.models import Project
from verel_site.access.rights import Role

CLAMP = {"message": "assert 3 == 4 where 3 = clamp(5, 0, 3)", "locator": "tests/test_clamp.py::cap"}


@pytest.fixture
def project(transactional_db: None) -> Project:
    """One failure that came back, others that are open or resolved."""
    project = make_project("pump")
    _, trunk = make_run(project)
    others = [
        make_issue(locator=f"tests/test_{name}.py::unit", message=f"{name}: 5.0 ml is not 5.1 ml")
        for name in ("pump", "valve", "dose", "alarm")
    ]
    for found in ([make_issue(**CLAMP), *others], others[:2], [make_issue(**CLAMP), *others[:1]]):
        append(trunk, make_message("assistant", "Next."))
        trunk.refresh_from_db()
        push(trunk, issues=found, tool="pytest")
    return project


def accessible(page: Page) -> None:
    assert find_faults(page) == []


def test_a_curator_finds_what_came_back_and_quarantines_and_lifts_it(
    project: Project, open_as: OpenAs, address: str
) -> None:
    page = open_as(make_user(project, role=Role.CURATOR, first_name="Ada"))
    visit(page, address + reverse("gate-ledger", args=[project.slug]))
    rows = page.locator(".ledger-table tbody tr")
    expect(rows).to_have_count(5)
    accessible(page)
    page.get_by_role("link", name="Test failure").click()
    expect(rows).to_have_count(5)
    page.get_by_role("link", name="Came back").click()
    expect(rows).to_have_count(1)
    expect(page.get_by_role("link", name="Test failure")).to_have_attribute("aria-current", "true")
    page.get_by_label("Search fingerprints, messages and places").fill("clamp(")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    rows.get_by_role("link").click()
    side = page.get_by_role("complementary")
    expect(side.locator(".ledger-turns li")).to_have_count(3)
    accessible(page)
    side.get_by_label("Reason").fill("the clock of the fixture")
    side.get_by_role("button", name="Put into quarantine").click()
    expect(side).to_contain_text("the clock of the fixture. Its errors warn, and shut no gate.")
    failure = Failure.objects.get(locator=CLAMP["locator"])
    branch = failure.last_report.branch
    branch.refresh_from_db()
    assert any("in quarantine as flaky" in text for text in read_gate(branch).texts)
    side.get_by_label("Reason").fill("mended")
    side.get_by_role("button", name="Lift the quarantine").click()
    expect(side.get_by_role("button", name="Put into quarantine")).to_be_visible()
    assert FailureEntry.objects.filter(failure=failure, turn="lifted", reason="mended").exists()


def test_a_turn_of_the_history_leads_to_its_head_in_the_tree(
    project: Project, open_as: OpenAs, address: str
) -> None:
    page = open_as(make_user(project))
    failure = Failure.objects.get(locator=CLAMP["locator"])
    visit(page, f"{address}{reverse('gate-ledger', args=[project.slug])}?failure={failure.pk}")
    page.locator(".ledger-turns li").last.get_by_role("link").first.click()
    expect(page.locator("#event-detail")).to_contain_text("Next.")
