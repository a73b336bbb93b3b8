"""A consolidation as its curator sees it: ordered by a key, followed live, called off by a key, and
the funnel of one that came to its end."""

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from memory.consolidation.jobs import LeaseLost, advance
from memory.consolidation_models import Consolidation
from memory.domain.consolidation import Step
from memory.models import CurveFit
from tests.browser.conftest import OpenAs
from tests.browser.pages import PHONE, assert_reachable, visit, wait_until_heard
from tests.make import make_user
from tests.memory.steps import take, tell_runs
from verel_site.access.models import Project
from verel_site.access.rights import Role

FUNNEL = ("episodes", "salient", "candidates", "entailed", "merged", "written")


def work_until(job: Consolidation, step: Step) -> Consolidation:
    while job.is_open and job.step != step.value:
        job = advance(job)
    return job


def order_by_key(page: Page, number: int) -> Consolidation:
    page.keyboard.press("c")
    expect(page).to_have_url(f"{page.url.split('/p/')[0]}/p/pump/memory/consolidations/{number}/")
    wait_until_heard(page)
    shown = page.locator("#consolidation-shown")
    expect(shown).to_contain_text("It waits for the worker")
    return take(Consolidation.objects.get(number=number))


def test_one_is_called_off_and_the_next_followed_to_its_funnel(
    open_as: OpenAs, project: Project, address: str
) -> None:
    curator: User = make_user(project, Role.CURATOR, name="ines")
    tell_runs(project)
    page = open_as(curator)
    visit(page, f"{address}/p/pump/memory/consolidations/")
    expect(page.get_by_role("heading", name="Nothing was consolidated yet")).to_be_visible()
    shown = page.locator("#consolidation-shown")

    job = order_by_key(page, 1)
    job = work_until(job, Step.ENTAIL)
    # Nobody reloads: the page looks for itself, and the focus stays where it was.
    page.locator("#consolidation-funnel").focus()
    expect(shown.locator("[aria-current=step]")).to_contain_text("Entailment")
    expect(page.locator("#consolidation-funnel")).to_be_focused()
    assert_reachable(page)
    page.keyboard.press("x")
    expect(shown).to_have_attribute("data-state", "cancelled")
    expect(shown).to_contain_text("cancelled by ines")
    try:
        advance(job)
    except LeaseLost:
        pass
    else:
        raise AssertionError("The worker was not fenced off.")

    wait_until_heard(page)
    job = order_by_key(page, 2)
    job = work_until(job, Step.WRITE)
    expect(shown.locator("[aria-current=step]")).to_contain_text("Writing")
    while job.is_open:
        job = advance(job)
    expect(shown).to_have_attribute("data-state", "done")
    expect(page.get_by_role("status").filter(has_text="Consolidation 2 is done")).to_be_attached()
    expect(page.locator("#job-2")).to_contain_text("8 episodes")
    expect(page.get_by_role("button", name="Consolidate now")).to_be_enabled()
    told = ", ".join(f"{job.count(name)} {name}" for name in FUNNEL)
    expect(page.get_by_role("img", name=f"Funnel: {told}")).to_be_visible()
    assert_reachable(page)

    row = page.get_by_role("row").filter(has_text="No overflow in data-table")
    row.get_by_role("link").click()
    expect(page.locator("main")).to_contain_text("No overflow in data-table at 375 px or narrower")
    page.go_back()
    page.set_viewport_size(PHONE)
    expect(page.locator("#consolidation-funnel")).to_be_visible()
    assert_reachable(page)


def test_a_curator_adopts_what_was_fitted_beside_the_default_and_goes_back(
    open_as: OpenAs, project: Project, address: str
) -> None:
    CurveFit.objects.create(
        project=project, item_type="ui_fix", base_days=30.0, beta=0.9, trials=900, spread=5.0,
        log_likelihood=-400.0, default_log_likelihood=-450.0, log=[[3.0, 80.0, 100.0]],
    )  # fmt: skip
    page = open_as(make_user(project, Role.CURATOR, name="ines"))
    visit(page, f"{address}/p/pump/memory/curves/")
    chart = page.get_by_role("region", name="Curves: UI fix")
    expect(chart).to_contain_text("as fitted")
    # The fitted curve is drawn, and not in a colour that is none.
    stroke = chart.locator("path.lane").evaluate("path => getComputedStyle(path).stroke")
    assert stroke.startswith("rgb")
    assert_reachable(page)
    page.get_by_label("Why UI fix fades as fitted").fill("A year of contexts")
    page.keyboard.press("Enter")
    expect(chart).not_to_contain_text("as fitted")
    expect(page.get_by_text("in use, adopted by ines")).to_be_visible()
    wait_until_heard(page)
    page.get_by_label("Why UI fix fades by default").fill("Too few wards")
    page.get_by_role("button", name="Back to the default").click()
    expect(page.get_by_text("Too few wards")).to_be_visible()
    expect(chart).to_contain_text("default, in use")
    page.set_viewport_size(PHONE)
    assert_reachable(page)
