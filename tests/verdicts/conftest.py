"""A project and a reviewer; a file whose people differ has fixtures of its own."""

import pytest
from django.contrib.auth.models import User

from tests.make import make_project, make_user
from verel_site.access.models import Project


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def ines(project: Project) -> User:
    return make_user(project, first_name="Ines", last_name="Kaur")
