import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from branches.merges import revert_merge
from branches.models import Approval, Branch, Event, Merge, Run, Triplet
from branches.selectors.overview import read_agents, read_triplets
from tests.guards import unguarded
from tests.make import (
    append,
    make_fork,
    make_message,
    make_person,
    make_project,
    make_run,
    make_user,
)
from tests.verdicts.make import make_issue, push
from verdicts.board import RANGES, Figure, OverviewPage, read_overview
from verdicts.comparisons import draw_sides, label_comparison, open_comparison
from verdicts.gated_merges import merge_through_gate
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db

# Nothing is asked of graders and adjudications where nobody has judged a pair.
AGREEMENT_QUERIES = 3
NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


@pytest.fixture
def ines(project: Project) -> Actor:
    return make_person(project)


def make_merge(project: Project, by: Actor, agent: str = "dose-fixer") -> Merge:
    """A run of `agent` with two forks, one graded and merged over the other."""
    run, trunk = make_run(project)
    Run.objects.filter(pk=run.pk).update(agent=agent)
    append(trunk, make_message("user", "Cap it."))
    winner, loser = (make_fork(trunk, 2, f"Dose = {n}mg").branch for n in (1, 2))
    for branch in (winner, loser):
        append(branch, make_message("assistant", f"done {branch.number}"))
    push(winner)
    heads = {branch.pk: bytes(branch.head_digest) for branch in (winner, loser)}
    return merge_through_gate(
        winner_id=winner.pk, loser_ids=[loser.pk], actor=by, expected_heads=heads
    )


def ask(branch: Branch, *, at: datetime) -> Approval:
    return Approval.objects.create(
        id=uuid4(), project=branch.project, branch=branch, request_seq=1,
        request_digest=bytes(32), action="push", created_at=at,
    )  # fmt: skip


def read(project: Project, key: str = "7d", now: datetime | None = None) -> OverviewPage:
    return read_overview(project=project, key=key, now=now or timezone.now())


def figure(page: OverviewPage, name: str) -> Figure:
    return next(one for one in page.figures if one.name == name)


def test_an_empty_project_says_so_everywhere_and_draws_nothing(project: Project) -> None:
    page = read(project)
    assert page.pace.finding == "Nothing happened in this time"
    assert page.waits.finding == "Nothing waits for a person"
    assert page.triplets.finding == "No triplet has come of a merge yet"
    assert [chart.drawing for chart in (page.pace, page.waits, page.triplets)] == [None] * 3
    assert page.agents == ()
    assert figure(page, "Merged at first gate").value == "–"


def test_figures_count_what_people_and_agents_did(project: Project, ines: Actor) -> None:
    merge, other = make_merge(project, ines), make_merge(project, ines)
    revert_merge(merge_id=other.pk, actor=ines, reason="too early")
    page = read(project)
    told = {one.name: one.value for one in page.figures}
    assert told == {
        "Runs": "2",
        "Decisions": "3",
        "Open approvals": "0",
        "Merged at first gate": "100",
        "Taken back": "1",
        "Triplets": "2",
    }
    assert page.triplets.finding == "1 triplet stands, 1 withdrawn"
    assert sum(one.events for one in page.stretches) == Event.objects.count()
    assert merge.triplets.exists()


def test_a_winner_that_failed_before_was_not_merged_at_the_first_gate(
    project: Project, ines: Actor
) -> None:
    make_merge(project, ines)
    run, trunk = make_run(project)
    append(trunk, make_message("user", "Again."))
    winner, loser = (make_fork(trunk, 2, f"Try {n}").branch for n in range(2))
    append(winner, make_message("assistant", "wrong"))
    push(winner, issues=[make_issue()])
    append(winner, make_message("assistant", "right"))
    append(loser, make_message("assistant", "other"))
    push(winner)
    heads = {branch.pk: bytes(branch.head_digest) for branch in (winner, loser)}
    merge_through_gate(winner_id=winner.pk, loser_ids=[loser.pk], actor=ines, expected_heads=heads)
    found = figure(read(project), "Merged at first gate")
    assert (found.value, found.note) == ("50", "1 of 2 merges")
    assert run.branches.count() == 3


def test_open_approvals_tell_their_median_and_their_ages(project: Project) -> None:
    _, trunk = make_run(project)
    now = timezone.now()
    for minutes in (2, 30, 300):
        ask(trunk, at=now - timedelta(minutes=minutes))
    # Nobody can answer it any more.
    late = ask(trunk, at=now - timedelta(hours=9))
    Approval.objects.filter(pk=late.pk).update(expires_at=now)
    page = read(project, now=now)
    found = figure(page, "Open approvals")
    assert (found.value, found.note) == ("3", "median wait 30\N{NO-BREAK SPACE}min")
    assert page.waits.finding == "3 items wait, the oldest for 5\N{NO-BREAK SPACE}h"
    assert "1 under 5 min, 0 5 to 15 min, 1 15 to 60 min, 0 1 to 4 h, 1 4 to 24 h" in str(
        page.waits.drawing
    )


def test_a_pair_waits_until_somebody_has_judged_it(project: Project, ines: Actor) -> None:
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap it."))
    one, other = (make_fork(trunk, 2, f"Try {n}").branch for n in range(2))
    append(one, make_message("assistant", "x"))
    comparison = open_comparison(left=one.pk, right=other.pk, actor=ines)
    assert read(project).waits.finding.startswith("One item waits")
    append(one, make_message("assistant", "y"))
    assert read(project).waits.finding == "Nothing waits for a person"
    comparison = open_comparison(left=one.pk, right=other.pk, actor=ines)
    assert read(project).waits.finding.startswith("One item waits")
    draw_sides(comparison_id=comparison.pk, reviewer=ines)
    label_comparison(comparison_id=comparison.pk, actor=ines, choice="equal")
    assert read(project).waits.finding == "Nothing waits for a person"


def test_events_fall_into_the_bar_of_their_time(project: Project) -> None:
    _, trunk = make_run(project)
    append(trunk, *[make_message("assistant", str(n)) for n in range(3)])
    times = [NOW, NOW - timedelta(hours=3), NOW - timedelta(days=6), NOW - timedelta(days=8)]
    for event, at in zip(Event.objects.order_by("seq"), times, strict=True):
        with unguarded():
            Event.objects.filter(pk=event.pk).update(received_at=at)
    Run.objects.update(touched_at=NOW)
    day = read(project, "24h", NOW).stretches
    assert [(one.word, one.events) for one in day if one.events] == [
        ("Fri 11:00", 1),
        ("Fri 14:00", 1),
    ]
    week = read(project, "7d", NOW).stretches
    assert [(one.word, one.events) for one in week if one.events] == [
        ("Sat 12:00", 1),
        ("Fri 09:00", 1),
        ("Fri 12:00", 1),
    ]
    month = read(project, "30d", NOW).stretches
    assert [one.events for one in month if one.events] == [1, 1, 2]


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Asia/Kolkata", "2026-11-18 18:30"),
        ("Asia/Kathmandu", "2026-11-18 18:15"),
        ("America/New_York", "2026-11-19 05:00"),
        ("Australia/Lord_Howe", "2026-11-18 13:00"),
        ("UTC", "2026-11-19 00:00"),
    ],
)
def test_whole_days_are_those_of_the_readers_zone(
    project: Project, ines: Actor, zone: str, midnight: str
) -> None:
    make_merge(project, ines)
    midnight_there = datetime.fromisoformat(midnight).replace(tzinfo=UTC)
    minute = timedelta(minutes=1)
    times = [midnight_there - minute, midnight_there, midnight_there + minute]
    for event, at in zip(Event.objects.order_by("position"), times, strict=False):
        with unguarded():
            Event.objects.filter(pk=event.pk).update(received_at=at)
    Run.objects.update(touched_at=NOW, created_at=midnight_there)
    Triplet.objects.update(created_at=midnight_there - minute)
    Branch.objects.update(created_at=midnight_there, tokens=10)
    with timezone.override(zone):
        page = read(project, "30d", NOW)
        days = {one.word: one.events for one in page.stretches if one.word.startswith(("18", "19"))}
        rows = read_agents(
            project_id=project.pk, since=timezone.localtime(NOW) - timedelta(days=3),
            week=timezone.localtime(NOW).replace(hour=0, minute=0) - timedelta(days=6),
        )  # fmt: skip
        told = read_triplets(
            project_id=project.pk, since=NOW - timedelta(days=9),
            days_since=timezone.localtime(NOW).replace(hour=0, minute=0) - timedelta(days=9),
        )  # fmt: skip
    assert days == {"18 Nov": 1, "19 Nov": 2}
    assert page.time_word == "Day"
    assert [row.days for row in rows] == [{"2026-11-19": 1}]
    assert told.made == {"2026-11-18": 1}


@pytest.mark.parametrize("chosen", RANGES.values(), ids=list(RANGES))
@pytest.mark.parametrize("hour", [0, 11, 23])
def test_the_last_bar_of_every_range_holds_this_moment(chosen: object, hour: int) -> None:
    now = NOW.replace(hour=hour)
    one = next(known for known in RANGES.values() if known is chosen)
    starts = one.starts(now)
    assert len(starts) == one.bars
    assert starts[-1] <= now < starts[-1] + timedelta(hours=one.hours)


def test_only_acts_of_people_are_decisions(project: Project, ines: Actor) -> None:
    make_merge(project, ines)
    assert AuditEntry.objects.filter(actor_kind="system").exists()
    assert figure(read(project), "Decisions").value == "1"


def test_agents_are_counted_over_their_own_runs(project: Project, ines: Actor) -> None:
    make_merge(project, ines)
    revert_merge(merge_id=make_merge(project, ines).pk, actor=ines, reason="no")
    make_merge(project, ines, agent="docs-keeper")
    Branch.objects.filter(number=1).update(tokens=100)
    rows = {
        row.name: (row.counts.runs, row.counts.merged, row.counts.reverted, row.counts.overrides,
                   row.counts.tokens)
        for row in read(project).agents
    }  # fmt: skip
    assert rows == {"dose-fixer": (2, 1, 1, 4, 200), "docs-keeper": (1, 1, 0, 2, 100)}


def test_the_triplets_stand_cumulated_and_the_day_of_a_withdrawal_is_marked(
    project: Project, ines: Actor
) -> None:
    for _ in range(3):
        make_merge(project, ines)
    now = timezone.now()
    first, second, third = Triplet.objects.order_by("number")
    Triplet.objects.filter(pk=first.pk).update(created_at=now - timedelta(days=40))
    Triplet.objects.filter(pk=second.pk).update(
        created_at=now - timedelta(days=4), withdrawn_at=now - timedelta(days=2)
    )
    page = read(project)
    assert third.withdrawn_at is None
    assert page.triplets.finding == "2 triplets stand, 1 withdrawn"
    assert 'aria-label="2 stand; 1 withdrawn"' in str(page.triplets.drawing)


def test_other_projects_are_not_counted(project: Project, ines: Actor) -> None:
    elsewhere = make_project()
    make_merge(elsewhere, make_person(elsewhere))
    page = read(project)
    assert {one.value for one in page.figures} == {"0", "–"}
    assert page.agents == ()


def judge(project: Project, people: int) -> None:
    """A pair that so many reviewers judge."""
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap it."))
    forks = [make_fork(trunk, 2, f"Dose = {n}mg").branch for n in (1, 2)]
    for fork in forks:
        append(fork, make_message("assistant", f"done {fork.number}"))
    reviewers = [make_person(project) for _ in range(people)]
    pair = open_comparison(left=forks[0].pk, right=forks[1].pk, actor=reviewers[0], required=people)
    for reviewer in reviewers:
        draw_sides(comparison_id=pair.pk, reviewer=reviewer)
        label_comparison(comparison_id=pair.pk, actor=reviewer, choice="left")


def test_who_decides_how_much_is_told_and_the_readers_own_bar_is_marked(
    project: Project, ines: Actor
) -> None:
    assert read(project).people.finding == "Nobody decided anything in this time"
    make_merge(project, ines)
    assert read(project).people.finding == f"{ines.name} took every decision"
    make_merge(project, ines)
    judge(project, people=1)
    page = read_overview(project=project, key="7d", now=timezone.now(), reader=ines.user_id)
    assert "% of the decisions of 2 people" in page.people.finding
    assert str(page.people.drawing).count("bar human") == 1


def test_what_agents_wrote_and_graders_cost_is_summed_by_day(project: Project, ines: Actor) -> None:
    assert read(project).spent.finding == "Nothing was told of what work costs"
    _run, trunk = make_run(project)
    Branch.objects.filter(pk=trunk.pk).update(tokens=1_900)
    push(trunk, cost_usd=1.25)
    page = read(project)
    assert page.spent.finding == "Agents wrote 1,900 tokens, graders told $1.25"
    assert "1,900 tokens" in str(page.spent.drawing)


def test_a_budget_is_drawn_with_where_this_pace_leads(project: Project) -> None:
    moment = datetime(2026, 11, 11, tzinfo=UTC)
    project.token_budget = 3_000
    page = read_overview(project=project, key="24h", now=moment)
    assert page.spent.finding == "The budget lasts the month: 0\N{NO-BREAK SPACE}% is used"
    _run, trunk = make_run(project)
    Branch.objects.filter(pk=trunk.pk).update(tokens=2_000, created_at=moment - timedelta(days=5))
    page = read_overview(project=project, key="24h", now=moment)
    # 2,000 in ten days: 3,000 in fifteen.
    assert page.spent.finding == "At this pace the budget ends on 16 Nov"
    assert "2,000 of 3,000 tokens used, 6,000 at the end" in str(page.spent.drawing)
    project.token_budget = 1_500
    page = read_overview(project=project, key="24h", now=moment)
    assert page.spent.finding == "The budget is passed by 500 tokens"


def test_agreement_stands_on_the_overview_once_two_have_judged_a_pair(project: Project) -> None:
    assert read(project).agreement.drawing is None
    judge(project, people=2)
    assert "Cohen" in read(project).agreement.note


def test_the_page_shows_its_findings_and_is_closed_to_strangers(
    client: Client, project: Project, ines: Actor
) -> None:
    make_merge(project, ines, agent="<b>evil</b>\u202e")
    url = reverse("overview", args=[project.slug])
    client.force_login(make_user(project, Role.VIEWER))
    for key in ("24h", "7d", "30d", "nonsense"):
        html = client.get(f"{url}?range={key}").content.decode()
        assert "agents were busiest around" in html
        assert "<b>evil" not in html
        # Pace, triplets, decisions by person, and the agent's spark.
        assert len(re.findall(r'role="img"', html)) == 4
    assert 'href="?range=24h"' in html
    client.force_login(make_user(make_project()))
    assert client.get(url).status_code == 404


def test_the_number_of_queries_is_constant(client: Client, project: Project, ines: Actor) -> None:
    def measure() -> int:
        with CaptureQueriesContext(connection) as queries:
            read(project)
        assert not any('"payload"' in query["sql"] for query in queries)
        return len(queries)

    empty = measure()
    for agent in ("a", "b", "c"):
        merge = make_merge(project, ines, agent)
        append(merge.run.branches.get(number=0).children.create(
            project=project, run=merge.run, number=9, fork_seq=1, base=1,
        ), *[make_message("assistant", str(n)) for n in range(20)])  # fmt: skip
    run, trunk = make_run(project)
    ask(trunk, at=timezone.now())
    judge(project, people=2)
    Branch.objects.filter(run=run).update(tokens=900)
    assert measure() <= empty + AGREEMENT_QUERIES
    told = measure()
    for _ in range(3):
        judge(project, people=3)
    assert measure() == told
