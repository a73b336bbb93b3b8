"""Graders' reports in the detail of the event that was their head."""

from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from branches.domain import terms
from branches.models import Branch
from branches.selectors.judged import ReportLine
from tests import make
from tests.branches.story import tell_story
from tests.verdicts.make import make_issue, make_runner, push, push_proven, require
from verdicts.inputs import read_changed_files
from verdicts.panels import MAX_REPORTS, read_head_reports, read_run_verdicts
from verel_site.access.projects import set_member
from verel_site.access.rights import Role

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


@pytest.mark.parametrize("place", ["newest", "older", "branch"])
def test_the_page_of_a_graded_run_asks_twelve_queries_however_much_was_graded(
    client: Client, place: str
) -> None:
    user = make.make_user(make.make_project())
    client.force_login(user)

    def count(forks: int, heads: int) -> int:
        story = tell_story(forks=forks)
        set_member(project=story.project, user=user, role=Role.REVIEWER)
        require(story.project, "test", "lint")
        signer = make_runner(story.project)
        for branch in Branch.objects.filter(run=story.run):
            for number in range(heads):
                push_proven(signer, branch, issues=[make_issue()])
                push(branch, "lint", [make_issue(kind="lint")])
                make.append(branch, make.make_message("assistant", f"try {number}"))
                branch.refresh_from_db()
            push_proven(signer, branch)
        asks = {"approval_id": str(uuid4()), "action": "Bash", "args": {}}
        make.append(story.trunk, make.make_draft(terms.APPROVAL_REQUESTED, asks))
        fork = Branch.objects.get(run=story.run, number=1)
        query = {
            "older": {"event": str(story.event(7).event_id)},
            "branch": {"branch": str(fork.pk)},
        }
        address = reverse("run", args=[story.run.pk])
        client.get(address, query.get(place))  # Which files were changed is kept from now on.
        with CaptureQueriesContext(connection) as asked:
            text = client.get(address, query.get(place)).content.decode()
        assert "Reports on this event" in text
        return len(asked)

    few = count(1, 1)
    assert count(6, 3) == few <= 12


def test_a_branch_has_its_gates_word_and_one_that_nobody_graded_has_none() -> None:
    story = tell_story(forks=3)
    failing, stale, ungraded = Branch.objects.filter(run=story.run, number__gt=0).order_by("number")
    push(failing, "test", [make_issue()])
    push(stale, "test")
    push(stale, "lint")
    make.append(stale, make.make_message("assistant", "One more."))
    stale.refresh_from_db()
    push(stale, "lint")
    push(story.trunk, "lint", summary="earlier")
    head = (story.trunk.pk, bytes(story.event(7).digest))
    make.append(story.trunk, make.make_message("assistant", "And on."))
    rows = list(Branch.objects.filter(run=story.run))
    told = read_run_verdicts(rows, head)
    assert told.words == {failing.pk: "fail", stale.pk: "stale", story.trunk.pk: "stale"}
    assert [line.summary for line in told.reports] == ["earlier"]
    assert ungraded.pk not in told.words


def test_changed_files_of_all_branches_are_read_at_once_and_each_is_cut_at_its_fork(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    cache.clear()
    story = tell_story()
    fork = make.make_fork(story.trunk, 7).branch
    nested = make.make_fork(fork, fork.head_seq).branch
    for branch, path in ((story.trunk, "late.py"), (fork, "fork.py"), (nested, "nested.py")):
        call = {"name": "edit_file", "arguments": {"path": path}}
        make.append(branch, make.make_draft(terms.TOOL_CALL, call))
    rows = list(Branch.objects.filter(run=story.run).order_by("number"))
    with django_assert_max_num_queries(2):
        found = read_changed_files(rows)
    assert [found[row.pk] for row in rows] == [{"late.py"}, {"fork.py"}, {"nested.py"}]
    with django_assert_max_num_queries(0):
        assert read_changed_files(rows) == found
