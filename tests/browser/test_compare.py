"""Judging, merging and undoing in a real browser, by keys, and without scripts."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from branches.models import Branch, Merge, Triplet
from branches.steering import complete_branch
from tests.browser.axe import find_faults
from tests.browser.conftest import OpenAs
from tests.browser.pages import visit
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_message,
    make_run,
    make_user,
)
from tests.verdicts.make import push
from verdicts.comparisons import open_comparison
from verdicts.models import Comparison, Label
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user


@pytest.fixture
def ines(project: Project) -> User:
    return make_user(project, first_name="Ines", last_name="Kaur")


@pytest.fixture
def pair(project: Project) -> tuple[Branch, Branch]:
    """Two finished forks; the first is graded and passes."""
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose."), make_message("assistant", "Looking."))
    good, bad = (make_fork(trunk, 3, f"Dose = {n}mg").branch for n in (50, 60))
    for branch, dose in ((good, "right"), (bad, "wrong")):
        alike = [make_draft("data.thought", {"text": f"thought {n}"}) for n in range(4)]
        append(branch, *alike, make_message("assistant", f"The {dose} dose."))
        complete_branch(branch_id=branch.pk, actor=SYSTEM)
        branch.refresh_from_db()
    push(good)
    return good, bad


@pytest.fixture
def desk(open_as: OpenAs, ines: User) -> Page:
    """Ines's signed-in page."""
    return open_as(ines)


def open_pair(pair: tuple[Branch, Branch], user: User) -> Comparison:
    return open_comparison(left=pair[0].pk, right=pair[1].pk, actor=actor_of_user(user))


def key_of_the_right_dose(page: Page) -> str:
    """`a` or `b`: sides are drawn at random."""
    said = page.locator(".compare-row[data-rel=differs] .turn").all_inner_texts()
    return "a" if "right" in said[0] else "b"


def test_a_pair_is_judged_merged_and_undone_by_keys_alone(
    desk: Page, address: str, pair: tuple[Branch, Branch]
) -> None:
    visit(desk, address + reverse("compare-open", args=[pair[0].run_id]))
    desk.keyboard.press("Control+Enter")
    expect(desk.get_by_role("heading", level=1)).to_have_text("Which continuation is better?")
    submit = desk.get_by_role("button", name="Submit")
    expect(submit).to_be_disabled()
    expect(desk.get_by_text("Choose a side, equal or both bad")).to_be_visible()
    key = key_of_the_right_dose(desk)
    desk.keyboard.press("1")
    desk.keyboard.press("4")
    desk.keyboard.press("4")
    desk.keyboard.press(key)
    expect(submit).to_be_enabled()
    expect(desk.get_by_text("Choose a side, equal or both bad")).to_be_hidden()
    desk.keyboard.press("Control+Enter")

    heading = desk.get_by_role("heading", level=1)
    expect(heading).to_have_text(f"{key.upper()} is better. Merge it?")
    assert Label.objects.get().scores == {"correct": -1, "concise": 0}
    expect(desk.get_by_text("Gate open")).to_be_visible()
    desk.keyboard.press("Control+Enter")

    expect(heading).to_have_text("fork 1 is merged")
    expect(desk.get_by_role("button", name="Undo").first).to_be_visible()
    assert Merge.objects.get().winner == pair[0]
    desk.keyboard.press("z")

    expect(heading).to_have_text("fork 1 was merged, and taken back")
    assert Merge.objects.get().revert_reason == "undone within 10 s"
    assert Triplet.objects.get().withdrawn_at is not None


def test_a_draft_outlives_a_change_of_reading_mode_and_keys_sleep_while_typing(
    desk: Page, address: str, pair: tuple[Branch, Branch], ines: User
) -> None:
    visit(desk, address + reverse("comparison", args=[open_pair(pair, ines).pk]))
    why = desk.get_by_label("Why")
    why.fill("a better base")
    why.press("x")
    expect(desk.get_by_role("button", name="Submit")).to_be_disabled()
    why.press("Escape")
    desk.keyboard.press("e")
    desk.keyboard.press("2")
    desk.get_by_role("link", name="Diff").click()
    expect(desk.get_by_role("link", name="Diff")).to_have_attribute("aria-current", "true")
    expect(desk.get_by_label("Why")).to_have_value("a better basex")
    expect(desk.get_by_role("radio", name="Equal", exact=False).last).to_be_checked()
    expect(desk.get_by_role("radio", name="Safe: A is better")).to_be_checked()
    expect(desk.get_by_role("button", name="Submit")).to_be_enabled()


def test_without_scripts_a_judgement_can_be_given_and_an_empty_one_is_told_why(
    browser: Browser, desk: Page, address: str, ines: User, pair: tuple[Branch, Branch]
) -> None:
    plain = browser.new_context(java_script_enabled=False)
    plain.add_cookies(desk.context.cookies())  # type: ignore[arg-type]
    page = plain.new_page()
    page.goto(address + reverse("comparison", args=[open_pair(pair, ines).pk]))
    page.locator(".compare-folded summary").click()
    expect(page.get_by_text("thought 3")).to_be_visible()
    page.get_by_label("Why").fill("kept words")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Nothing chosen yet")).to_be_visible()
    expect(page.get_by_label("Why")).to_have_value("kept words")
    page.locator("label.choice", has_text="Both bad").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Both are bad")
    plain.close()


@pytest.mark.parametrize("across", [1440, 1024, 390])
def test_the_pages_have_no_fault_that_axe_finds_and_do_not_spill(
    desk: Page, address: str, ines: User, pair: tuple[Branch, Branch], across: int
) -> None:
    desk.set_viewport_size({"width": across, "height": 900})
    comparison = reverse("comparison", args=[open_pair(pair, ines).pk])

    def look(path: str) -> None:
        visit(desk, address + path)
        assert find_faults(desk) == [], path
        assert desk.evaluate("document.documentElement.scrollWidth") <= across, path

    look(reverse("compare-open", args=[pair[0].run_id]))
    look(f"{comparison}?shared=1")
    look(comparison)
    desk.keyboard.press(key_of_the_right_dose(desk))
    desk.keyboard.press("Control+Enter")
    expect(desk.get_by_role("heading", level=1)).to_contain_text("Merge it?")
    look(comparison)
    desk.keyboard.press("Control+Enter")
    expect(desk.get_by_role("heading", level=1)).to_have_text("fork 1 is merged")
    look(reverse("merge", args=[Merge.objects.get().pk]))
    look(reverse("overview", args=["pump"]))
