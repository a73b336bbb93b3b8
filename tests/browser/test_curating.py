"""A curator's hour, in a real browser: found, looked at, traced to its event, decided, taken back."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Locator, Page, expect

from memory.domain.archive import File, pack_files
from memory.domain.terms import Answer
from memory.models import Record
from memory.skills import upload_skill
from tests.browser.conftest import OpenAs
from tests.browser.pages import assert_reachable, visit, wait_until_heard
from tests.make import make_user
from tests.memory.make import CAP, answer, cite, make_fact, make_source, make_verified, propose
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role


@pytest.fixture
def cleo(project: Project) -> User:
    return make_user(project, Role.CURATOR, name="cleo")


def fill(project: Project, cleo: User) -> None:
    make_verified(
        project,
        "The bolus cap is 45 mg",
        actor_of_user(cleo),
        **CAP,
        object="45 mg",
        evidence=cite(make_source(project, "45 mg held"), quote="45 mg held"),
    )
    propose(project, "The bolus cap is 50 mg", **CAP, object="50 mg")
    for ward in range(3):
        make_fact(project, f"Ward {ward} logs each bolus")
    for step in ("Multiply.", "Divide, then multiply."):
        files = [
            File("SKILL.md", f"---\nname: to-mg\ndescription: To mg\n---\n{step}\n".encode()),
            File("scripts/deep/convert.py", f"# {step}\nprint(1)\n".encode()),
        ]
        packed = pack_files(files, folder="to-mg")
        told = upload_skill(project_id=project.pk, actor=SYSTEM, archive=packed)
        answer(told.record, actor_of_user(cleo), Answer.PROMOTE)


def focus_of(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Record in focus")


def find_by_words(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("bolus")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=bolus"))
    wait_until_heard(page)
    page.get_by_role("navigation", name="Filters").get_by_role("link", name="Verified 1").click()
    expect(page).to_have_url(re.compile(r"trust=verified"))
    wait_until_heard(page)
    expect(page.locator("tr[data-row]")).to_have_count(1)


def follow_to_the_event_and_back(page: Page) -> None:
    """Enter opens the record; its source is an event of the tree, and the browser leads back."""
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("The bolus cap is 45 mg")
    wait_until_heard(page)
    told = page.locator(".provenance")
    expect(told).to_contain_text("Where it is from")
    expect(told).to_contain_text("1 independent run, first seen in")
    expect(told).to_contain_text("Promoted by a person")
    expect(told).to_contain_text("cleo")
    expect(told).to_contain_text("What is verified is never pruned")
    assert_reachable(page)
    record = page.url
    told.get_by_role("link", name="r-1 / 2").click()
    expect(page.locator("#event-detail")).to_contain_text("45 mg held")
    page.go_back()
    expect(page).to_have_url(record)
    page.go_back()
    expect(page).to_have_url(re.compile(r"trust=verified"))
    wait_until_heard(page)


def bury_two_and_take_it_back(page: Page) -> None:
    rows = page.locator("tr[data-row]")
    expect(rows).to_have_count(3)
    for ward in (1, 0):
        page.keyboard.press("j")
        expect(focus_of(page)).to_contain_text(f"Ward {ward} logs each bolus")
        page.keyboard.press("x")
    expect(page.get_by_text("2 picked")).to_be_visible()
    page.get_by_label("Reason", exact=True).fill("The wards were closed")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    told = page.get_by_role("status").filter(has_text="2 buried.")
    expect(told).to_be_visible()
    wait_until_heard(page)
    assert Record.objects.filter(standing="buried").count() == 2
    assert_reachable(page)
    page.keyboard.press("z")
    expect(page.get_by_text("2 answers taken back.")).to_be_visible()
    assert not Record.objects.filter(standing="buried").exists()


def settle_one_and_take_it_back(page: Page) -> None:
    page.get_by_role("link", name="Contradictions").click()
    wait_until_heard(page)
    expect(page.locator("mark")).to_have_text(["45", "50"])
    page.get_by_role("button", name="Take f-2 instead").click()
    expect(page.get_by_role("alert").filter(has_text="Which of two stays")).to_be_visible()
    wait_until_heard(page)
    page.get_by_label("Why f-1 or f-2 stays").fill("The sheet of May")
    page.get_by_role("button", name="Take f-2 instead").click()
    expect(page.get_by_text("1 promoted.")).to_be_visible()
    wait_until_heard(page)
    assert Record.objects.get(number=2).trust == "verified"
    assert_reachable(page)
    page.keyboard.press("z")
    expect(page.get_by_text("1 answer taken back.")).to_be_visible()
    assert Record.objects.get(number=2).standing == "held"


def read_a_skill(page: Page) -> None:
    page.get_by_role("link", name="Skills").click()
    wait_until_heard(page)
    page.get_by_role("link", name="to-mg v2").first.click()
    tree = page.get_by_role("navigation", name="File tree")
    expect(tree).to_contain_text("deep")
    tree.get_by_role("link", name="convert.py").click()
    lines = page.get_by_role("group", name="Lines of scripts/deep/convert.py")
    expect(lines.locator("del")).to_have_text("# Multiply.")
    expect(lines.locator("ins")).to_have_text("# Divide, then multiply.")
    assert_reachable(page)
    page.get_by_role("link", name="nothing").click()
    expect(page).to_have_url(re.compile("against=none"))
    expect(lines.locator("ins, del")).to_have_count(0)
    expect(lines).to_contain_text("# Divide, then multiply.")


def test_a_curator_finds_traces_buries_settles_and_reads(
    open_as: OpenAs, project: Project, cleo: User, address: str
) -> None:
    fill(project, cleo)
    page = open_as(cleo)
    visit(page, f"{address}/p/pump/memory/")
    find_by_words(page)
    follow_to_the_event_and_back(page)
    visit(page, f"{address}/p/pump/memory/?q=ward&sort=newest")
    bury_two_and_take_it_back(page)
    settle_one_and_take_it_back(page)
    read_a_skill(page)
