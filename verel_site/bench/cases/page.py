"""The page of a large run, graded on every branch, against the page of a run with one event; both through all of Django.

The limit of what a browser fetches once (scripts, styles, fonts) and of what it is sent are those
of `spec`: 300 KB and 60 KB compressed, 600 rows, 12 queries.
"""

import gzip
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from branches.forks import fork_branch
from branches.models import Branch
from verdicts.reports import file_report
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.projects import set_member
from verel_site.access.rights import Role
from verel_site.bench.figures import AtMost, Case, Measure, median_seconds
from verel_site.bench.load import fill_branch, make_ground, make_trunk
from verel_site.serving import collect_static

BRANCHES: Final = 50
TIMES: Final = 9
PAGE_QUERIES: Final = 12
DOM_ROWS: Final = 600
PAGE_BYTES: Final = 60 * 1024
ASSET_BYTES: Final = 300 * 1024
# The page is one transaction.
NO_QUESTIONS: Final = ("BEGIN", "SET TRANSACTION", "COMMIT")
ASSETS: Final = (".js", ".css", ".woff2")


def measure_page(size: int) -> Iterator[Measure]:
    collect_static()
    project = make_ground("page").project
    client = _sign_in(project)
    empty, full = make_trunk(project), _make_run(project, size)
    limit = median_seconds(lambda: _get(client, empty), TIMES) * 1e3
    told = median_seconds(lambda: _get(client, full), TIMES) * 1e3
    yield Measure("page.first_rows", told, "ms", limit, AtMost(4), AtMost(1.3))
    with CaptureQueriesContext(connection) as queries:
        text = _get(client, full)
    asked = sum(not query["sql"].startswith(NO_QUESTIONS) for query in queries)
    yield Measure("page.queries", asked, "queries", PAGE_QUERIES, AtMost(1), AtMost(1))
    yield Measure("page.rows", text.count(b'role="treeitem"'), "rows", DOM_ROWS, AtMost(1))
    yield Measure("page.bytes", len(gzip.compress(text)), "bytes", PAGE_BYTES, AtMost(1))
    yield Measure("page.assets", _asset_bytes(), "bytes", ASSET_BYTES, AtMost(1))


def _sign_in(project: Project) -> Client:
    user = User.objects.create_user(f"bench-{project.slug}")
    set_member(project=project, user=user, role=Role.REVIEWER)
    host = settings.ALLOWED_HOSTS[0]
    client = Client(headers={"host": host})
    client.force_login(user)
    return client


def _make_run(project: Project, size: int) -> Branch:
    """A trunk with half of the events, and forks from all over it that share the rest."""
    trunk = make_trunk(project)
    forks = min(BRANCHES - 1, size // 4)
    share = size // 2 // forks
    fill_branch(trunk, size - share * forks)
    pick = random.Random(size)  # noqa: S311 -- repeatable, not secret
    for number in range(forks):
        fork = fork_branch(
            parent_id=trunk.pk,
            fork_seq=pick.randrange(1, size // 2),
            actor=SYSTEM,
            override=f"Try {number}",
        )
        fill_branch(fork.branch, share, seed=number + 2)
        _grade(fork.branch)
    _grade(trunk)
    return trunk


def _grade(branch: Branch) -> None:
    """Two graders' word on the branch's head: one with issues, one without."""
    branch.refresh_from_db()
    issues = [
        {
            "kind": "test_failure",
            "severity": "error",
            "message": f"assert {n} == 4",
            "locator": "t.py",
        }
        for n in range(3)
    ]
    for grader, found in (("test", issues), ("lint", [])):
        head = bytes(branch.head_digest).hex()
        report = {"grader": grader, "summary": "", "head_digest": head, "issues": found}
        file_report(branch_id=branch.pk, actor=SYSTEM, report=report)


def _get(client: Client, trunk: Branch) -> bytes:
    answer = client.get(f"/runs/{trunk.run_id}/", secure=settings.VEREL_SECURE)
    assert answer.status_code == 200, answer.status_code
    return answer.content


def _asset_bytes() -> int:
    """All scripts, styles and fonts of the product, each compressed by itself; vendored ones too."""
    files = [
        path
        for folder in settings.STATICFILES_DIRS
        for path in Path(folder).rglob("*")
        if path.suffix in ASSETS
    ]
    return sum(len(gzip.compress(path.read_bytes())) for path in files)


CASES: Final = (Case("page", measure_page, sizes=(30_000, 300_000), tiny=(40, 80), most=2_000_000),)
