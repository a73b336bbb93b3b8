"""The run page under a keyboard: rows, deep links, the fork drawer, the live tail."""

import re
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from branches.approvals import answer_approval
from branches.domain import terms
from branches.models import Approval, Branch
from branches.selectors.run_page import RAIL_ROWS
from branches.selectors.run_rows import FIRST_ROWS
from tests import make
from tests.branches.story import Story, tell_story
from tests.browser.axe import find_faults
from tests.browser.conftest import OpenAs
from tests.browser.pages import visit, wait_until_heard
from tests.verdicts.make import push

COOKIE = "sessionid"


@pytest.fixture
def story(transactional_db: None) -> Story:
    return tell_story(forks=1)


@pytest.fixture
def reviewer(story: Story) -> User:
    return make.make_user(story.project, first_name="Ines", last_name="Kaur")


@pytest.fixture
def page(open_as: OpenAs, address: str, story: Story, reviewer: User) -> Page:
    opened = open_as(reviewer)
    visit(opened, f"{address}/runs/{story.run.pk}/")
    expect(opened.locator("[data-live-state]")).to_have_text("Live")
    return opened


def selected(page: Page) -> str:
    return page.locator(".event-row[aria-selected=true]").get_attribute("id") or ""


def row(story: Story, seq: int, branch: Branch | None = None) -> str:
    return f"e-{story.event(seq, branch).event_id}"


def expect_selected(page: Page, row_id: str) -> None:
    expect(page.locator(f"#{row_id}")).to_have_attribute("aria-selected", "true")


def test_j_and_k_move_and_the_detail_follows(page: Page, story: Story) -> None:
    visit(page, f"{page.url}?event={story.event(6).event_id}")
    page.keyboard.press("j")
    expect_selected(page, row(story, 7))
    expect(page.locator("#event-detail h2")).to_have_text("Thought")
    page.keyboard.press("k")
    expect_selected(page, row(story, 6))
    expect(page.locator("#event-detail")).to_contain_text("2 failed in 4.08s")
    expect(page.locator(f"#{row(story, 6)}")).to_be_focused()


def test_the_address_is_a_deep_link_that_survives_a_reload(page: Page, story: Story) -> None:
    visit(page, f"{page.url}?event={story.event(6).event_id}")
    page.keyboard.press("j")
    wanted = str(story.event(7).event_id)
    page.wait_for_url(f"**?event={wanted}")
    page.reload()
    wait_until_heard(page)
    expect_selected(page, f"e-{wanted}")
    expect(page.locator("#event-detail h2")).to_have_text("Thought")


def test_h_and_l_fold_a_call_and_j_skips_what_is_folded(page: Page, story: Story) -> None:
    visit(page, f"{page.url}?event={story.event(3).event_id}")
    result = page.locator(f"#{row(story, 4)}")
    expect(result).to_be_hidden()
    page.keyboard.press("j")
    expect_selected(page, row(story, 5))
    page.keyboard.press("k")
    page.keyboard.press("l")
    expect(result).to_be_visible()
    page.keyboard.press("j")
    expect_selected(page, row(story, 4))
    page.keyboard.press("k")
    page.keyboard.press("h")
    expect(result).to_be_hidden()


def test_e_finds_the_next_error_and_brackets_the_forks(page: Page, story: Story) -> None:
    visit(page, f"{page.url}?event={story.event(2).event_id}")
    page.keyboard.press("e")
    expect_selected(page, row(story, 6))
    page.keyboard.press("]")
    expect_selected(page, row(story, 7))


def test_search_marks_hits_and_n_goes_on(page: Page, story: Story) -> None:
    page.keyboard.press("/")
    page.keyboard.type("pytest")
    page.keyboard.press("Enter")
    expect(page.locator(".event-row mark").first).to_have_text("pytest")
    make.append(story.trunk, make.make_message("assistant", "pytest is green"))
    page.reload()
    wait_until_heard(page)
    expect(page.locator("[data-hit-place]")).to_have_text("1")
    page.keyboard.press("n")
    expect(page.locator("[data-hit-place]")).to_have_text("2")
    page.keyboard.press("N")
    expect(page.locator("[data-hit-place]")).to_have_text("1")


def test_the_bars_field_finds_an_event_and_opens_it_in_place(page: Page, story: Story) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("failed in")
    page.keyboard.press("Enter")
    expect(page.locator(".hit-row mark")).to_have_text("failed in")
    page.wait_for_load_state()  # the rows are drawn before the scripts that move through them run
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect_selected(page, row(story, 6))
    expect(page.get_by_label("Search in this run")).to_have_value("failed in")


def test_the_drawer_previews_and_forks_by_keyboard(page: Page, story: Story) -> None:
    visit(page, f"{page.url}?event={story.event(7).event_id}")
    page.keyboard.press("f")
    field = page.get_by_label("Override", exact=False).and_(page.locator("textarea"))
    expect(field).to_be_focused()
    page.keyboard.type("Leave the tests alone.\nDose = 50mg")
    expect(page.locator("#fork-patches ins")).to_have_text("50mg")
    expect(page.locator(".human-message")).to_contain_text("[SYSTEM PRIORITY INTERRUPT]")
    expect(page.locator("[data-live-state]")).to_have_text("Paused while you write")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**?branch=*")
    fork = Branch.objects.get(run=story.run, number=2)
    assert str(fork.pk) in page.url
    assert fork.override == "Leave the tests alone.\nDose = 50mg"
    expect(page.locator(f"#run-rail [data-branch='{fork.pk}']")).to_have_attribute(
        "aria-current", "true"
    )


def test_the_agents_events_arrive_on_the_new_branch_without_a_reload(
    page: Page, story: Story, address: str
) -> None:
    fork = Branch.objects.get(run=story.run, number=1)
    visit(page, f"{address}/runs/{story.run.pk}/?branch={fork.pk}")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    make.append(fork, make.make_message("assistant", "I leave the tests alone."))
    arrived = page.locator(f"#{row(story, fork.head_seq, fork)}")
    expect(arrived).to_contain_text("I leave the tests alone.")
    expect(page.locator(".event-row .node.live")).to_have_count(1)
    make.append(story.trunk, make.make_message("assistant", "Not of this lineage."))
    make.append(fork, make.make_message("assistant", "And go on."))
    expect(page.locator(".event-row").last).to_contain_text("And go on.")
    expect(page.locator(".event-list")).not_to_contain_text("Not of this lineage.")


def test_a_fork_made_elsewhere_appears_in_the_rail_and_in_the_lanes(
    page: Page, story: Story
) -> None:
    make.make_fork(story.trunk, 7, "From elsewhere.")
    expect(page.locator("#run-rail")).to_contain_text("fork 2")
    expect(page.locator(".event-row").last).to_contain_text("From elsewhere.")
    expect(page.locator(f"#{row(story, 7)} .fork-count")).to_contain_text("2")


def test_escape_closes_the_drawer_and_the_focus_returns(page: Page, story: Story) -> None:
    visit(page, f"{page.url}?event={story.event(7).event_id}")
    page.keyboard.press("f")
    expect(page.locator("#override")).to_be_focused()
    page.keyboard.type("half a thought")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#fork-form")).to_have_count(0)
    expect(page.locator(f"#{row(story, 7)}")).to_be_focused()
    page.keyboard.press("f")
    expect(page.locator("#override")).to_have_value("half a thought")


def test_keys_under_an_open_drawer_are_out_of_reach(page: Page, story: Story) -> None:
    visit(page, f"{page.url}?event={story.event(7).event_id}")
    page.keyboard.press("f")
    expect(page.locator("#override")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    assert selected(page) == row(story, 7)


def test_a_refused_fork_is_told_in_the_drawer(page: Page, story: Story) -> None:
    visit(page, f"{page.url}?event={story.event(7).event_id}")
    page.keyboard.press("f")
    expect(page.locator("#override")).to_be_focused()
    page.get_by_label("Branch name").fill("Kept")
    page.get_by_role("button", name="Fork and continue").click()
    expect(page.get_by_role("alert").filter(has_text="needs a reason")).to_be_visible()
    expect(page.get_by_label("Branch name")).to_have_value("Kept")
    assert story.run.branches.count() == 2


def test_older_rows_load_when_they_come_near_and_the_list_stays_bounded(
    open_as: OpenAs, address: str, story: Story, reviewer: User
) -> None:
    make.append(story.trunk, *[make.make_message("assistant", f"m{n}") for n in range(900)])
    page = open_as(reviewer)
    visit(page, f"{address}/runs/{story.run.pk}/")
    rows = page.locator(".event-row")
    expect(rows).to_have_count(FIRST_ROWS)
    pane, edge = page.locator("#run-events"), page.locator("[data-edge=earlier]")
    first = page.locator(f"#{row(story, 1)}")
    while not first.count():
        href = edge.get_attribute("href") or ""
        pane.evaluate("el => { el.scrollTop = 0; }")
        expect(edge).not_to_have_attribute("href", href)
    expect(first).to_be_attached()
    assert rows.count() <= 600
    expect(page.locator("[data-edge=later]")).to_be_attached()
    page.keyboard.press("G")
    expect(page.locator(f"#{row(story, story.trunk.head_seq)}")).to_be_visible()


def test_away_from_the_tail_the_pill_counts_and_leads_there(
    open_as: OpenAs, address: str, story: Story, reviewer: User
) -> None:
    make.append(story.trunk, *[make.make_message("assistant", f"m{n}") for n in range(150)])
    page = open_as(reviewer)
    visit(page, f"{address}/runs/{story.run.pk}/?event={story.event(20).event_id}")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    make.append(story.trunk, *[make.make_message("assistant", f"new {n}") for n in range(3)])
    expect(page.locator("[data-pill-count]")).to_have_text("3")
    page.keyboard.press("G")
    expect(page.locator(f"#{row(story, story.trunk.head_seq)}")).to_be_visible()
    expect(page.locator("[data-pill]")).to_be_hidden()


def test_of_a_branch_that_the_rail_leaves_out_only_what_came_is_counted(
    open_as: OpenAs, address: str, story: Story, reviewer: User
) -> None:
    """The socket's first words tell of the newest branch, which is none of those that are listed."""
    for number in range(RAIL_ROWS):
        last = make.make_fork(story.trunk, 3, f"Dose = {number}mg").branch
    make.append(last, *[make.make_message("assistant", f"m{n}") for n in range(150)])
    page = open_as(reviewer)
    # What it has heard it shows: the rail is asked for anew.
    with page.expect_response(re.compile("/branches/$")):
        page.goto(f"{address}/runs/{story.run.pk}/?event={story.event(3).event_id}")
    expect(page.locator(f"#run-rail [data-branch='{last.pk}']")).to_have_count(0)
    make.append(last, *[make.make_message("assistant", f"new {n}") for n in range(3)])
    expect(page.locator("[data-pill-count]")).to_have_text("3")


def ask(story: Story) -> Approval:
    key = uuid4()
    request = {"approval_id": str(key), "action": "git push", "args": {"remote": "origin"}}
    make.append(story.trunk, make.make_draft(terms.APPROVAL_REQUESTED, request))
    return Approval.objects.get(pk=key)


def test_an_approval_is_accepted_with_one_key(page: Page, story: Story, address: str) -> None:
    approval = ask(story)
    visit(page, f"{address}/events/{story.event(approval.request_seq).event_id}/")
    expect(page.locator("[data-stasis]")).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator("[data-stasis]")).to_have_count(0)
    approval.refresh_from_db()
    assert approval.answer == "accept"


def test_an_answer_given_elsewhere_takes_the_buttons_away(
    page: Page, story: Story, address: str
) -> None:
    approval = ask(story)
    visit(page, f"{address}/events/{story.event(approval.request_seq).event_id}/")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    answer_approval(
        approval_id=approval.pk,
        actor=make.make_person(story.project),
        answer="ignore",
        request_digest=bytes(approval.request_digest),
    )
    expect(page.locator("[data-stasis]")).to_have_count(0)


def test_e_edits_an_approval_before_it_is_accepted(page: Page, story: Story, address: str) -> None:
    approval = ask(story)
    visit(page, f"{address}/events/{story.event(approval.request_seq).event_id}/")
    page.keyboard.press("e")
    page.get_by_label("Arguments").fill('{"remote": "fork"}')
    page.get_by_role("button", name="Approve as edited").click()
    expect(page.locator("[data-stasis]")).to_have_count(0)
    approval.refresh_from_db()
    assert (approval.answer, approval.answer_args) == ("edit", {"remote": "fork"})


def test_an_edit_in_progress_takes_the_plain_accept_away_and_is_sent_from_the_field(
    page: Page, story: Story, address: str
) -> None:
    approval = ask(story)
    visit(page, f"{address}/events/{story.event(approval.request_seq).event_id}/")
    page.keyboard.press("e")
    field = page.get_by_label("Arguments")
    expect(field).to_be_focused()
    field.fill('{"remote": "fork"}')
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
    approval.refresh_from_db()
    assert approval.answer == ""
    field.focus()
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-stasis]")).to_have_count(0)
    expect(page.locator("#event-detail")).to_be_focused()
    approval.refresh_from_db()
    assert (approval.answer, approval.answer_args) == ("edit", {"remote": "fork"})


def test_on_a_narrow_screen_a_tapped_row_leads_to_its_detail(page: Page, story: Story) -> None:
    make.append(story.trunk, *[make.make_message("assistant", f"m{n}") for n in range(60)])
    page.set_viewport_size({"width": 390, "height": 700})
    visit(page, f"{page.url}?event={story.event(7).event_id}")
    page.locator(f"#{row(story, 6)}").click()
    expect(page.locator("#event-detail h2")).to_have_text("Tool result")
    expect(page.locator("#event-detail")).to_be_in_viewport()


def test_on_a_narrow_screen_the_kinds_of_a_search_are_one_line_over_its_hits(
    page: Page, story: Story, address: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 700})
    visit(page, f"{address}/p/{story.project.slug}/search/?q=bolus")
    rail = page.get_by_role("navigation", name="Kinds of event").bounding_box()
    hit = page.locator(".hit-row").first.bounding_box()
    assert rail is not None
    assert hit is not None
    assert rail["height"] <= 60
    assert rail["y"] + rail["height"] <= hit["y"] <= 400
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_run_is_read_and_forked_without_scripts(
    browser: Browser, address: str, story: Story, reviewer: User
) -> None:
    make.append(story.trunk, *[make.make_message("assistant", f"m{n}") for n in range(180)])
    client = Client()
    client.force_login(reviewer)
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": COOKIE, "value": client.cookies[COOKIE].value, "url": address}])
    page = context.new_page()
    page.goto(f"{address}/runs/{story.run.pk}/")
    page.get_by_role("link", name="Earlier events").click()
    page.locator(f"#{row(story, 7)} a[data-row-link]").click()
    expect(page.locator("#event-detail h2")).to_have_text("Thought")
    page.get_by_role("link", name="Fork here").click()
    page.locator("#override").fill("Stop.\nDose = 50mg")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#fork-patches ins")).to_have_text("50mg")
    expect(page.locator("#override")).to_have_value("Stop.\nDose = 50mg")
    page.get_by_role("button", name="Fork and continue").click()
    fork = Branch.objects.get(run=story.run, number=2)
    assert page.url == f"{address}/runs/{story.run.pk}/?branch={fork.pk}"
    context.close()


@pytest.mark.parametrize("place", ["run", "approval", "drawer", "fork", "list"])
def test_axe_finds_nothing_in_either_theme(
    page: Page, story: Story, address: str, place: str
) -> None:
    run = f"{address}/runs/{story.run.pk}/"
    if place == "approval":
        approval = ask(story)
        visit(page, f"{run}?event={story.event(approval.request_seq).event_id}")
    elif place == "drawer":
        visit(page, f"{run}?event={story.event(5).event_id}")
        page.keyboard.press("f")
        expect(page.locator("#override")).to_be_focused()
        page.keyboard.type("Stop.\nDose = 50mg")
        expect(page.locator("#fork-patches ins")).to_have_text("50mg")
    elif place == "fork":
        visit(page, f"{address}/events/{story.event(5).event_id}/fork/")
    elif place == "list":
        visit(page, f"{address}/p/{story.project.slug}/runs/")
    assert find_faults(page) == []


def test_a_verdict_that_comes_late_is_told_in_the_rail_on_the_row_and_in_the_detail(
    page: Page, story: Story
) -> None:
    visit(page, f"{page.url}?event={story.event(7).event_id}")
    expect(page.locator("[data-live-state]")).to_have_text("Live")
    push(story.trunk, summary="214 passed")
    told = page.locator(f"#run-rail [data-branch='{story.trunk.pk}'] .verdict")
    expect(told).to_have_text("Pass", timeout=15_000)
    expect(page.locator(f"#{row(story, 7)} .verdict")).to_have_text("Pass")
    expect(page.locator("#event-detail")).to_contain_text("214 passed")
