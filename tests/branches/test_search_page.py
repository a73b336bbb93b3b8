"""The search field of every page: hits in place, jumps, and words for what there is not."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from branches.indexing import drop_search, index_batch
from branches.models import Branch
from branches.selectors import run_page
from branches.selectors.run_view import View
from branches.selectors.search_page import PAGE, SearchPage
from tests import make
from tests.branches.story import Story, tell_story
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def story() -> Story:
    return tell_story(forks=1)


@pytest.fixture
def reader(story: Story, client: Client) -> Client:
    client.force_login(make.make_user(story.project, Role.VIEWER))
    return client


def search(client: Client, project: Project, **query: str) -> SearchPage:
    answer = client.get(reverse("search", args=[project.slug]), query)
    assert answer.status_code == 200
    page = answer.context["page"]
    assert isinstance(page, SearchPage)
    return page


def index(project: Project) -> None:
    while index_batch(project_id=project.pk):
        pass


def test_the_field_asks_and_a_hit_opens_its_event_in_place(reader: Client, story: Story) -> None:
    index(story.project)
    address = reverse("search", args=[story.project.slug])
    answer = reader.get(address, {"q": "expected VALUE"})
    text = answer.content.decode()
    assert "<mark>expected value</mark>" in text
    (row,) = answer.context["page"].groups[0].rows
    assert (row.id, row.step) == (story.event(7).event_id, 7)
    opened = reader.get(row.href)
    page = opened.context["page"]
    assert [one.id for one in page.rows if one.selected] == [row.id]
    assert (page.search.place, page.search.total) == (1, 1)
    assert "<mark>expected value</mark>" in opened.content.decode()


def test_hits_are_grouped_by_run_newest_first(reader: Client, story: Story) -> None:
    other = tell_story(project=story.project)
    page = search(reader, story.project, q="clamp")
    assert [group.run for group in page.groups] == [other.run.pk, story.run.pk]
    assert [row.step for row in page.groups[0].rows] == [4, 3]


def test_pages_follow_each_other_to_the_last_hit(reader: Client, story: Story) -> None:
    texts = [make.make_message("assistant", f"needle {n}") for n in range(PAGE + 3)]
    make.append(story.trunk, *texts)
    page = search(reader, story.project, q="needle")
    assert page.count == PAGE
    later = reader.get(page.older_href).context["page"]
    assert (later.count, later.older_href) == (3, "")
    assert later.places == ()
    assert reader.get(later.newest_href).context["page"].count == PAGE


def test_agent_text_in_a_hit_is_inert(reader: Client, story: Story) -> None:
    hostile = "needle <b> <img src=x onerror=alert(1)> \u202eneedle"
    make.append(story.trunk, make.make_message("assistant", hostile))
    answer = reader.get(reverse("search", args=[story.project.slug]), {"q": "needle <b>"})
    text = answer.content.decode()
    assert "<img src=x" not in text
    assert "\u202e" not in text
    assert text.count("<mark>needle</mark>") == 2


@pytest.mark.parametrize("what", ["event", "branch", "run"])
def test_an_id_that_is_pasted_opens_what_it_names(reader: Client, story: Story, what: str) -> None:
    fork = Branch.objects.get(run=story.run, number=1)
    keys = {
        "event": (story.event(4).event_id, f"?event={story.event(4).event_id}"),
        "branch": (fork.pk, f"?branch={fork.pk}"),
        "run": (story.run.pk, ""),
    }
    key, query = keys[what]
    answer = reader.get(reverse("search", args=[story.project.slug]), {"q": f" {key} "})
    assert answer["Location"] == reverse("run", args=[story.run.pk]) + query


def test_an_id_of_another_project_opens_nothing(reader: Client, story: Story) -> None:
    other = tell_story()
    for key in (other.event(4).event_id, other.trunk.pk, other.run.pk, uuid4()):
        assert search(reader, story.project, q=str(key)).count == 0
    address = reverse("search", args=[other.project.slug])
    assert reader.get(address, {"q": str(other.run.pk)}).status_code == 404
    assert reader.get(address, {"q": "clamp"}).status_code == 404


def test_runs_by_goal_and_number_and_beginnings_of_ids_are_places_to_go(
    reader: Client, story: Story
) -> None:
    assert [place.note for place in search(reader, story.project, q="the DOSE").places] == ["r-1"]
    assert [place.note for place in search(reader, story.project, q="r-1").places] == ["r-1"]
    fork = Branch.objects.get(run=story.run, number=1)
    for named in (str(fork.pk)[:9], bytes(fork.head_digest).hex()[:8].upper()):
        places = search(reader, story.project, q=named).places
        assert f"?branch={fork.pk}" in [place.href.rpartition("/")[2] for place in places]
    event = story.event(4).event_id
    places = search(reader, story.project, q=str(event)[:13]).places
    assert any(place.href.endswith(f"?event={event}") for place in places)


def test_a_kind_is_added_to_the_query_and_taken_away(reader: Client, story: Story) -> None:
    page = search(reader, story.project, q="clamp")
    results = next(kind for kind in page.kinds if kind.name == "Results")
    narrowed = reader.get(results.href).context["page"]
    assert [row.step for group in narrowed.groups for row in group.rows] == [4]
    (current,) = [kind for kind in narrowed.kinds if kind.current]
    assert current.name == "Results"
    assert reader.get(current.href).context["page"].count == 2


def test_each_state_is_told_in_words(reader: Client, story: Story, settings: Settings) -> None:
    address = reverse("search", args=[story.project.slug])

    def told(**query: str) -> str:
        return reader.get(address, query).content.decode()

    assert "Search what agents said and did" in told()
    assert "Indexing has not begun" in told(q="clamp")
    index(story.project)
    make.append(story.trunk, make.make_message("assistant", "later"))
    assert "1 newer event read directly" in told(q="clamp")
    assert "No event matches" in told(q="clam")
    assert "Words that begin so" in told(q="clam")
    assert "There is no run “r-77”" in told(q="clamp run:r-77")
    settings.VEREL_EVENT_KEYS = [("k1", bytes(32))]
    off = told(q="clamp")
    assert "Search is off" in off
    assert "encrypts event payloads" in off


@pytest.mark.parametrize("query", ["before=x", "before=0", "before=-1", "q=%00"])
def test_what_is_no_page_is_refused(reader: Client, story: Story, query: str) -> None:
    answer = reader.get(f"{reverse('search', args=[story.project.slug])}?{query}")
    assert answer.status_code == 400


def test_the_page_costs_the_same_queries_however_much_it_shows(
    reader: Client, story: Story
) -> None:
    counts = []
    for more in (0, 60):
        for _ in range(more // 10):
            _, trunk = make.make_run(story.project, "More clamp")
            make.append(trunk, *(make.make_message("assistant", "clamp") for _ in range(10)))
        index(story.project)
        make.append(story.trunk, make.make_message("assistant", "clamp late"))
        with CaptureQueriesContext(connection) as queries:
            assert search(reader, story.project, q="clamp type:assistant").count > 0
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 18


def found(story: Story, text: str, branch: Branch | None = None) -> list[int]:
    view = View(run=story.run.pk, q=text, branch=branch.pk if branch else None)
    page = run_page.read_run_page(actor=SYSTEM, view=view)
    assert page.search is not None
    steps = {story.event(n).event_id: n for n in range(1, 8)}
    return [steps.get(hit, 0) for hit in page.search.found.hits]


@pytest.mark.parametrize("how", ["indexed", "behind", "encrypted"])
def test_a_run_is_searched_by_the_same_words_however_far_the_index_is(
    story: Story, settings: Settings, how: str
) -> None:
    tell_story(project=story.project)
    index(story.project)
    fork = Branch.objects.get(run=story.run, number=1)
    if how == "behind":
        drop_search()
    if how == "encrypted":
        settings.VEREL_EVENT_KEYS = [("k1", bytes(32))]
    assert found(story, "clamp") == [3, 4]
    assert found(story, '"failed in" -clamp') == [6]
    assert found(story, "clamp type:result") == [4]
    assert found(story, "understood") == [0]
    assert found(story, "understood clamp*", fork) == []
    assert found(story, "clamp", fork) == [3, 4]
    make.append(story.trunk, make.make_message("assistant", "clamp after the fork"))
    assert found(story, "clamp", fork) == [3, 4]
    assert found(story, "clamp") == [3, 4, 0]


def test_previous_and_next_hit_go_round(story: Story) -> None:
    view = View(run=story.run.pk, q="clamp", event=story.event(3).event_id)
    page = run_page.read_run_page(actor=SYSTEM, view=view)
    assert page.search is not None
    last = str(story.event(4).event_id)
    assert last in page.search.next_href
    assert last in page.search.previous_href
