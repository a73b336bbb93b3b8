"""What nearly every test of memory stands on: a project, its people, its agents, what is rented."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from memory.ports.embedders import register_embedder
from memory.ports.stores import register_store
from memory.vectors import forget_matrices
from tests.make import make_project, make_user
from tests.memory.file_store import FileStore
from tests.memory.model_server import HashedWords, ModelServer, serve_models
from verel_site.access.actors import Actor, key_actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role


@pytest.fixture
def project(db: None) -> Project:
    return make_project()


@pytest.fixture
def user(project: Project) -> User:
    return make_user(project, Role.CURATOR)


@pytest.fixture
def curator(user: User) -> Actor:
    return actor_of_user(user)


@pytest.fixture
def client(user: User) -> Client:
    """The curator's browser."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def agent(project: Project) -> Actor:
    return key_actor(
        key_id="a", name="dose-fixer", project_id=project.pk, scopes=["memory:propose"]
    )


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    with serve_models() as server:
        yield server


@pytest.fixture
def embedding(settings: Settings) -> Iterator[None]:
    forget_matrices()
    register_embedder("hashed", HashedWords)
    settings.VEREL_EMBEDDER = "hashed"
    yield
    forget_matrices()


@pytest.fixture
def store(tmp_path: Path, settings: Settings) -> FileStore:
    made = FileStore(tmp_path / "rented")
    register_store("rented", lambda: made)
    settings.VEREL_MEMORY_STORE = "rented"
    return made
