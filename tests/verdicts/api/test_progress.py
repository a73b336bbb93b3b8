"""A loop asks after each iteration what to do, and is told from stored reports alone."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from branches.models import Branch
from tests.api_client import Api, data, problem
from tests.make import append, make_key, make_message, make_project, make_run
from tests.verdicts.make import make_issue, make_report
from verdicts.progress import read_progress
from verel_site.access.actors import SYSTEM

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


@pytest.fixture
def trunk() -> Branch:
    return make_run()[1]


@pytest.fixture
def api(trunk: Branch) -> Api:
    return Api(make_key(trunk.project, "reports:write"))


def iterate(api: Api, trunk: Branch, failing: int, runs: int = 1) -> None:
    append(trunk, make_message("assistant", "Try again."))
    issues = [make_issue(message=f"{'xyz'[n]} overflows") for n in range(failing)]
    for run in range(runs):
        # A body that was filed before is answered with its report: a rerun tells its own time.
        report = make_report(trunk, issues=issues, elapsed_ms=run)
        data(api.post(f"branches/{trunk.pk}/reports", report), 201)


def test_a_loop_is_told_to_go_on_to_probe_to_upgrade_and_to_stop(api: Api, trunk: Branch) -> None:
    path = f"branches/{trunk.pk}/progress"
    assert data(api.get(path))["step"] == "continue"
    iterate(api, trunk, 3)
    iterate(api, trunk, 2)
    told = data(api.get(path))
    assert (told["step"], told["curve"], told["progressed"]) == ("continue", [3, 2], True)
    for _ in range(3):
        iterate(api, trunk, 2)
    told = data(api.get(path))
    assert (told["step"], told["stuck"]) == ("probe", True)
    iterate(api, trunk, 2, runs=3)
    told = data(api.get(path))
    assert (told["step"], told["target"]) == ("upgrade", "sonnet")
    iterate(api, trunk, 0)
    assert data(api.get(path))["step"] == "stop"


def test_it_costs_the_same_queries_however_many_reports_there_are(api: Api, trunk: Branch) -> None:
    counts = []
    for _ in range(2):
        iterate(api, trunk, 2, runs=3)
        branch = Branch.objects.select_related("run").get(pk=trunk.pk)
        with CaptureQueriesContext(connection) as queries:
            read_progress(actor=SYSTEM, branch=branch)
        counts.append(len(queries))
    assert counts == [2, 2]


def test_another_projects_branch_is_not_there(trunk: Branch) -> None:
    stranger = Api(make_key(make_project(), "reports:write"))
    problem(stranger.get(f"branches/{trunk.pk}/progress"), 404, "not_found")
