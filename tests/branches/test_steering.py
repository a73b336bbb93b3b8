from collections.abc import Callable

import pytest

from branches.domain import terms
from branches.domain.terms import Status
from branches.models import Branch, Directive, Event
from branches.steering import (
    MoveRefused,
    ReasonMissing,
    abandon_branch,
    complete_branch,
    pause_branch,
    resume_branch,
)
from tests.make import make_person, make_run
from verel_site.access.actors import SYSTEM, key_actor
from verel_site.access.rights import Role
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db

type Move = Callable[..., Branch]
MOVES: dict[str, Move] = {
    "paused": pause_branch,
    "running": resume_branch,
    "completed": complete_branch,
    "abandoned": abandon_branch,
}
ALLOWED = {
    ("running", "paused"),
    ("paused", "running"),
    ("running", "completed"),
    ("paused", "completed"),
    ("running", "abandoned"),
    ("paused", "abandoned"),
    ("completed", "abandoned"),
}


@pytest.mark.parametrize("was", [status.value for status in Status])
@pytest.mark.parametrize("to", sorted(MOVES))
def test_a_branch_moves_as_the_table_says_and_no_other_way(was: str, to: str) -> None:
    _, trunk = make_run()
    Branch.objects.filter(pk=trunk.pk).update(status=was)
    if (was, to) in ALLOWED:
        assert MOVES[to](branch_id=trunk.pk, actor=SYSTEM, reason="why").status == to
        assert Event.objects.filter(branch=trunk).count() == 2
    else:
        with pytest.raises(MoveRefused):
            MOVES[to](branch_id=trunk.pk, actor=SYSTEM, reason="why")
        assert Event.objects.filter(branch=trunk).count() == 1


def test_the_agent_is_told_and_the_person_is_named() -> None:
    _, trunk = make_run()
    person = make_person(trunk.project)
    pause_branch(branch_id=trunk.pk, actor=person, reason="look first")
    directive = Directive.objects.get(branch=trunk)
    assert (directive.kind, directive.body["by"]["name"]) == ("pause", person.name)
    assert Event.objects.filter(branch=trunk, type=terms.PAUSED).count() == 1


def test_abandoning_needs_a_reason() -> None:
    _, trunk = make_run()
    with pytest.raises(ReasonMissing):
        abandon_branch(branch_id=trunk.pk, actor=SYSTEM, reason=" ")


def test_an_agent_may_complete_but_not_abandon_and_a_viewer_neither() -> None:
    _, trunk = make_run()
    agent = key_actor(key_id="k", name="k", project_id=trunk.project_id, scopes=["events:write"])
    for actor in (agent, make_person(trunk.project, Role.VIEWER)):
        with pytest.raises(Forbidden):
            abandon_branch(branch_id=trunk.pk, actor=actor, reason="x")
    assert complete_branch(branch_id=trunk.pk, actor=agent).status == "completed"
