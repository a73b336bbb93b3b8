"""A project and a reviewer who is signed in."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.make import make_project, make_user
from verel_site.access.models import Project


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def ada(project: Project) -> User:
    return make_user(project, name="ada")


@pytest.fixture
def desk(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client
