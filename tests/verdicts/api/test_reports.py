from typing import Any

import pytest

from branches.models import Branch
from tests.api_client import Api, data, problem
from tests.branches.api.test_bad_input import count_rows
from tests.make import append, make_key, make_message, make_run, make_user
from tests.verdicts.make import make_issue, make_receipt, make_report, make_runner, require
from verel_site.access.rights import Role

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


@pytest.fixture
def trunk() -> Branch:
    trunk = make_run()[1]
    append(trunk, make_message("assistant", "Done."))
    return trunk


@pytest.fixture
def grader(trunk: Branch) -> Api:
    return Api(make_key(trunk.project, "reports:write"))


def test_a_report_is_filed_listed_and_moves_the_gate(trunk: Branch, grader: Api) -> None:
    path = f"branches/{trunk.pk}"
    empty = data(grader.get(f"{path}/gate"))
    assert (empty["verdict"], empty["open"], empty["required"]) == ("warn", False, [])
    filed = data(grader.post(f"{path}/reports", make_report(trunk, issues=[make_issue()])), 201)
    assert len(filed["issues"][0]["fingerprint"]) == 16
    assert filed["cost_usd"] is None
    assert data(grader.get(f"{path}/reports")) == {"results": [filed], "next": None}
    shut = data(grader.get(f"{path}/gate"))
    assert (shut["verdict"], shut["open"]) == ("fail", False)
    assert shut["attributions"] == {filed["issues"][0]["fingerprint"]: "test"}
    data(grader.post(f"{path}/reports", make_report(trunk, cost_usd=0.25)), 201)
    opened = data(grader.get(f"{path}/gate"))
    assert (opened["verdict"], opened["open"], opened["stale"]) == ("pass", True, False)
    append(trunk, make_message("assistant", "One more thing."))
    grown = data(grader.get(f"{path}/gate"))
    assert (grown["open"], grown["stale"]) == (False, True)


def test_the_gate_names_what_is_owed_and_takes_the_receipt(trunk: Branch, grader: Api) -> None:
    require(trunk.project, "test")
    path = f"branches/{trunk.pk}"
    owed = data(grader.get(f"{path}/gate"))
    assert [(row["grader"], row["standing"]) for row in owed["required"]] == [("test", "pending")]
    body = make_report(trunk)
    receipt = make_receipt(
        make_runner(trunk.project), trunk, body, nonce=owed["nonces"]["test"], suite_digest=""
    )
    filed = data(grader.post(f"{path}/reports", {**body, "receipt": receipt}), 201)
    assert filed["receipt"] == {"standing": "valid", "fault": "", "runner": "ci"}
    gate = data(grader.get(f"{path}/gate"))
    assert (gate["open"], gate["nonces"]) == (True, {})


def test_a_second_tool_of_a_grader_gets_a_nonce_of_its_own(trunk: Branch, grader: Api) -> None:
    """The gate owes none once one tool has proved itself; a runner of the second still needs it."""
    require(trunk.project, "typecheck")
    signer = make_runner(trunk.project)
    seen = set()
    for tool in ("mypy", "pyright"):
        owed = data(grader.get(f"branches/{trunk.pk}/nonces"))
        assert owed == data(grader.get(f"branches/{trunk.pk}/nonces?grader=typecheck"))
        body = make_report(trunk, "typecheck", tool=tool)
        receipt = make_receipt(
            signer, trunk, body, nonce=owed["nonces"]["typecheck"], suite_digest=""
        )
        filed = data(grader.post(f"branches/{trunk.pk}/reports", {**body, "receipt": receipt}), 201)
        assert filed["receipt"]["standing"] == "valid"
        seen.add(owed["nonces"]["typecheck"])
    assert len(seen) == 2
    assert data(grader.get(f"branches/{trunk.pk}/gate"))["open"]
    problem(grader.get(f"branches/{trunk.pk}/nonces?grader=oracle"), 400, "bad_input")


def test_a_repeat_under_one_key_files_one_report(trunk: Branch, grader: Api) -> None:
    body = make_report(trunk, trace={"run": 1})
    path = f"branches/{trunk.pk}/reports"
    first = grader.post(path, body, Idempotency_Key="k")
    again = grader.post(path, body, Idempotency_Key="k")
    assert again.content == first.content
    other = grader.post(path, make_report(trunk, trace={"run": 2}), Idempotency_Key="k")
    problem(other, 409, "idempotency_mismatch")
    assert len(data(grader.get(path))["results"]) == 1


def test_reports_are_listed_by_cursor(trunk: Branch, grader: Api) -> None:
    path = f"branches/{trunk.pk}/reports"
    for index in range(3):
        data(grader.post(path, make_report(trunk, elapsed_ms=index)), 201)
    page = data(grader.get(f"{path}?limit=2"))
    assert [row["order"] for row in page["results"]] == [1, 2]
    rest = data(grader.get(f"{path}?after={page['next']}"))
    assert ([row["order"] for row in rest["results"]], rest["next"]) == ([3], None)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"grader": "oracle"}, "/grader"),
        ({"head_digest": "11" * 32}, "/head_digest"),
        ({"head_digest": 7}, "/head_digest"),
        ({"isues": []}, "/isues"),
        ({"issues": {}}, "/issues"),
        ({"issues": [make_issue(kind="odd")]}, "/issues/0/kind"),
        ({"cost_usd": 10**400}, "/cost_usd"),
        ({"cost_usd": -1}, "/cost_usd"),
        ({"elapsed_ms": 2**80}, "/elapsed_ms"),
        ({"receipt": 7}, "/receipt"),
        ({"covered": ["a"]}, "/covered"),
        ({"covered": {"suites": []}}, "/covered/suites"),
        ({"covered": {"tests": "a"}}, "/covered/tests"),
        ({"covered": {"files": ["a", ""]}}, "/covered/files/1"),
    ],
)
def test_a_faulty_report_stores_nothing(
    change: dict[str, Any], pointer: str, trunk: Branch, grader: Api
) -> None:
    before = count_rows()
    answer = grader.post(f"branches/{trunk.pk}/reports", {**make_report(trunk), **change})
    problem(answer, 422, "bad_report", pointer)
    problem(grader.post(f"branches/{trunk.pk}/reports", []), 422, "bad_report", "")
    assert count_rows() == before


def test_a_key_is_no_person_and_a_person_no_grader(trunk: Branch, grader: Api) -> None:
    person = Api(user=make_user(trunk.project, Role.REVIEWER))
    path = f"branches/{trunk.pk}/reports"
    problem(grader.post(path, make_report(trunk, "human")), 403, "forbidden", "/grader")
    problem(person.post(path, make_report(trunk, "test")), 403, "forbidden")
    assert person.post(path, make_report(trunk, "human")).status_code == 201
