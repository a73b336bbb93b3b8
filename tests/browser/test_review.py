"""A hundred pairs judged by keys alone, and each answer to an agent's question."""

from itertools import combinations, islice
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from branches.domain import terms
from branches.models import Approval
from tests import make
from tests.browser.conftest import OpenAs
from tests.browser.inbox_page import READY, open_inbox, pane
from verdicts.comparisons import open_comparison
from verdicts.models import Label
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.inbox.models import Decision, Item

PAIRS = 100
# Fifteen continuations of one fork make a hundred and five pairs.
FORKS = 15
CHOICES = {"a": "left", "b": "right", "e": "equal", "x": "both_bad"}


def make_pairs(project: Project) -> None:
    trunk = make.make_run(project, goal="Cap the bolus")[1]
    make.append(trunk, make.make_message("user", "Cap the bolus at 50 mg."))
    forks = [make.make_fork(trunk, 2, f"Try way {number}").branch for number in range(FORKS)]
    for number, fork in enumerate(forks):
        make.append(
            fork,
            make.make_message("assistant", f"I read the table, way {number}."),
            make.make_message("assistant", f"The cap is {40 + number} mg."),
        )
    for left, right in islice(combinations(forks, 2), PAIRS):
        open_comparison(left=left.pk, right=right.pk, actor=SYSTEM)


def test_a_hundred_comparisons_are_decided_by_keys_alone(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    make_pairs(project)
    assert Item.objects.filter(kind="comparison", state="open").count() == PAIRS
    page = open_as(ada)
    open_inbox(page, address)
    for number in range(PAIRS):
        here = pane(page)
        # Every tenth says more than which is better.
        if number % 10 == 0:
            page.keyboard.press("1")
        page.keyboard.press(list(CHOICES)[number % len(CHOICES)])
        page.locator(f"#inbox-pane:not([data-item='{here}'])").wait_for(state="attached")
        if number < PAIRS - 1:
            page.locator(READY).wait_for(state="attached")
    expect(page.locator("#inbox-pane")).to_contain_text("Nothing more is free")
    expect(page.locator(".batch")).to_contain_text(f"{PAIRS} of {PAIRS} today")
    assert Decision.objects.filter(reviewer=ada, undone_at=None).count() == PAIRS
    assert Label.objects.count() == PAIRS
    assert set(Label.objects.values_list("choice", flat=True)) == set(CHOICES.values())
    assert Label.objects.exclude(scores={}).count() == PAIRS // 10


def ask(project: Project, **extra: Any) -> Approval:
    branch = make.make_run(project)[1]
    key = uuid4()
    request = {"approval_id": str(key), "action": "send", "args": {"to": "ward"}, **extra}
    make.append(branch, make.make_draft(terms.APPROVAL_REQUESTED, request))
    return Approval.objects.get(pk=key)


def answer(page: Page, key: str, typed: str = "") -> None:
    here = pane(page)
    page.keyboard.press(key)
    if typed:
        expect(page.locator("#inbox-decide textarea:focus")).to_have_count(1)
        page.keyboard.press("Control+a")
        page.keyboard.type(typed)
        page.keyboard.press("Control+Enter")
    page.locator(f"#inbox-pane:not([data-item='{here}'])").wait_for(state="attached")


def test_each_answer_to_an_agent_is_given_by_its_key_where_the_request_allows_it(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    asked = [ask(project) for _ in range(4)]
    page = open_as(ada)
    open_inbox(page, address)
    for key, typed in (("a", ""), ("e", '{"to": "icu"}'), ("r", "Ask the ward"), ("d", "")):
        page.locator(READY).wait_for(state="attached")
        answer(page, key, typed)
    expect(page.locator("#inbox-pane")).to_contain_text("Nothing more is free")
    rows = [Approval.objects.get(pk=one.pk) for one in asked]
    assert [row.answer for row in rows] == ["accept", "edit", "respond", "ignore"]
    assert rows[1].answer_args == {"to": "icu"}
    assert rows[2].answer_text == "Ask the ward"


def test_what_the_request_does_not_allow_has_no_button_and_no_key(
    open_as: OpenAs, project: Project, ada: User, address: str
) -> None:
    approval = ask(project, allow=["accept"])
    page = open_as(ada)
    open_inbox(page, address)
    expect(page.locator("#inbox-decide button")).to_have_count(1)
    for key in "erd":
        page.keyboard.press(key)
    expect(page.locator(READY)).to_be_visible()
    approval.refresh_from_db()
    assert approval.answered_at is None
