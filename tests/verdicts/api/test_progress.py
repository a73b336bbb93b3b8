"""A loop asks after each iteration what to do, and is told from stored reports alone."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from branches.models import Branch
from tests.api_client import Api, data, problem
from tests.make import append, make_draft, make_key, make_message, make_project, make_run
from tests.verdicts.make import make_issue, make_report
from verdicts.policies import change_policy
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
    assert counts == [4, 4]


def write_as(trunk: Branch, model: str) -> None:
    append(trunk, make_draft("data.message.assistant", {"content": "Again.", "model": model}))


def test_a_loop_that_took_the_next_model_is_judged_by_its_own_iterations(
    api: Api, trunk: Branch
) -> None:
    path = f"branches/{trunk.pk}/progress"
    for model, steps in (
        ("claude-haiku-5", ["continue"] * 3 + ["upgrade"]),
        ("claude-opus-5", ["continue"]),
    ):
        for step in steps:
            write_as(trunk, model)
            found = [make_issue(kind="overflow", source="dom", message="x overflows")]
            data(api.post(f"branches/{trunk.pk}/reports", make_report(trunk, "dom", found)), 201)
            told = data(api.get(path))
            assert told["step"] == step
    assert (told["rung"], told["ladder"][told["rung"]]) == (2, "opus")


def test_the_project_s_policy_says_how_long_a_loop_may_go_nowhere(api: Api, trunk: Branch) -> None:
    path = f"branches/{trunk.pk}/progress"
    for _ in range(2):
        iterate(api, trunk, 2, runs=2)
    before = data(api.get(path))
    assert (before["step"], before["policy_version"]) == ("continue", 0)
    limits = {"window": 2, "reruns": 2, "ladder": ["small", "big"]}
    change_policy(project_id=trunk.project_id, actor=SYSTEM, required=[], limits=limits)
    told = data(api.get(path))
    assert (told["step"], told["target"], told["policy_version"]) == ("upgrade", "big", 1)
    assert told["limits"] == {**before["limits"], **limits}
    change_policy(project_id=trunk.project_id, actor=SYSTEM, required=["test"])
    assert data(api.get(path))["limits"] == told["limits"], "who changes graders leaves loops alone"


def test_what_comes_and_goes_on_one_head_is_shown_with_its_evidence(
    api: Api, trunk: Branch
) -> None:
    append(trunk, make_message("assistant", "Try."))
    for run, failing in enumerate((True, False, True)):
        body = make_report(trunk, issues=[make_issue()] if failing else [], elapsed_ms=run)
        data(api.post(f"branches/{trunk.pk}/reports", body), 201)
    told = data(api.get(f"branches/{trunk.pk}/progress"))
    assert (told["step"], told["curve"]) == ("stop", [0])
    [proof] = told["flaky"]
    assert (proof["grader"], proof["found"], proof["runs"]) == ("test", 2, 3)
    assert proof["head"] == bytes(Branch.objects.get().head_digest).hex()
    assert told["quarantined"] == [proof["fingerprint"]]


def test_another_projects_branch_is_not_there(trunk: Branch) -> None:
    stranger = Api(make_key(make_project(), "reports:write"))
    problem(stranger.get(f"branches/{trunk.pk}/progress"), 404, "not_found")
