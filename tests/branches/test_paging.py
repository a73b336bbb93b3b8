"""Lists while rows are being added: whoever follows one by its cursor gets each row once."""

import threading
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from branches.directives import read_directives
from branches.domain import terms
from branches.domain.admission import Admission
from branches.journal import append_events
from branches.merges import merge_branches
from branches.models import Approval, Branch, Directive, Event, Run, Triplet
from branches.runs import start_run
from branches.selectors.events import read_events
from branches.selectors.listings import age_cursor, list_approvals, list_runs, list_triplets
from tests.branches.test_concurrency import at_once
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_message,
    make_project,
    make_run,
    make_user,
)
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import actor_of_user, set_member
from verel_site.access.rights import Role

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS, PAGE = 8, 3

type Read = Callable[[Any], Sequence[tuple[Any, Any]]]


def follow(read: Read, first: Any, over: threading.Event) -> list[Any]:
    """Everything that a reader gets who asks on after the last row it got, until the writers are
    over. `read(cursor)` gives `(cursor, key)` of each row of one page."""
    got: list[Any] = []
    cursor = first
    while True:
        last = over.is_set()
        page = read(cursor)
        got += [key for _, key in page]
        cursor = page[-1][0] if page else cursor
        if last and not page:
            return got


def write_and_follow(writers: Sequence[Callable[[], object]], read: Read, first: Any) -> list[Any]:
    """What two readers got, the same, while all writers were at work."""
    over, left = threading.Event(), threading.Semaphore(0)

    def work(act: Callable[[], object]) -> None:
        try:
            for _ in range(ROUNDS):
                act()
        finally:
            left.release()

    def wait() -> None:
        for _ in writers:
            left.acquire(timeout=100)
        over.set()

    acts: list[Callable[[], Any]] = [lambda act=act: work(act) for act in writers]  # type: ignore[misc]
    given = at_once(*acts, wait, *(lambda: follow(read, first, over) for _ in range(2)))
    assert [item for item in given if isinstance(item, Exception)] == []
    assert given[-1] == given[-2]
    got: Any = given[-1]
    return list(got)


def member(*projects: Project) -> Actor:
    user = make_user()
    for project in projects:
        set_member(project=project, user=user, role=Role.REVIEWER)
    return actor_of_user(user)


def push(branch: Branch, *types: str) -> None:
    payload = {"content": "on", "approval_id": str(uuid4()), "action": "push"}
    drafts = [make_draft(kind, {**payload, "approval_id": str(uuid4())}) for kind in types]
    append_events(branch_id=branch.pk, actor=SYSTEM, drafts=drafts)


@pytest.mark.parametrize("several", [False, True])
def test_events_of_one_or_of_several_projects(several: bool) -> None:
    trunks = [make_run()[1] for _ in range(3)] if several else []
    project = make_project()
    trunks += [make_run(project)[1] for _ in range(2)]
    actor = member(*{trunk.project for trunk in trunks})

    def read(after: int) -> list[tuple[int, int]]:
        rows = read_events(actor=actor, query={}, after=after, limit=PAGE)
        return [(row.position, row.position) for row in rows]

    writers = [lambda trunk=trunk: push(trunk, terms.USER, terms.USER) for trunk in trunks]
    got = write_and_follow(writers, read, 0)
    stored = Event.objects.filter(project__in=actor.projects).order_by("position")
    assert got == list(stored.values_list("position", flat=True))
    assert len(got) == len(trunks) * (2 * ROUNDS + 1)


@pytest.mark.parametrize("several", [False, True])
def test_approvals_of_one_or_of_several_projects(several: bool) -> None:
    project = make_project()
    trunks = [make_run(make_project() if several else project)[1] for _ in range(3)]
    actor = member(*{trunk.project for trunk in trunks})
    named = None if several else project.pk

    def read(after: str) -> list[tuple[str, Any]]:
        page = list_approvals(actor=actor, project_id=named, state="all", after=after, limit=PAGE)
        return [(age_cursor(row), row.pk) for row in page.rows]

    writers = [lambda trunk=trunk: push(trunk, terms.APPROVAL_REQUESTED) for trunk in trunks]
    got = write_and_follow(writers, read, "")
    stored = Approval.objects.order_by("created_at", "pk")
    assert got == list(stored.values_list("pk", flat=True))
    assert len(got) == len(trunks) * ROUNDS


def test_directives_and_runs() -> None:
    project = make_project()
    trunk = make_run(project)[1]
    actor = member(project)

    def directives(after: int) -> list[tuple[int, int]]:
        rows = read_directives(project_id=project.pk, after=after, limit=PAGE)
        return [(row.pk, row.pk) for row in rows]

    got = write_and_follow([lambda: make_fork(trunk, 1)] * 3, directives, 0)
    assert got == list(Directive.objects.order_by("id").values_list("id", flat=True))
    assert len(got) == 3 * ROUNDS

    def runs(after: int) -> list[tuple[int, int]]:
        page = list_runs(actor=actor, project=project, status="", text="", after=after, limit=PAGE)
        return [(row.number, row.number) for row in page.rows]

    got = write_and_follow(
        [lambda: start_run(project_id=project.pk, actor=SYSTEM, goal="go")] * 3, runs, 0
    )
    assert got == list(range(1, Run.objects.filter(project=project).count() + 1))


def test_triplets() -> None:
    project = make_project()
    actor = member(project)

    def merge() -> None:
        trunk = make_run(project)[1]
        append(trunk, make_message("user", "How much?"))
        fork = make_fork(trunk, 2).branch
        append(fork, make_message("assistant", "50 mg"))
        append(trunk, make_message("assistant", "500 mg"))
        head = bytes(fork.head_digest)
        admission = Admission(fork.pk, head, "pass", open=True, policy_version=1)
        merge_branches(winner_id=fork.pk, loser_ids=[trunk.pk], actor=SYSTEM, admission=admission)

    def read(after: int) -> list[tuple[int, int]]:
        page = list_triplets(actor=actor, project=project, after=after, limit=PAGE)
        return [(row.number, row.number) for row in page.rows]

    assert write_and_follow([merge] * 2, read, 0) == list(range(1, Triplet.objects.count() + 1))
