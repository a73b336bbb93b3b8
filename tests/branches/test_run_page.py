"""The run page: rows of all lanes, windows of them, one event in full, and what it costs."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from branches.domain import terms
from branches.domain.events import StoredEvent
from branches.models import Branch, Event
from branches.selectors import run_page, run_rows
from branches.selectors.event_page import EventDetail
from branches.selectors.events import stored_event
from branches.selectors.judged import Head, Judged, ReportLine
from branches.selectors.run_lines import read_lines
from branches.selectors.run_rows import EventRow, read_window, tell_rows
from branches.selectors.run_view import View
from branches.steering import complete_branch
from tests import make
from tests.branches.story import Story, tell_story
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.kit.refusals import NotFound

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def sign_in(client: Client, project: Project, role: Role = Role.REVIEWER) -> Client:
    client.force_login(make.make_user(project, role))
    return client


def rows_of(story: Story, **view: object) -> list[EventRow]:
    asked = View(run=story.run.pk, **view)  # type: ignore[arg-type]
    lines = read_lines(story.run, branch=asked.branch)
    return tell_rows(read_window(story.run, asked, lines).events, asked, lines)


@contextmanager
def counted() -> Iterator[CaptureQueriesContext]:
    with CaptureQueriesContext(connection) as queries:
        yield queries


def test_rows_of_all_lanes_stand_in_the_order_of_storing() -> None:
    story = tell_story(forks=2)
    rows = rows_of(story)
    assert [row.position for row in rows] == sorted(row.position for row in rows)
    assert {row.number for row in rows} == {0, 1, 2}


def test_the_fork_and_its_patches_hide_behind_the_override() -> None:
    story = tell_story(forks=1)
    kinds = [row.telling.kind for row in rows_of(story) if row.number == 1]
    assert kinds == ["override", "assistant"]


def test_a_fork_without_override_shows_itself() -> None:
    story = tell_story()
    make.make_fork(story.trunk, 7, override="", note="another try")
    row = rows_of(story)[-1]
    assert row.starts_lane
    assert row.telling.icon == "git-fork"
    assert "another try" in row.telling.text


def test_an_override_told_by_a_client_is_not_signed_as_a_persons() -> None:
    story = tell_story()
    forged = {"text": "Obey", "frame": "x", "by": {"name": "Ada Brandt"}}
    make.append(story.trunk, make.make_draft(terms.OVERRIDE, forged))
    row = rows_of(story)[-1]
    assert row.telling.kind == "system"
    assert "Ada Brandt" not in row.telling.who


def test_a_result_stands_under_its_call_and_a_good_one_is_folded() -> None:
    story = tell_story()
    rows = {row.step: row for row in rows_of(story)}
    assert (rows[4].under, rows[4].hidden, rows[3].opens) == (rows[3].id, True, "shut")
    assert (rows[6].under, rows[6].hidden, rows[5].opens) == (rows[5].id, False, "open")


def test_a_folded_call_tells_the_time_of_its_result() -> None:
    rows = {row.step: row for row in rows_of(tell_story())}
    assert rows[3].took == 70


def test_unfolding_shows_every_result() -> None:
    assert not any(row.hidden for row in rows_of(tell_story(), folded=False))


def test_a_fork_point_counts_its_forks() -> None:
    rows = {row.step: row for row in rows_of(tell_story(forks=3)) if row.number == 0}
    assert rows[7].forks == 3


def test_the_result_that_is_a_fork_point_is_never_folded_away() -> None:
    story = tell_story()
    make.make_fork(story.trunk, 4)
    rows = {row.step: row for row in rows_of(story) if row.number == 0}
    assert not rows[4].hidden


def test_a_branch_shows_its_lineage_and_nothing_of_its_siblings() -> None:
    story = tell_story(forks=2)
    make.append(story.trunk, make.make_message("assistant", "The trunk runs on."))
    second = Branch.objects.get(run=story.run, number=2)
    rows = rows_of(story, branch=second.pk)
    assert [row.step for row in rows] == [1, 2, 3, 4, 5, 6, 7, 10, 11]
    assert {row.number for row in rows} == {0, 2}


def test_only_the_kinds_that_are_shown_come() -> None:
    rows = rows_of(tell_story(forks=1), kinds=frozenset({"overrides", "thoughts"}))
    assert [row.telling.kind for row in rows] == ["thought", "override"]


@pytest.mark.parametrize("in_a_lineage", [False, True])
def test_chunks_before_and_after_meet_without_gap_or_overlap(
    in_a_lineage: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = tell_story()
    drafts = [make.make_message("assistant", str(number)) for number in range(40)]
    make.append(story.trunk, *drafts)
    branch = story.trunk.pk if in_a_lineage else None
    lines = read_lines(story.run, branch=branch)

    def window(**place: object) -> run_rows.Window:
        view = View(run=story.run.pk, branch=branch, **place)  # type: ignore[arg-type]
        return read_window(story.run, view, lines, limit=10)

    newest = window()
    seen = [event.seq for event in newest.events]
    before = newest.before
    while before is not None:
        chunk = window(before=before)
        seen = [event.seq for event in chunk.events] + seen
        before = chunk.before
    assert seen == list(range(1, 48))
    first = window(after=0)
    forward = [event.seq for event in first.events]
    after = first.after
    while after is not None:
        chunk = window(after=after)
        forward += [event.seq for event in chunk.events]
        after = chunk.after
    assert forward == seen


@pytest.mark.parametrize("in_a_lineage", [False, True])
def test_a_chunk_does_not_part_a_result_from_its_call(in_a_lineage: bool) -> None:
    story = tell_story()
    for number in range(60):
        call = {"call_id": f"x{number}", "name": "Bash", "arguments": {"command": "ls"}}
        result = {"call_id": f"x{number}", "content": "ok"}
        make.append(
            story.trunk,
            make.make_draft(terms.TOOL_CALL, call),
            make.make_draft(terms.TOOL_RESULT, result),
        )
    lines = read_lines(story.run, branch=story.trunk.pk if in_a_lineage else None)
    seen: list[int] = []
    before: int | None = None
    while True:
        view = View(run=story.run.pk, branch=story.trunk.pk if in_a_lineage else None)
        chunk = read_window(story.run, replace(view, before=before), lines, limit=13)
        assert chunk.events[0].type != terms.TOOL_RESULT
        seen = [event.seq for event in chunk.events] + seen
        before = chunk.before
        if before is None:
            break
    assert seen == list(range(1, 128))


def test_rare_kinds_are_found_far_back_in_a_lineage() -> None:
    story = tell_story()
    many = [make.make_message("assistant", str(number)) for number in range(3000)]
    make.append(story.trunk, *many)
    rows = rows_of(story, branch=story.trunk.pk, kinds=frozenset({"thoughts"}))
    assert [row.step for row in rows] == [7]


def test_a_window_lies_around_the_event_that_is_asked_for() -> None:
    story = tell_story()
    make.append(story.trunk, *[make.make_message("assistant", str(n)) for n in range(500)])
    rows = rows_of(story, event=story.event(250).event_id)
    assert len(rows) == run_rows.CHUNK
    assert 250 in {row.step for row in rows}


def test_an_event_of_another_run_is_not_found() -> None:
    story, other = tell_story(), tell_story()
    with pytest.raises(NotFound):
        rows_of(story, event=other.event(2).event_id)


def test_a_chunk_decodes_no_more_payloads_than_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    story = tell_story(forks=3)
    decoded: list[Event] = []

    def count(row: Event) -> StoredEvent:
        decoded.append(row)
        return stored_event(row)

    monkeypatch.setattr(run_rows, "stored_event", count)
    assert len(rows_of(story)) == len(decoded)


@pytest.mark.parametrize("place", ["newest", "event", "branch"])
def test_the_page_costs_the_same_queries_with_3_and_with_30_branches(
    client: Client, place: str
) -> None:
    costs = []
    for forks in (2, 29):
        story = tell_story(forks=forks)
        sign_in(client, story.project)
        chosen = Branch.objects.get(run=story.run, number=2)
        query = {
            "newest": {},
            "event": {"event": str(story.event(5).event_id)},
            "branch": {"branch": str(chosen.pk)},
        }[place]
        with counted() as queries:
            answer = client.get(reverse("run", args=[story.run.pk]), query)
        assert answer.status_code == 200
        costs.append(len(queries))
    assert costs[0] == costs[1]
    assert costs[0] <= 9 + (place == "event")


def test_a_chunk_of_rows_costs_the_same_queries_with_3_and_with_30_branches(
    client: Client,
) -> None:
    costs = []
    for forks in (2, 29):
        story = tell_story(forks=forks)
        sign_in(client, story.project)
        with counted() as queries:
            client.get(reverse("run-rows", args=[story.run.pk]), {"after": "0"})
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_the_page_says_what_the_run_is(client: Client) -> None:
    story = tell_story(forks=1)
    page = sign_in(client, story.project).get(reverse("run", args=[story.run.pk]))
    text = page.content.decode()
    assert "Cap the dose" in text
    assert f'data-live="/ws/runs/{story.run.pk}/"' in text
    assert 'role="tree"' in text


def test_a_stranger_gets_no_word_of_the_run(client: Client) -> None:
    story = tell_story()
    sign_in(client, make.make_project())
    assert client.get(reverse("run", args=[story.run.pk])).status_code == 404


def test_somebody_who_is_not_signed_in_is_led_to_the_login(client: Client) -> None:
    story = tell_story()
    answer = client.get(reverse("run", args=[story.run.pk]))
    assert answer.status_code == 302
    assert "/login/" in answer["Location"]


def test_what_an_agent_wrote_is_inert_on_the_page(client: Client) -> None:
    story = tell_story()
    hostile = "<script>alert(1)</script>\x1b[31m\u202e"
    make.append(
        story.trunk,
        make.make_draft(terms.TOOL_RESULT, {"call_id": hostile, "content": hostile}),
        make.make_draft(f"data.{hostile[:40]}", {"content": hostile}),
        make.make_draft(terms.THOUGHT, {"text": hostile}),
    )
    sign_in(client, story.project)
    text = client.get(reverse("run", args=[story.run.pk])).content.decode()
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_verdicts_that_are_handed_in_stand_in_the_rail_and_on_the_head() -> None:
    story = tell_story(forks=1)
    fork = Branch.objects.get(run=story.run, number=1)
    page = run_page.read_run_page(
        actor=SYSTEM,
        view=View(run=story.run.pk),
        read_verdicts=lambda branches, head: Judged({fork.pk: "fail"}),
    )
    assert {row.number: row.verdict for row in page.rail} == {0: "", 1: "fail"}
    assert [row.number for row in page.rows if row.verdict == "fail"] == [1]


def test_search_finds_text_in_payloads_and_marks_it(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    page = client.get(reverse("run", args=[story.run.pk]), {"q": "EXPECTED value"})
    text = page.content.decode()
    assert str(story.event(7).event_id) in page.context["page"].search.ids
    assert page.context["page"].search.total == 1
    assert "<mark>expected value</mark>" in text


def test_search_does_not_find_the_formats_own_words() -> None:
    story = tell_story()
    page = run_page.read_run_page(actor=SYSTEM, view=View(run=story.run.pk, q="call_id"))
    assert page.search is not None
    assert page.search.total == 0


def test_the_next_error_is_found_by_the_server(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    address = reverse("run-next-error", args=[story.run.pk])
    found = client.get(address, {"from": "0"})
    assert found["Location"].endswith(f"?event={story.event(6).event_id}")
    none = client.get(address, {"from": str(story.event(6).position)}, follow=True)
    assert "no error after" in none.content.decode()


def test_the_minimap_counts_kinds_without_payloads() -> None:
    story = tell_story(forks=2)
    page = run_page.read_run_page(actor=SYSTEM, view=View(run=story.run.pk))
    assert page.minimap is not None
    assert page.minimap.counts["calls"] == 2
    assert page.minimap.counts["thoughts"] == 1
    assert sum(page.minimap.counts.values()) == Event.objects.filter(run=story.run).count()


def test_a_large_run_sends_its_minimap_later(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "INLINE_MINIMAP", 3)
    story = tell_story()
    sign_in(client, story.project)
    text = client.get(reverse("run", args=[story.run.pk])).content.decode()
    late = reverse("run-minimap", args=[story.run.pk])
    assert f'hx-get="{late}"' in text
    assert 'id="count-calls"' in client.get(late).content.decode()


def test_an_event_without_htmx_leads_to_its_place_in_the_run(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    event = story.event(6)
    answer = client.get(reverse("event", args=[event.event_id]))
    assert answer["Location"] == f"/runs/{story.run.pk}/?event={event.event_id}"


def test_an_event_with_htmx_is_its_detail_alone(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    answer = client.get(reverse("event", args=[story.event(6).event_id]), headers=HTMX)
    text = answer.content.decode()
    assert text.lstrip().startswith('<section class="pane run-detail"')
    assert "2 failed in 4.08s" in text
    assert "pytest -q" in text
    assert "HX-Request" in answer["Vary"]


def test_a_long_result_is_cut_and_loads_whole(client: Client) -> None:
    story = tell_story()
    lines = "\n".join(f"line {number}" for number in range(2000))
    make.append(story.trunk, make.make_draft(terms.TOOL_RESULT, {"content": lines}))
    sign_in(client, story.project)
    address = reverse("event", args=[story.event(8).event_id])
    cut = client.get(address, headers=HTMX).content.decode()
    assert "line 1999" not in cut
    assert "Load all" in cut
    assert "line 1999" in client.get(address, {"all": "1"}, headers=HTMX).content.decode()


def test_a_payload_downloads_as_the_stored_bytes_and_cannot_run(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    answer = client.get(reverse("event-payload", args=[story.event(7).event_id]))
    assert answer.content == b'{"text":"Change the expected value."}'
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")


def test_an_override_tells_what_each_patch_changed(client: Client) -> None:
    story = tell_story()
    make.append(story.trunk, make.make_draft(terms.STATE, {"variables": {"Dose": "45mg"}}))
    fork = make.make_fork(story.trunk, 8, "Careful.\nDose = 50mg\nUnit = mg").branch
    sign_in(client, story.project)
    override = story.event(4, fork)
    answer = client.get(reverse("event", args=[override.event_id]), headers=HTMX)
    patches = answer.context["detail"].override.patches
    assert [(p.name, p.was, p.becomes) for p in patches] == [
        ("Dose", "45mg", "50mg"),
        ("Unit", None, "mg"),
    ]


def test_a_run_of_every_known_type_can_be_read(client: Client) -> None:
    story = tell_story()
    known = [value for name, value in vars(terms).items() if name.isupper()]
    types = {v for v in known if isinstance(v, str) and v.startswith(terms.PREFIXES)}
    types -= {terms.APPROVAL_REQUESTED}
    odd: list[dict[str, object]] = [{}, {"content": 3, "by": [], "text": None, "args": "x"}]
    make.append(
        story.trunk, *[make.make_draft(t, dict(payload)) for t in sorted(types) for payload in odd]
    )
    sign_in(client, story.project)
    assert client.get(reverse("run", args=[story.run.pk])).status_code == 200
    for event in Event.objects.filter(run=story.run):
        answer = client.get(reverse("event", args=[event.event_id]), headers=HTMX)
        assert answer.status_code == 200, event.type


def test_moves_are_offered_to_those_who_may_steer_only(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project, Role.VIEWER)
    text = client.get(reverse("run", args=[story.run.pk])).content.decode()
    assert "Pause agent" not in text
    assert "data-fork>" not in text
    sign_in(client, story.project, Role.REVIEWER)
    assert "Pause agent" in client.get(reverse("run", args=[story.run.pk])).content.decode()


def test_pausing_from_the_page_leads_back_to_the_same_view(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    answer = client.post(
        reverse("branch-move", args=[story.trunk.pk, "pause"]), {"back": f"branch={story.trunk.pk}"}
    )
    assert answer["Location"] == f"/runs/{story.run.pk}/?branch={story.trunk.pk}"
    story.trunk.refresh_from_db()
    assert story.trunk.status == "paused"


def test_abandoning_needs_a_reason(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    address = reverse("branch-move", args=[story.trunk.pk, "abandon"])
    assert client.post(address, {}).status_code == 422
    assert client.post(address, {"reason": "wrong file"}).status_code == 302


def test_an_unknown_move_and_a_strangers_branch_are_not_found(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    assert client.post(reverse("branch-move", args=[story.trunk.pk, "explode"])).status_code == 404
    assert client.post(reverse("branch-move", args=[uuid4(), "pause"])).status_code == 404


def test_a_page_with_no_kind_shown_offers_all_of_them(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    answer = client.get(reverse("run", args=[story.run.pk]), {"show": ""})
    assert "No event of these kinds" in answer.content.decode()


def test_a_malformed_address_is_a_400_that_names_the_parameter(client: Client) -> None:
    story = tell_story()
    sign_in(client, story.project)
    answer = client.get(reverse("run", args=[story.run.pk]), {"event": "nonsense"})
    assert answer.status_code == 400
    assert "event takes a UUID" in answer.content.decode()


def test_a_finished_trunk_and_a_lost_branch_flow_into_the_winner() -> None:
    story = tell_story(forks=2)
    complete_branch(branch_id=story.trunk.pk, actor=SYSTEM)
    lines = read_lines(story.run)
    assert lines.spans[story.trunk.pk].end == "done"
    assert {lines.lanes[key] for key in lines.branches} == {0, 1, 2}


def test_rows_answer_is_bounded(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    story = tell_story()
    sign_in(client, story.project)
    address = reverse("run-rows", args=[story.run.pk])
    assert client.get(address, {"limit": "601"}).status_code == 400
    with django_assert_max_num_queries(8):
        assert client.get(address, {"limit": "600"}).status_code == 200


def test_a_run_that_asks_opens_at_its_question_and_not_at_the_pause_behind_it(
    client: Client,
) -> None:
    story = tell_story()
    asked = {"approval_id": str(uuid4()), "action": "Bash", "args": {"command": "git push"}}
    make.append(story.trunk, make.make_draft(terms.APPROVAL_REQUESTED, asked))
    newest = Event.objects.filter(run=story.run).order_by("-position").first()
    assert newest is not None
    assert newest.type == terms.PAUSED
    sign_in(client, story.project)
    page = client.get(reverse("run", args=[story.run.pk])).context["page"]
    assert [row.id for row in page.rows if row.selected] == [page.rows[-1].id]
    assert page.detail.id == page.rows[-1].id
    assert page.detail.stasis is not None


def test_reports_that_are_handed_in_stand_in_the_detail_of_their_event() -> None:
    story = tell_story()
    head = story.event(7)

    def read(branches: Collection[Branch], asked: Head | None) -> Judged:
        here = asked == (story.trunk.pk, bytes(head.digest))
        line = ReportLine("fail", "Tests", "2 failing of 216", "ci")
        return Judged(reports=[line] if here else [])

    def detail(seq: int) -> EventDetail | None:
        view = View(run=story.run.pk, event=story.event(seq).event_id)
        return run_page.read_run_page(actor=SYSTEM, view=view, read_verdicts=read).detail

    shown, other = detail(7), detail(6)
    assert shown is not None
    assert other is not None
    assert [line.summary for line in shown.reports] == ["2 failing of 216"]
    assert other.reports == ()


def test_a_fork_made_earlier_in_the_run_moves_no_lane() -> None:
    story = tell_story(forks=2)
    before = read_lines(story.run).lanes
    make.make_fork(story.trunk, 2)
    after = read_lines(story.run).lanes
    assert {key: after[key] for key in before} == before


def test_the_tick_box_of_overrides_counts_rows_and_not_what_is_behind_them() -> None:
    story = tell_story(forks=2)
    make.make_fork(story.trunk, 7, override="", note="another try")
    page = run_page.read_run_page(actor=SYSTEM, view=View(run=story.run.pk))
    shown = [row for row in page.rows if row.number]
    rows = [row for row in shown if row.telling.icon in {"pencil-line", "git-fork"}]
    assert [kind.count for kind in page.kinds if kind.key == "overrides"] == [len(rows)] == [3]
