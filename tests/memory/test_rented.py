"""Recall beside a rented store: it names candidates, and decides nothing."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from memory import rented
from memory.domain.terms import Answer
from memory.models import Assembly, Record
from memory.ports.failures import PortFailed
from memory.ports.rests import wake_all
from memory.ports.stores import Near, owner_of, register_store
from memory.recall import assemble_context, recall
from memory.warming import warm_up
from tests.make import make_person, make_project
from tests.memory.file_store import FileStore
from tests.memory.make import answer, deliver, make_fact, make_verified
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role

TEXT = "The automobile stays in its lane"

type Search = Callable[[str, str, Sequence[str], int], list[Near]]


@pytest.fixture(autouse=True)
def awake() -> Iterator[None]:
    wake_all()
    yield
    wake_all()


def found(project: Project, goal: str = "vehicle", *scopes: str) -> list[str]:
    rows = recall(project_id=project.pk, goal=goal, scopes=scopes or ["team"], limit=5)
    return [row.text for row in rows]


def context(project: Project, goal: str = "vehicle") -> Assembly:
    return assemble_context(project_id=project.pk, actor=SYSTEM, goal=goal)


class Saying(FileStore):
    """Holds what it is given, and answers a search as a test says."""

    say: Search

    def search(self, owner: str, goal: str, scopes: Sequence[str], limit: int) -> list[Near]:
        return self.say(owner, goal, scopes, limit)


@pytest.fixture
def saying(store: FileStore) -> Saying:
    made = Saying(store._folder)
    register_store("rented", lambda: made)
    return made


def test_what_the_store_alone_finds_is_recalled_and_read_from_our_own_tables(
    project: Project, curator: Actor, store: FileStore
) -> None:
    make_verified(project, "Doors open at noon", curator)
    record = make_verified(project, TEXT, curator)
    assert found(project) == []
    deliver()
    (held,) = store.find(owner_of(project.pk), str(record.record_id))
    path = store._path(owner_of(project.pk), held.id)
    path.write_text(path.read_text().replace("stays in", "leaves"))
    assert found(project) == [TEXT]
    told = context(project)
    assert {"source": "rented", "found": 1} in told.result["asked"]
    assert told.result["entered"][-1]["rank"] > told.result["entered"][0]["rank"]


@pytest.mark.parametrize("told", [Answer.BURY, Answer.REJECT])
def test_what_left_recall_stays_out_whatever_the_store_still_holds(
    project: Project, curator: Actor, store: FileStore, told: Answer
) -> None:
    record = make_verified(project, TEXT, curator)
    deliver()
    assert found(project) == [TEXT]
    answer(record, curator, told, "x")
    assert store.texts(owner_of(project.pk)) == [TEXT]
    assert found(project) == []
    assert context(project).result["asked"][-1] == {"source": "rented", "found": 0}


def test_a_store_that_names_everything_brings_in_nothing_that_may_not_enter(
    project: Project, curator: Actor, saying: Saying
) -> None:
    elsewhere = make_project()
    stranger = make_person(elsewhere, Role.CURATOR)
    may = make_verified(project, TEXT, curator)
    make_fact(project, "vehicle that nobody vouches for")
    make_verified(project, "vehicle of another scope", curator, scope="repo:other")
    make_verified(elsewhere, "vehicle of another project", stranger)
    records = [Near(str(row.record_id), 1.0) for row in Record.objects.order_by("-position")]
    odd = [Near("no id", 1.0), Near(str(may.record_id), float("nan")), Near("", 9.0)]
    saying.say = lambda *_: [*odd, *records, *records]
    assert found(project, "anything") == [TEXT]
    assert len(context(project, "anything").result["entered"]) == 1


def test_words_and_store_together_put_first_what_both_name(
    project: Project, curator: Actor, store: FileStore
) -> None:
    for text in ("Dosage ceiling of the ward", "The dose limit of the ward"):
        make_verified(project, text, curator)
    deliver()
    assert found(project, "dose cap") == [
        "The dose limit of the ward",
        "Dosage ceiling of the ward",
    ]


def test_the_store_is_asked_for_the_scopes_alone_and_for_no_more_than_is_wanted(
    project: Project, saying: Saying
) -> None:
    asked: list[object] = []
    saying.say = lambda *told: asked.append(told) or []  # type: ignore[func-returns-value]  # on purpose
    recall(project_id=project.pk, goal="a cap", scopes=["repo:x", "team"], limit=7)
    recall(project_id=project.pk, goal="  ", scopes=["team"], limit=7)
    assert asked == [(owner_of(project.pk), "a cap", ["repo:x", "team"], 7)]


def fail(*_: object) -> list[Near]:
    raise PortFailed("mem0 did not answer: connection refused")


def break_down(*_: object) -> list[Near]:
    raise RuntimeError("a key of the store: sk-secret")


@pytest.mark.parametrize(
    ("say", "fault"), [(fail, "mem0 did not answer"), (break_down, "It failed; see the log.")]
)
def test_a_store_that_fails_leaves_recall_by_words_is_left_alone_and_is_told_of(
    project: Project, curator: Actor, client: Client, saying: Saying, say: Search, fault: str
) -> None:
    make_verified(project, TEXT, curator)
    asked: list[str] = []

    def count(owner: str, goal: str, scopes: Sequence[str], limit: int) -> list[Near]:
        asked.append(goal)
        return say(owner, goal, scopes, limit)

    saying.say = count
    first, second = context(project, "automobile"), context(project, "automobile lane")
    assert asked == ["automobile"]
    for told in (first, second):
        assert [one["text"] for one in told.result["entered"]] == [TEXT]
        (ours, theirs) = told.result["asked"]
        assert (ours, theirs["found"]) == ({"source": "words", "found": 1}, 0)
        assert fault in theirs["fault"]
    page = client.get(f"/p/{project.slug}/memory/contexts/{second.pk}/").content.decode()
    assert "could not be asked" in page
    assert theirs["fault"] in page


def test_a_store_that_hangs_costs_one_question_a_moment_and_the_next_ones_nothing(
    project: Project, curator: Actor, saying: Saying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rented, "ANSWER_SECONDS", 0.05)
    make_verified(project, TEXT, curator)
    release, came = threading.Event(), threading.Semaphore(0)

    def hang(*_: object) -> list[Near]:
        came.release()
        release.wait(30)
        return []

    saying.say = hang
    try:
        assert found(project, "automobile") == [TEXT]
        assert found(project, "automobile") == [TEXT]
        told = context(project, "automobile").result["asked"][-1]
        assert told["fault"] == "It did not answer within 0.05 s."
        assert came.acquire(timeout=30)
        assert not came.acquire(blocking=False)
    finally:
        release.set()


def test_a_store_that_is_being_opened_is_asked_again_as_soon_as_it_is_open(
    project: Project, curator: Actor, saying: Saying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rented, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(rented, "OPENING_SECONDS", 0.0)
    record = make_verified(project, TEXT, curator)
    saying.say = lambda *_: [Near(str(record.record_id), 1.0)]
    release, opening = threading.Event(), threading.Event()

    def open_slowly() -> FileStore:
        opening.set()
        release.wait(30)
        return saying

    register_store("rented", open_slowly)
    warming = threading.Thread(target=warm_up)
    warming.start()
    try:
        assert opening.wait(30)
        assert found(project) == []
    finally:
        release.set()
        warming.join(30)
    monkeypatch.undo()
    assert found(project) == [TEXT]


def test_a_store_in_which_too_many_questions_hang_is_asked_no_more(
    project: Project, curator: Actor, saying: Saying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rented, "_places", threading.BoundedSemaphore(1))
    assert rented._places.acquire()
    make_verified(project, TEXT, curator)
    saying.say = lambda *_: pytest.fail("It has no place.")
    assert found(project, "automobile") == [TEXT]
    assert "still wait" in context(project, "automobile").result["asked"][-1]["fault"]


def test_a_store_costs_one_query_where_it_names_what_words_did_not(
    project: Project, curator: Actor, store: FileStore
) -> None:
    for text in (TEXT, "A lane is drawn in white"):
        make_verified(project, text, curator)
    deliver()
    with CaptureQueriesContext(connection) as queries:
        assert len(found(project, "vehicle drawn")) == 2
    assert len(queries) == 2


def test_without_a_store_nothing_is_asked_and_nothing_told(
    project: Project, settings: Settings
) -> None:
    settings.VEREL_MEMORY_STORE = "none"
    assert context(project).result["asked"] == [{"source": "words", "found": 0}]
