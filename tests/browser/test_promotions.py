"""Promotions are decided by keys alone: in the inbox, on the page of the record, and in bulk."""

import re

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from memory.models import PromotionDecision, PromotionRequest, Record, RefusedValue
from memory.requests import request_promotion
from tests.browser.conftest import OpenAs
from tests.browser.inbox_page import READY, pane
from tests.browser.pages import PHONE, assert_reachable, visit, wait_until_heard
from tests.make import make_user
from tests.memory.make import CAP, cite, make_fact, make_source, propose
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role

TEXTS = (
    "The bolus cap is 45 mg for every ward",
    "Ward pumps reject firmware 2.3",
    "The ward pumps all reject firmware 2.3 since May",
    "Nurses call it the push",
    "Bolus tests live in /spec",
    "A paused bolus resumes at its old rate",
    "The cap is 500 mg",
)


@pytest.fixture
def ines(project: Project) -> User:
    return make_user(project, Role.CURATOR, name="ines")


def ask(project: Project) -> list[Record]:
    rows = [make_fact(project, text) for text in TEXTS]
    for row in rows:
        request_promotion(record_id=row.record_id, actor=SYSTEM)
    return rows


def give(page: Page, key: str, *, reason: str = "", field: str = "") -> None:
    """One answer; then the next item stands there, and has the focus that this one had."""
    here = pane(page)
    page.keyboard.press(key)
    if field:
        expect(page.locator(f"#inbox-decide [name={field}]")).to_be_focused()
        page.keyboard.press("End")
        page.keyboard.type(reason)
        page.keyboard.press("Control+Enter")
    page.locator(f"#inbox-pane:not([data-item='{here}']):not([data-deciding])").wait_for()


def test_the_seven_answers_are_given_in_the_inbox_by_keys_and_one_is_taken_back(
    open_as: OpenAs, project: Project, ines: User, address: str
) -> None:
    capped, kept, merged, demoted, buried, deferred, refused = ask(project)
    page = open_as(ines)
    visit(page, f"{address}/inbox/?kind=promotion")
    page.keyboard.press("Enter")
    expect(page.locator(READY)).to_contain_text(capped.text)
    assert_reachable(page)
    first = pane(page)
    give(page, "p")
    expect(page.locator("#inbox-undo .toast")).to_contain_text("final in")
    page.keyboard.press("z")
    page.locator(f"#inbox-pane[data-item='{first}']:not([data-deciding])").wait_for()
    expect(page.locator("#inbox-undo .toast")).to_have_count(0)
    give(page, "e", field="edit_text", reason=" under 40 kg")
    expect(page.locator(".statement-text")).to_have_text(kept.text)
    give(page, "p")
    expect(page.locator(".statement-text")).to_have_text(merged.text)
    expect(page.locator("#merge-into")).to_have_value(str(kept.record_id))
    give(page, "m", field="merge_reason", reason="The same")
    give(page, "d", field="demote_reason", reason="One nurse says so")
    give(page, "b")
    give(page, "l")
    give(page, "n", field="reject_reason", reason="Deadly")
    expect(page.locator("#inbox-pane")).to_contain_text("Nothing more is free")
    said = PromotionDecision.objects.filter(undone_at=None).order_by("pk")
    assert list(said.values_list("record_id", "answer", "reason")) == [
        (capped.pk, "edit", ""),
        (kept.pk, "promote", ""),
        (merged.pk, "merge", "The same"),
        (demoted.pk, "demote", "One nurse says so"),
        (buried.pk, "bury", ""),
        (deferred.pk, "defer", ""),
        (refused.pk, "reject", "Deadly"),
    ]
    made = Record.objects.get(supersedes=capped, standing="live")
    assert (made.text, made.trust, made.by_name) == (
        f"{capped.text} under 40 kg",
        "verified",
        "ines",
    )


def test_on_the_records_page_keys_decide_ask_for_a_reason_and_go_on_and_what_moves_is_shown(
    open_as: OpenAs, project: Project, ines: User, address: str
) -> None:
    rows = ask(project)
    page = open_as(ines)
    heading = page.get_by_role("heading", level=1)
    visit(page, f"{address}/p/{project.slug}/memory/{rows[1].number}/")
    page.keyboard.press("j")
    expect(heading).to_have_text(rows[2].text)
    wait_until_heard(page)
    page.keyboard.press("m")
    expect(page.locator("#merge-reason")).to_be_focused()
    page.keyboard.type("The same")
    page.keyboard.press("Control+Enter")
    expect(heading).to_have_text(rows[3].text)
    wait_until_heard(page)
    expect(page.locator(".toast")).to_contain_text("merges it")
    page.keyboard.press("z")
    expect(heading).to_have_text(rows[2].text)
    wait_until_heard(page)
    page.keyboard.press("n")
    expect(page.locator("#decide-reason")).to_be_focused()
    expect(page.locator("[data-review][data-followed]")).to_be_attached()
    propose(project, rows[2].text, evidence=cite(make_source(project)))
    page.keyboard.type("It is not")
    expect(page.locator("[data-moved]")).to_contain_text("What you looked at has moved")
    expect(page.locator("#decide-reason")).to_be_focused()
    expect(page.locator("#decide-reason")).to_have_value("It is not")
    page.keyboard.press("Enter")
    # It was asked anew, and so stands at the end of the row.
    expect(heading).to_have_text(rows[0].text)
    assert RefusedValue.objects.get().reason == "It is not"
    page.set_viewport_size(PHONE)
    assert_reachable(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_several_are_marked_and_put_off_at_once_by_keys(
    open_as: OpenAs, project: Project, ines: User, address: str
) -> None:
    rows = ask(project)
    page = open_as(ines)
    visit(page, f"{address}/inbox/?kind=promotion")
    for row in rows[:2]:
        page.get_by_label(f"Mark {row.text}").focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Defer").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-row]")).to_have_count(len(rows) - 2)
    put_off = PromotionRequest.objects.exclude(deferred_until=None).order_by("created_at")
    assert [one.record for one in put_off] == rows[:2]


def test_an_item_that_moves_while_it_is_read_says_so_and_takes_no_answer(
    open_as: OpenAs, project: Project, ines: User, address: str
) -> None:
    record = make_fact(project, "The cap is 45 mg", **CAP, object="45 mg")
    request_promotion(record_id=record.record_id, actor=SYSTEM)
    page = open_as(ines)
    visit(page, f"{address}/inbox/?kind=promotion")
    page.keyboard.press("Enter")
    expect(page.locator(READY)).to_contain_text(record.text)
    propose(project, "The cap is 45 mg", **CAP, object="45 mg", evidence=cite(make_source(project)))
    expect(page.locator("#inbox-pane")).to_contain_text("+1 source. It is asked anew")
    page.keyboard.press("p")
    expect(page.locator("#inbox-decide")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator(READY)).to_contain_text(re.compile("1 source, 1 independent run"))
    page.keyboard.press("p")
    expect(page.locator("#inbox-pane")).to_contain_text("Nothing more is free")
    record.refresh_from_db()
    assert record.trust == "verified"
