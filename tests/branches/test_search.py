"""Finding events by their words, with the index behind, ahead or gone."""

from collections.abc import Iterable
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from branches.domain import terms
from branches.domain.search_query import Query, find_spans, parse_query
from branches.domain.words import MAX_SEQUENCE, Document, make_document, payload_texts
from branches.indexing import BATCH, drop_search, index_batch, index_news, rebuild_search
from branches.models import Branch, Event, SearchCursor
from branches.selectors.search import (
    MAX_TAIL,
    SearchOff,
    find_events,
    list_behind,
    resolve_query,
    row_matches,
)
from branches.storage.search_index import find_positions
from tests import make
from tests.branches.story import tell_story
from tests.guards import unguarded
from verel_site.access.models import Project

pytestmark = pytest.mark.django_db


def index_all() -> None:
    for _ in range(100):
        if not index_news():
            return
    raise AssertionError("the indexer does not come to an end")


def say(branch: Branch, *texts: str) -> list[Event]:
    make.append(branch, *(make.make_message("assistant", text) for text in texts))
    newest = Event.objects.filter(branch=branch).order_by("-seq")[: len(texts)]
    return list(newest)[::-1]


def find(project: Project, text: str, **more: int) -> list[int]:
    found = find_events(
        project=project, query=parse_query(text), before=more.get("before"), limit=50
    )
    return [row.position for row in found.rows]


TEXTS = (
    "Cap the dose limit at 50mg in clamp.py",
    "The limit of the dose is unknown",
    "calc_dose_limit() returns None",
    "Straße, naïve, ΣΊΣΥΦΟΣ and 用量限制",
    '<script>alert(1)</script> it\'s a "quoted" thing\\',
)
CASES: tuple[tuple[str, list[int]], ...] = (
    ("dose", [0, 1]),
    ("DOSE limit", [0, 1]),
    ('"dose limit"', [0]),
    ('"limit of the dose"', [1]),
    ("dose -unknown", [0]),
    ('dose -"dose limit"', [1]),
    ("calc_dose_limit", [2]),
    ("calc*", [2]),
    ('"dose li"*', [0]),
    ("clamp.py", [0]),
    ("py.clamp", []),
    ("50mg", [0]),
    ("strasse", [3]),
    ("naïve", [3]),
    ("σίσυφος", [3]),
    ("限制", [3]),
    ("制限", []),
    ("it's", [4]),
    ("alert(1)", [4]),
    ("quoted thing", [4]),
    ("-dose type:assistant", [2, 3, 4]),
    ("nothing_like_it", []),
)


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "tail"])
@pytest.mark.parametrize(("text", "found"), CASES, ids=[text for text, _ in CASES])
def test_words_phrases_beginnings_and_exclusions(
    text: str, found: list[int], indexed: bool
) -> None:
    project = make.make_project()
    _, trunk = make.make_run(project, "A goal of other terms")
    rows = say(trunk, *TEXTS)
    if indexed:
        index_all()
    places = {row.position: at for at, row in enumerate(rows)}
    assert sorted(places.get(position, -1) for position in find(project, text)) == found


def test_filters_narrow_to_a_type_a_source_a_run_and_a_branch() -> None:
    story = tell_story(forks=1)
    other = tell_story(project=story.project)
    index_all()
    project = story.project
    assert len(find(project, "type:error -cap")) == 0
    assert find(project, "type:thought expected") == [
        other.event(7).position,
        story.event(7).position,
    ]
    assert len(find(project, "type:data.tool.*")) == 8
    assert find(project, f"type:user run:r-{other.run.number}") == [other.event(2).position]
    assert find(project, f"type:user run:{other.run.pk}") == [other.event(2).position]
    fork = Branch.objects.get(run=story.run, number=1)
    answer = Event.objects.get(branch=fork, type=terms.ASSISTANT)
    assert find(project, f"understood branch:{str(fork.pk)[:8]}") == [answer.position]
    assert find(project, f'understood branch:"{fork.pk}"') == [answer.position]
    assert find(project, "source:verel type:harness.run.started")
    assert find(project, "source:agent type:harness.run.started") == []


def test_a_filter_that_names_nothing_finds_nothing_and_says_so() -> None:
    story = tell_story()
    hits = find_events(
        project=story.project, query=parse_query("cap run:r-99"), before=None, limit=9
    )
    assert (hits.rows, hits.notes) == ((), ("There is no run “r-99” in this project.",))


def test_another_projects_events_are_never_found() -> None:
    ours, theirs = tell_story(), tell_story()
    for _ in range(2):
        positions = find(ours.project, "clamp")
        assert positions
        assert not Event.objects.filter(position__in=positions).exclude(project=ours.project)
        assert find(ours.project, f"run:{theirs.run.pk}") == []
        assert find(ours.project, f"branch:{theirs.trunk.pk}") == []
        index_all()


def test_binary_parts_and_the_names_of_fields_are_no_words() -> None:
    payload = {
        "content": [
            {"kind": "text", "text": "a look"},
            {"kind": "image", "mime": "image/png", "data": "QUJDsecretly"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAAhidden"}},
        ],
        "usage": {"output": 1914},
    }
    words = make_document(payload_texts(payload)).sequence
    assert {"look", "png", "1914"} <= set(words)
    assert not {"content", "usage", "qujdsecretly", "aaaahidden"} & set(words)


def test_what_is_too_long_for_the_index_is_found_by_its_words_and_counted() -> None:
    project = make.make_project()
    _, trunk = make.make_run(project)
    say(trunk, "x " * (MAX_SEQUENCE + 5) + "far away", "short")
    index_all()
    assert len(find(project, "far")) == 1
    assert len(find(project, "away x")) == 1
    assert find(project, '"far away"') == []
    hits = find_events(project=project, query=parse_query("far"), before=None, limit=9)
    assert hits.freshness.cut == 1


def test_the_indexer_goes_on_where_it_stopped_and_may_run_twice() -> None:
    project = make.make_project()
    _, trunk = make.make_run(project)
    say(trunk, *(f"word{n}" for n in range(BATCH + 20)))
    assert index_batch(project_id=project.pk)
    first = SearchCursor.objects.get(project=project)
    assert first.events == BATCH
    assert len(find(project, f"word{BATCH + 15}")) == 1
    index_all()
    index_all()
    done = SearchCursor.objects.get(project=project)
    assert done.events == BATCH + 21
    assert done.position == trunk.head_position
    assert list_behind() == []
    assert len(find(project, "word*")) == 50


def test_a_batch_counts_for_the_one_who_moves_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other worker is let in after ours has read, and before it writes."""
    story = tell_story()
    raced: list[bool] = []

    def race(texts: Iterable[str]) -> Document:
        if not raced:
            raced.append(True)
            index_batch(project_id=story.project.pk)
        return make_document(texts)

    monkeypatch.setattr("branches.selectors.search.make_document", race)
    index_batch(project_id=story.project.pk)
    index_all()
    assert SearchCursor.objects.get(project=story.project).events == 7
    assert len(find(story.project, "clamp")) == 2


def test_the_index_is_rebuilt_from_the_journal_alone() -> None:
    story, other = tell_story(forks=2), tell_story()
    index_all()
    before = find(story.project, "leave"), find(other.project, "clamp")
    assert all(before)
    drop_search()
    assert (find(story.project, "leave"), find(other.project, "clamp")) == before
    rebuild_search(project_id=story.project.pk)
    assert SearchCursor.objects.get(project=story.project).position > 0
    index_all()
    assert (find(story.project, "leave"), find(other.project, "clamp")) == before


def test_pages_have_no_gap_and_no_repeat_while_events_arrive_and_are_indexed() -> None:
    project = make.make_project()
    _, trunk = make.make_run(project)
    rows = say(trunk, *(f"needle {n}" for n in range(40)))
    index_all()
    say(trunk, *(f"needle {n}" for n in range(40, 50)))
    expected = [row.position for row in Event.objects.filter(branch=trunk, seq__gt=1)][::-1]
    seen: list[int] = []
    before = None
    while True:
        hits = find_events(project=project, query=parse_query("needle"), before=before, limit=7)
        seen += [row.position for row in hits.rows]
        if not hits.more:
            break
        before = seen[-1]
        say(trunk, "needle late")
        index_news()
    assert seen == expected
    assert len(rows) == 40


def test_events_not_compared_are_owned_up_to() -> None:
    project = make.make_project()
    _, trunk = make.make_run(project)
    say(trunk, *("late" for _ in range(MAX_TAIL + 3)))
    hits = find_events(project=project, query=parse_query("late"), before=None, limit=1000)
    assert len(hits.rows) == MAX_TAIL
    assert (hits.freshness.direct, hits.freshness.gap) == (MAX_TAIL, True)
    index_all()
    hits = find_events(project=project, query=parse_query("late"), before=None, limit=1000)
    assert (len(hits.rows), hits.freshness.gap) == (MAX_TAIL + 3, False)


def test_a_search_costs_the_same_queries_however_much_there_is() -> None:
    counts = []
    for size in (3, 60):
        project = make.make_project()
        for _ in range(3):
            _, trunk = make.make_run(project)
            say(trunk, *("needle" for _ in range(size)))
        index_all()
        say(trunk, "needle")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            find(project, "needle run:r-3 branch:abcd -type:thought")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 7


def test_encrypted_payloads_are_not_searched_and_what_was_indexed_is_dropped(
    settings: Settings,
) -> None:
    story = tell_story()
    index_all()
    settings.VEREL_EVENT_KEYS = [("k1", bytes(32))]
    with pytest.raises(SearchOff, match="encrypts"):
        find(story.project, "clamp")
    assert index_news() is False
    clauses, _ = resolve_query(story.project, parse_query("clamp"))
    assert find_positions(story.project.pk, clauses, before=2**62, limit=9) == []
    assert SearchCursor.objects.get(project=story.project).position == 0


def test_a_row_stored_encrypted_is_never_indexed_even_where_it_can_be_read() -> None:
    story = tell_story()
    row = story.event(7)
    with unguarded():
        Event.objects.filter(pk=row.pk).update(payload=b"\x02" + bytes(row.payload))
    index_all()
    assert row.position not in find(story.project, "expected")
    assert SearchCursor.objects.get(project=story.project).cut == 1


any_text = st.text(max_size=80) | st.lists(
    st.sampled_from(
        ["dose", '"', "-", "*", ":", "type:", "run:", "branch:", "(", ")", "NEAR", "AND", "'", "\\",
         "OR", "NOT", " ", "limit", "{", "^", "&", "|", "!", "<->", "source:x", "\x00", "限", ";--"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@bounds(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=any_text)
def test_any_text_is_a_query_and_finds_the_same_indexed_or_not(text: str) -> None:
    query = parse_query(text)
    project = _library()
    if query.is_empty:
        return
    clauses, _ = resolve_query(project, query)
    indexed = find_positions(project.pk, clauses, before=2**62, limit=1000, ascending=True)
    rows = Event.objects.filter(project=project).order_by("position")
    assert indexed == [row.position for row in rows if row_matches(row, clauses)]


@given(
    text=st.lists(
        st.sampled_from(["dose", "Dose_2", "limit", "li", " ", ".", "é", "限", "\n", "-"]),
        max_size=12,
    ).map("".join),
    asked=st.sampled_from(
        ['"dose limit"', "li*", '"dose li"*', "dose", "limit.dose limit", "dose_2"]
    ),
)
def test_hits_are_marked_alike_in_ascii_and_beyond(text: str, asked: str) -> None:
    wanted = parse_query(asked).wanted
    beyond = find_spans(wanted, text + " é")
    assert find_spans(wanted, text) == beyond


def _library() -> Project:
    project = Project.objects.filter(slug="library").first()
    if project is None:
        project = make.make_project("library")
        _, trunk = make.make_run(project)
        say(trunk, *TEXTS, "", "near and or not", "NEAR(dose limit)", "x" * 300)
        index_all()
    return project


def test_an_unclosed_quote_runs_to_the_end_and_signs_alone_are_named() -> None:
    assert parse_query('"dose limit').clauses == parse_query('"dose limit"').clauses
    assert parse_query("++ dose").notes == ("“++” has no letter or digit and was left out.",)
    assert parse_query("  ") == Query("")


def test_an_unknown_project_has_no_news() -> None:
    assert index_batch(project_id=make.make_project().pk) is False
    assert uuid4() not in list_behind()
