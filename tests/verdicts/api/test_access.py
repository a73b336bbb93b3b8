"""Every operation of the API, against everyone who may call it."""

import re
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from branches.api import urls as branches_urls
from branches.datasets import make_dataset
from branches.domain import terms
from branches.merges import merge_branches
from branches.models import Approval, Branch, Merge
from tests.api_client import ROOT, Api, operations
from tests.make import (
    append,
    make_draft,
    make_fork,
    make_key,
    make_message,
    make_project,
    make_run,
    make_user,
)
from tests.verdicts.make import push
from verdicts.admission import admit_merge
from verdicts.api import urls as verdicts_urls
from verdicts.imports import import_reports
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role, Scope

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]

NOBODY, STRANGER = "anonymous", "key of another project"
ROLES = [role.value for role in Role]
KEYS = [f"key {scope.value}" for scope in Scope]
EVERYONE = frozenset([*ROLES, *KEYS])
JUDGES = frozenset(["reviewer", "curator", "admin", "key admin"])
WRITERS, RUNNERS = frozenset(["key events:write"]), frozenset(["key branches:run"])
# Who gets past the permission of an operation; all others of the project get a 403, a stranger a
# 404, and nobody a 401. An operation without a row fails the test.
ALLOWED = {
    "POST projects/{project}/runs": WRITERS,
    "GET projects/{project}/runs": EVERYONE,
    "GET runs/{run}": EVERYONE,
    "GET runs/{run}/tree": EVERYONE,
    "GET events": EVERYONE,
    "GET branches/{branch}": EVERYONE,
    "POST branches/{branch}/events": WRITERS,
    "POST branches/{branch}/forks": JUDGES | RUNNERS,
    "GET branches/{branch}/context": EVERYONE,
    "POST branches/{branch}/pause": JUDGES,
    "POST branches/{branch}/resume": JUDGES,
    "POST branches/{branch}/complete": JUDGES | WRITERS | RUNNERS,
    "POST branches/{branch}/abandon": JUDGES,
    "POST branches/{branch}/lease": RUNNERS,
    "DELETE branches/{branch}/lease": RUNNERS,
    "POST claims": RUNNERS,
    "GET directives": EVERYONE,
    "GET approvals": EVERYONE,
    "POST approvals/{approval}/answer": JUDGES,
    "POST branches/{branch}/reports": frozenset(["key reports:write"]),
    "GET branches/{branch}/reports": EVERYONE,
    "POST branches/{branch}/reports/import": frozenset(["key reports:write"]),
    "GET reports/{report}/raw": EVERYONE,
    "GET branches/{branch}/gate": EVERYONE,
    "POST merges": JUDGES,
    "GET merges/{merge}": EVERYONE,
    "POST merges/{merge}/revert": JUDGES,
    "GET triplets": JUDGES | {"key exports:read"},
    "POST datasets": JUDGES | {"key exports:read"},
    "GET datasets/{dataset}": JUDGES | {"key exports:read"},
    "GET datasets/{dataset}/file": JUDGES | {"key exports:read"},
}
# Lists over all of a reader's projects: a stranger is shown an empty one.
EMPTY_TO_STRANGERS = {"GET events", "GET approvals"}
DIGEST = "00" * 32
CLEAN = b'<testsuite><testcase name="caps"/></testsuite>'


class World:
    """One project with a row of each kind, and the addresses and bodies that ask for them."""

    def __init__(self) -> None:
        self.project: Project = make_project()
        trunk = make_run(self.project)[1]
        append(trunk, make_message("user", "Go"))
        winner = make_fork(trunk, 2).branch
        append(trunk, make_message("assistant", "A"))
        append(winner, make_message("assistant", "B"))
        push(winner)
        merge = merge_branches(
            winner_id=winner.pk,
            loser_ids=[trunk.pk],
            actor=SYSTEM,
            admission=admit_merge(winner=winner, actor=SYSTEM),
        )
        Merge.objects.update(undo_until=timezone.now() - timedelta(seconds=1))
        dataset = make_dataset(project_id=self.project.pk, actor=SYSTEM)
        asking: Branch = make_run(self.project)[1]
        request = {"approval_id": "0" * 31 + "1", "action": "deploy"}
        append(asking, make_draft(terms.APPROVAL_REQUESTED, request))
        self.ids = {
            "project": self.project.slug,
            "run": trunk.run_id,
            "branch": make_run(self.project)[1].pk,
            "approval": Approval.objects.get().pk,
            "merge": merge.pk,
            "dataset": dataset.pk,
            "report": import_reports(branch_id=trunk.pk, actor=SYSTEM, raw=CLEAN)[0].pk,
        }

    def ask(self, operation: str, api: Api) -> int:
        method, _, path = operation.partition(" ")
        status: int = api.call(method, path.format(**self.ids) + self.query(operation),
                               self.body(operation)).status_code  # fmt: skip
        return status

    def query(self, operation: str) -> str:
        named = {"GET directives", "GET triplets"}
        return f"?project={self.project.slug}" if operation in named else ""

    def body(self, operation: str) -> dict[str, object] | None:
        branch = str(self.ids["branch"])
        event = {"event_id": branch, "type": "data.x", "source": "a", "ts": "2026-01-01T00:00:00Z"}
        bodies: dict[str, dict[str, object]] = {
            "POST projects/{project}/runs": {"goal": "x"},
            "POST branches/{branch}/events": {"events": [{**event, "payload": {}}]},
            "POST branches/{branch}/forks": {"fork_seq": 1, "override": "x"},
            "POST branches/{branch}/abandon": {"reason": "x"},
            "POST branches/{branch}/lease": {"epoch": 0, "seconds": 9},
            "DELETE branches/{branch}/lease": {"epoch": 0},
            "POST claims": {"project": self.project.slug, "worker": "w", "seconds": 9},
            "POST approvals/{approval}/answer": {"answer": "accept", "request_digest": DIGEST},
            "POST branches/{branch}/reports": {
                "grader": "test", "issues": [], "head_digest": DIGEST,
            },
            "POST merges": {"winner": branch, "losers": [branch], "expected_heads": {}},
            "POST merges/{merge}/revert": {"reason": "x"},
            "POST datasets": {"project": self.project.slug},
        }  # fmt: skip
        return None if operation.startswith("GET") else bodies.get(operation, {})


def clients(world: World) -> dict[str, Api]:
    person = partial(make_user, world.project)
    return {
        NOBODY: Api(),
        STRANGER: Api(make_key(make_project(), "admin", "exports:read")),
        **{role.value: Api(user=person(role)) for role in Role},
        **{f"key {scope.value}": Api(make_key(world.project, scope.value)) for scope in Scope},
    }


def expected(operation: str, who: str) -> str:
    if who == NOBODY:
        return "401"
    if who == STRANGER:
        return "let in" if operation in EMPTY_TO_STRANGERS else "404"
    return "let in" if who in ALLOWED[operation] else "403"


def test_each_operation_lets_in_exactly_who_stands_in_the_table() -> None:
    listed = {
        f"{method} {path.removeprefix(ROOT)}"
        for method, path in operations()
        if path.startswith(ROOT)
    }
    assert listed == set(ALLOWED)
    world = World()
    callers = clients(world)
    wrong = {}
    for operation in sorted(listed, key=lambda name: (name.startswith("POST"), name)):
        for who, api in callers.items():
            status = world.ask(operation, api)
            # Past the permission an operation may still refuse, by what an earlier caller did.
            told = str(status) if status in {401, 403, 404} or status >= 500 else "let in"
            if told != expected(operation, who):
                wrong[operation, who] = status
    assert wrong == {}


def test_every_address_of_the_api_is_documented() -> None:
    hung = {
        re.sub(r"<\w+:(\w+)>", r"{\1}", str(pattern.pattern))
        for pattern in [*branches_urls.urlpatterns, *verdicts_urls.urlpatterns]
    }
    assert hung == {name.partition(" ")[2] for name in ALLOWED}
