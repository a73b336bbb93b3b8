"""Two finished forks, opened as a pair by a reviewer who is signed in."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from branches.forks import fork_branch
from branches.models import Branch
from branches.steering import complete_branch
from tests.make import (
    append,
    make_message,
    make_run,
    make_user,
)
from tests.verdicts.compare_page.pages import OVERRIDE, open_pair, side_of, submit
from tests.verdicts.make import push
from verdicts.models import Comparison
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Role


@pytest.fixture
def ada(project: Project) -> User:
    return make_user(project, Role.ADMIN, first_name="Ada", last_name="Brandt")


@pytest.fixture
def trunk(project: Project) -> Branch:
    _, trunk = make_run(project, "Cap the bolus")
    append(trunk, make_message("user", "Cap the dose."), make_message("assistant", "Looking."))
    return trunk


@pytest.fixture
def pair(trunk: Branch, ada: User) -> tuple[Branch, Branch]:
    """Two finished forks of the trunk's third event: `good one` is graded and passes."""
    good, bad = (
        fork_branch(
            parent_id=trunk.pk, fork_seq=3, actor=actor_of_user(ada), override=text, name=name
        ).branch
        for name, text in (("good one", OVERRIDE), ("bad one", "Do as you like."))
    )
    append(good, make_message("assistant", "It is 10 mL now."))
    append(bad, make_message("assistant", "It is 99 mL now."))
    for branch in (good, bad):
        complete_branch(branch_id=branch.pk, actor=SYSTEM)
        branch.refresh_from_db()
    push(good)
    return good, bad


@pytest.fixture
def comparison(client: Client, ines: User, pair: tuple[Branch, Branch]) -> Comparison:
    """Opened by Ines, who is signed in at `client`."""
    client.force_login(ines)
    assert open_pair(client, *pair).status_code == 302
    return Comparison.objects.get()


@pytest.fixture
def prefer(client: Client, comparison: Comparison, ines: User) -> Callable[[Branch], HttpResponse]:
    """Ines judges the given branch better."""
    return lambda branch: submit(
        client, comparison, ines, choice=side_of(comparison, ines, branch), rationale="It is right."
    )
