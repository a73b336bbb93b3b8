"""Recall by meaning, through the real port: an embedder that tests bring, and a server of OpenAI's
manner."""

import json
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from memory import vectors
from memory.domain.terms import Answer
from memory.models import Record, RecordVector
from memory.ports.embedders import OpenAIEmbedder
from memory.ports.failures import PortFailed
from memory.ports.openai import OpenAIServer
from memory.recall import assemble_context, recall
from memory.storage.matrix import Matrix
from memory.vectors import fill_vectors, find_alike, forget_matrices
from tests.make import make_person, make_project
from tests.memory.make import answer, deliver, make_fact, make_verified
from tests.memory.model_server import HashedWords, ModelServer
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.outbox.models import Promise

pytestmark = pytest.mark.django_db


def found(project: Project, goal: str, *scopes: str) -> list[str]:
    rows = recall(project_id=project.pk, goal=goal, scopes=scopes or ["team"], limit=5)
    return [row.text for row in rows]


@pytest.mark.usefixtures("embedding")
def test_a_record_is_found_by_meaning_once_it_was_delivered(
    project: Project, curator: Actor
) -> None:
    make_verified(project, "The automobile stays in its lane", curator)
    assert found(project, "vehicle") == []
    deliver()
    assert found(project, "vehicle") == ["The automobile stays in its lane"]
    told = assemble_context(project_id=project.pk, actor=SYSTEM, goal="vehicle")
    assert len(told.result["entered"]) == 1


@pytest.mark.usefixtures("embedding")
def test_words_and_meaning_together_put_first_what_both_name(
    project: Project, curator: Actor
) -> None:
    make_verified(project, "Dosage ceiling of the ward", curator)
    make_verified(project, "The dose of coffee is high", curator)
    make_verified(project, "The dose limit of the ward", curator)
    deliver()
    assert found(project, "dose cap")[0] == "The dose limit of the ward"
    assert set(found(project, "dose cap")) >= {
        "The dose limit of the ward",
        "Dosage ceiling of the ward",
    }


@pytest.mark.usefixtures("embedding")
@pytest.mark.parametrize("told", [Answer.BURY, Answer.REJECT])
def test_what_left_recall_is_found_by_nothing_before_and_after_its_delivery(
    project: Project, curator: Actor, told: Answer
) -> None:
    record = make_verified(project, "The automobile stays in its lane", curator)
    deliver()
    assert found(project, "vehicle") != []
    answer(record, curator, told, "x")
    assert found(project, "vehicle") == []
    deliver()
    assert bytes(RecordVector.objects.get().data) == b""
    assert find_alike(project_id=project.pk, goal="vehicle", scopes=["team"], limit=5) == []


@pytest.mark.usefixtures("embedding")
def test_what_nobody_vouches_for_has_no_vector(project: Project) -> None:
    make_fact(project, "The automobile stays in its lane")
    deliver()
    assert not RecordVector.objects.exists()
    assert not Promise.objects.exists()


@pytest.mark.usefixtures("embedding")
def test_a_flood_in_another_scope_or_project_displaces_nothing(
    project: Project, curator: Actor
) -> None:
    make_verified(project, "The automobile stays in its lane", curator)
    for number in range(12):
        make_verified(project, f"vehicle car {number}", curator, scope="repo:other")
    elsewhere = make_project()
    make_verified(elsewhere, "vehicle", make_person(elsewhere, Role.CURATOR))
    deliver()
    assert found(project, "vehicle") == ["The automobile stays in its lane"]
    assert len(found(project, "vehicle", "team", "repo:other")) == 5


@pytest.mark.usefixtures("embedding")
def test_a_new_scope_moves_the_vector_with_its_record(project: Project, curator: Actor) -> None:
    record = make_verified(project, "The automobile stays", curator, scope="repo:mine")
    deliver()
    answer(record, curator, Answer.PROMOTE, scope="global")
    deliver()
    assert found(project, "vehicle", "repo:mine") == []
    assert found(project, "vehicle", "global") == ["The automobile stays"]


@pytest.mark.usefixtures("embedding")
def test_a_question_reads_only_what_is_new(
    project: Project, curator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "READ_ROWS", 2)
    for number in range(3):
        make_verified(project, f"vehicle {number} of ward {number}", curator)
    deliver()

    def ask() -> int:
        return len(find_alike(project_id=project.pk, goal="car", scopes=["team"], limit=5))

    assert [ask() for _ in range(3)] == [2, 3, 3]
    with CaptureQueriesContext(connection) as queries:
        ask()
    assert len(queries) == 1


def test_an_openai_server_embeds_by_batches_and_any_order(
    project: Project, curator: Actor, settings: Settings, model_server: ModelServer
) -> None:
    forget_matrices()
    settings.VEREL_EMBEDDER = "openai"
    settings.VEREL_EMBEDDINGS_URL, settings.VEREL_EMBEDDINGS_MODEL = model_server.url, "small"
    settings.VEREL_EMBEDDINGS_KEY = "sk-test"
    make_verified(project, "The automobile stays in its lane", curator)
    deliver()
    assert found(project, "vehicle") == ["The automobile stays in its lane"]
    assert {(path, key) for path, _, key in model_server.asked} == {
        ("/v1/embeddings", "Bearer sk-test")
    }
    embedder = OpenAIEmbedder(OpenAIServer(base_url=model_server.url), "m", address="x")
    told = [f"text {number}" for number in range(70)]
    assert np.allclose(embedder.embed(told), HashedWords().embed(told), atol=1e-5)


def test_an_embedder_that_is_away_leaves_recall_by_words_and_the_promise_due(
    project: Project, curator: Actor, settings: Settings, model_server: ModelServer
) -> None:
    forget_matrices()
    settings.VEREL_EMBEDDER = "openai"
    settings.VEREL_EMBEDDINGS_URL, settings.VEREL_EMBEDDINGS_MODEL = model_server.url, "away"
    make_verified(project, "The automobile stays in its lane", curator)
    model_server.answer({}, 503)
    assert deliver() == 0
    assert Promise.objects.get().state == "due"
    assert found(project, "automobile") == ["The automobile stays in its lane"]
    asked = len(model_server.asked)
    assert found(project, "automobile") != []
    assert len(model_server.asked) == asked
    forget_matrices()


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        {},
        {"data": []},
        {"data": [{"index": 0, "embedding": []}]},
        {"data": [{"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": ["1"]}]},
        {"data": [{"index": 0, "embedding": [True]}]},
        {"data": [{"index": 0, "embedding": [1e999]}]},
        {"data": [{"index": 0, "embedding": [0.0, 0.0]}]},
        {"data": [{"index": 0, "embedding": [1.0] * 5_000}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": {}, "embedding": [1.0]}]},
    ],
)
def test_what_is_no_embedding_is_refused(model_server: ModelServer, body: Any) -> None:
    model_server.answer(body if isinstance(body, bytes) else json.dumps(body).encode())
    embedder = OpenAIEmbedder(OpenAIServer(base_url=model_server.url), "m", address="x")
    with pytest.raises(PortFailed):
        embedder.embed(["a text"])


@pytest.mark.usefixtures("embedding")
def test_filling_again_changes_nothing(project: Project, curator: Actor) -> None:
    make_verified(project, "The automobile stays", curator)
    rows = list(Record.objects.all())
    assert (fill_vectors(rows), fill_vectors(rows)) == (1, 0)


def unit(*values: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    row = np.array(values, dtype=np.float32)
    told: np.ndarray[Any, np.dtype[np.float32]] = row / np.linalg.norm(row)
    return told


def test_a_full_matrix_keeps_the_newest() -> None:
    matrix = Matrix(2, most=3)
    for position in range(5):
        matrix.put(position, "team", unit(1, position).tobytes())
    assert len(matrix) == 3
    assert {at for at, _ in matrix.nearest(unit(1, 0), ["team"], 9)} == {2, 3, 4}
    matrix.put(3, "team", b"")
    matrix.put(4, "team", unit(0, 1).tobytes())
    assert [at for at, _ in matrix.nearest(unit(0, 1), ["team"], 9)] == [4, 2]
    assert matrix.nearest(unit(0, 1), ["repo:x"], 9) == []
    matrix.put(5, "team", unit(1, 0).tobytes())
    assert matrix.nearest(unit(1, 0), ["team"], 1)[0][0] == 5
