from collections.abc import Iterator

import pytest

from tests.inbox.make import plain_kind
from tests.make import make_person, make_project
from verel_site.access.actors import Actor
from verel_site.access.models import Project


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    with plain_kind():
        yield


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def ada(project: Project) -> Actor:
    return make_person(project)


@pytest.fixture
def tom(project: Project) -> Actor:
    return make_person(project)
