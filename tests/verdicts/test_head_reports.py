"""Graders' reports in the detail of the event that was their head."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from branches.selectors.event_page import ReportLine
from tests import make
from tests.branches.story import tell_story
from tests.verdicts.make import make_runner, push, push_proven
from verdicts.panels import MAX_REPORTS, read_head_reports

pytestmark = pytest.mark.django_db


def test_a_report_stands_on_its_head_and_on_no_other_event(client: Client) -> None:
    story = tell_story()
    push(story.trunk, summary="2 failing of 216")
    client.force_login(make.make_user(story.project))
    page = reverse("run", args=[story.run.pk])
    head = client.get(page, {"event": str(story.event(7).event_id)}).content.decode()
    assert "Reports on this event" in head
    assert "2 failing of 216" in head
    part = client.get(
        reverse("event", args=[story.event(6).event_id]), headers={"HX-Request": "true"}
    )
    assert "Reports on this event" not in part.content.decode()


def test_a_report_names_its_signer_and_advice_is_drawn_hollow() -> None:
    story = tell_story()
    push_proven(make_runner(story.project, "ci"), story.trunk)
    push(story.trunk, "llm_judge", summary="it reads well")
    push(story.trunk, "lint", errored=True, summary="")
    story.trunk.refresh_from_db()
    lines = read_head_reports(story.trunk.pk, bytes(story.trunk.head_digest))
    assert list(lines) == [
        ReportLine("pass", "Tests", "214 passed", "ci"),
        ReportLine("pass", "Judge", "it reads well, advice only", advisory=True),
        ReportLine("error", "Lint", "it did not run"),
    ]


def test_reports_cost_one_query_and_the_newest_of_many_are_told(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    story = tell_story()
    for number in range(MAX_REPORTS + 2):
        push(story.trunk, summary=f"try {number}")
    with django_assert_num_queries(1):
        lines = read_head_reports(story.trunk.pk, bytes(story.trunk.head_digest))
    assert [line.summary for line in lines] == [f"try {n}" for n in range(2, MAX_REPORTS + 2)]
