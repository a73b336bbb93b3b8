"""The outbox against mem0 itself: its history, a Qdrant on this disk, an embedder served here, and
no model. Each life of it is a process of its own, as the folder of a local Qdrant has one owner."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from pytest_django.fixtures import Settings

from memory.domain.terms import Answer
from memory.models import Projection, Record
from memory.ports.failures import PortFailed
from memory.ports.rests import wake_all
from memory.ports.stores import ONE_PROCESS, Entry, owner_of, register_store
from memory.projection import entry_of
from memory.recall import assemble_context, recall
from tests.make import make_person, make_project
from tests.memory.dying import POINTS, die_delivering, replay
from tests.memory.make import answer, deliver, make_verified
from tests.memory.model_server import WIDTH, ModelServer
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role

pytestmark = [pytest.mark.heavy, pytest.mark.django_db(transaction=True)]
TEXT = "The bolus cap is 45 mg"


@pytest.fixture
def config(tmp_path: Path, model_server: ModelServer, settings: Settings) -> str:
    """A file as an installation writes it. The model is named, since mem0 wants one, and is asked
    nothing: its address is nobody's."""
    if find_spec("mem0") is None:
        pytest.fail("This needs the extra `mem0`.")
    told = {
        "history_db_path": str(tmp_path / "history.db"),
        "vector_store": {
            "provider": "qdrant",
            "config": {
                "collection_name": "verel",
                "path": str(tmp_path / "qdrant"),
                "on_disk": True,
                "embedding_model_dims": WIDTH,
            },
        },
        "embedder": {
            "provider": "openai",
            "config": {
                "model": "hashed-words",
                "api_key": "none",
                "openai_base_url": model_server.url,
                "embedding_dims": WIDTH,
            },
        },
        "llm": {
            "provider": "openai",
            "config": {"api_key": "none", "openai_base_url": "http://127.0.0.1:1/v1"},
        },
    }
    path = tmp_path / "mem0.json"
    path.write_text(json.dumps(told))
    settings.VEREL_MEMORY_STORE, settings.VEREL_MEM0_CONFIG = "rented", str(path)
    return str(path)


@contextmanager
def opened(config: str) -> Iterator[Any]:
    """The store, in this process, until the end of the block."""
    from memory.ports.mem0_store import Mem0Store

    store = Mem0Store.from_file(config)
    register_store("rented", lambda: store)
    try:
        yield store
    finally:
        store._memory.vector_store.client.close()
        store._memory.close()


def open_in_child(config: str) -> Callable[[], Any]:
    def make() -> Any:
        from memory.ports.mem0_store import Mem0Store

        return Mem0Store.from_file(config)

    return make


def listed(store: Any, project: Project) -> list[dict[str, Any]]:
    told = store._memory.get_all(filters={"user_id": owner_of(project.pk)}, top_k=50)
    return sorted(told["results"], key=lambda row: row["memory"])


def make_ground() -> tuple[Project, Record, Any]:
    project = make_project()
    curator = make_person(project, Role.CURATOR)
    return project, make_verified(project, TEXT, curator), curator


def test_an_entry_comes_moves_and_goes_with_its_record(config: str) -> None:
    project, record, curator = make_ground()
    with opened(config) as store:
        assert deliver() == 1
        (row,) = listed(store, project)
        assert row["memory"] == TEXT
        about = row["metadata"]
        assert (about["verel_record"], about["verel_version"]) == (str(record.record_id), 1)
        assert (about["verel_trust"], about["verel_scope"]) == ("verified", "team")
        answer(record, curator, Answer.PROMOTE, scope="global")
        deliver()
        (moved,) = listed(store, project)
        assert (moved["id"], moved["metadata"]["verel_scope"]) == (row["id"], "global")
        answer(record, curator, Answer.BURY)
        deliver()
        assert listed(store, project) == []


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("act", ["add", "replace", "remove"])
def test_after_a_death_at_any_point_a_replay_leaves_no_duplicate_and_no_orphan(
    config: str, point: str, act: str
) -> None:
    project, record, curator = make_ground()
    if act != "add":
        with opened(config):
            deliver()
        if act == "replace":
            answer(record, curator, Answer.PROMOTE, scope="global")
        else:
            answer(record, curator, Answer.BURY)
    die_delivering(open_in_child(config), point)
    Projection.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    with opened(config) as store:
        replay()
        entry = entry_of(record)
        told = [one.digest for one in store.every(owner_of(project.pk))]
    assert told == ([entry.digest] if entry else [])


def test_the_command_mends_what_somebody_spoiled_and_leaves_what_is_not_ours(config: str) -> None:
    project, record, _ = make_ground()
    owner = owner_of(project.pk)
    with opened(config) as store:
        deliver()
        again = entry_of(record)
        assert again is not None
        store.add(owner, again)
        store.add(owner, Entry("no id", 1, "x", "an orphan", {}))
        store._memory.add("somebody's own", user_id=owner, infer=False)
        with pytest.raises(CommandError, match="2 differences"):
            call_command("project_memory", "--check", stdout=StringIO())
        call_command("project_memory", "--replay", stdout=StringIO())
        call_command("project_memory", "--check", stdout=StringIO())
        assert [row["memory"] for row in listed(store, project)] == [TEXT, "somebody's own"]


def test_what_somebody_wrote_over_or_wiped_out_is_made_anew(config: str) -> None:
    project, record, curator = make_ground()
    other = make_verified(project, "Doors open at noon", curator)
    owner = owner_of(project.pk)
    with opened(config) as store:
        deliver()
        (ours,) = store.find(owner, str(record.record_id))
        store._memory.update(ours.id, text="The bolus cap is 450 mg")
        (theirs,) = store.find(owner, str(other.record_id))
        store._memory.delete(theirs.id)
        out = StringIO()
        with pytest.raises(CommandError, match="2 differences"):
            call_command("project_memory", "--check", stdout=out)
        assert sorted(line.split(": ")[1] for line in out.getvalue().splitlines()) == [
            "missing",
            "stale",
        ]
        call_command("project_memory", "--replay", stdout=StringIO())
        assert [row["memory"] for row in listed(store, project)] == ["Doors open at noon", TEXT]
        store._memory.delete_all(user_id=owner)
        call_command("project_memory", "--replay", stdout=StringIO())
        assert [row["memory"] for row in listed(store, project)] == ["Doors open at noon", TEXT]
        call_command("project_memory", "--check", stdout=StringIO())


def test_a_folder_that_another_has_open_is_named_and_nothing_is_lost(config: str) -> None:
    project, record, _ = make_ground()
    with opened(config):
        from memory.ports.mem0_store import Mem0Store

        with pytest.raises(PortFailed, match="serves one process at a time"):
            Mem0Store.from_file(config)

        def refuse() -> None:
            raise PortFailed(ONE_PROCESS)

        register_store("rented", refuse)  # type: ignore[arg-type]  # it opens nothing
        assert deliver() == 0
    with opened(config) as store:
        replay()
        assert [row["memory"] for row in listed(store, project)] == [record.text]


def test_nothing_of_it_leaves_the_machine(config: str) -> None:
    with opened(config):
        from mem0.memory import telemetry

        assert not telemetry.MEM0_TELEMETRY
    assert os.environ["MEM0_DIR"].startswith(os.environ["VEREL_HOME"])


def test_recall_reads_it_by_meaning_and_takes_nothing_on_its_word(config: str) -> None:
    project, record, curator = make_ground()
    make_verified(project, "The dose ceiling elsewhere", curator, scope="repo:other")
    make_verified(project, "Doors open at noon", curator)
    with opened(config) as store:
        wake_all()
        deliver()
        store._memory.add("dosage limit dosage limit", user_id=owner_of(project.pk), infer=False)
        rows = recall(project_id=project.pk, goal="ceiling", scopes=["team", "global"], limit=5)
        assert [row.text for row in rows] == [TEXT]
        told = assemble_context(project_id=project.pk, actor=SYSTEM, goal="ceiling")
        assert told.result["asked"][-1] == {"source": "rented", "found": 1}
        answer(record, curator, Answer.BURY)
        # It still holds what we buried, until the delivery.
        assert TEXT in [row["memory"] for row in listed(store, project)]
        assert recall(project_id=project.pk, goal="ceiling", scopes=["team"], limit=5) == []


def test_a_mem0_whose_embedder_is_away_leaves_recall_by_words(
    config: str, model_server: ModelServer
) -> None:
    project, _, _ = make_ground()
    with opened(config):
        wake_all()
        deliver()
        model_server.answer({"error": "away"}, 400)
        told = assemble_context(project_id=project.pk, actor=SYSTEM, goal="bolus")
        assert [one["text"] for one in told.result["entered"]] == [TEXT]
        assert "mem0 did not answer" in told.result["asked"][-1]["fault"]
        wake_all()
