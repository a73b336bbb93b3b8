from typing import Any

import pytest

from tests.make import append, make_fork, make_message, make_person, make_project, make_run
from tests.verdicts.make import make_issue, make_report, push
from verdicts.domain.fingerprint import fingerprint
from verdicts.models import Report
from verdicts.reports import file_report
from verel_site.access.actors import SYSTEM, Actor, key_actor
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.kit.refusals import Forbidden, NotFound, Refusal

pytestmark = pytest.mark.django_db


def key_of(project: Project, *scopes: str, key_id: str = "k1") -> Actor:
    return key_actor(key_id=key_id, name="ci", project_id=project.pk, scopes=list(scopes))


def test_a_report_is_stored_with_fingerprints_of_the_servers_own() -> None:
    _, branch = make_run()
    detail = {"test_id": "test_clamp.py::test_fails"}
    issue = make_issue(detail=detail, fingerprint="f" * 16, confidence="low")
    report = push(
        branch, issues=[issue, make_issue("info", source="dom")], model="m", cost_usd=0.25
    )
    first, second = report.issues.order_by("position")
    assert first.fingerprint == fingerprint(
        source="test",
        kind="test_failure",
        message="assert 3 == 4",
        locator="test_clamp.py",
        detail=detail,
    )
    assert (first.source, first.confidence, second.source) == ("test", "low", "dom")
    assert (second.confidence, second.locator_precise) == ("high", False)
    assert (report.verdict, report.head_seq, report.order) == ("fail", branch.head_seq, 1)
    report.refresh_from_db()
    assert str(report.cost_usd) == "0.250000"


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [([], "pass"), (["info"], "pass"), (["info", "warning"], "warn"), (["critical"], "fail")],
)
def test_a_report_without_a_verdict_claims_its_worst_issues(
    severities: list[str], verdict: str
) -> None:
    _, branch = make_run()
    assert push(branch, issues=[make_issue(s) for s in severities]).verdict == verdict


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"grader": "oracle"}, "/grader"),
        ({"grader": None}, "/grader"),
        ({"grader": ["test"]}, "/grader"),
        ({"verdict": "green"}, "/verdict"),
        ({"issues": {}}, "/issues"),
        ({"issues": None}, "/issues"),
        ({"issues": [7]}, "/issues/0"),
        ({"issues": [make_issue(), {"kind": "lint", "severity": "error"}]}, "/issues/1/message"),
        ({"issues": [make_issue("awful")]}, "/issues/0/severity"),
        ({"issues": [make_issue(kind="crash")]}, "/issues/0/kind"),
        ({"issues": [make_issue(confidence=1)]}, "/issues/0/confidence"),
        ({"issues": [make_issue(source="me")]}, "/issues/0/source"),
        ({"issues": [make_issue(message=7)]}, "/issues/0/message"),
        ({"issues": [make_issue(message="x" * 20_001)]}, "/issues/0/message"),
        ({"issues": [make_issue(locator=[1, 2])]}, "/issues/0/locator"),
        ({"issues": [make_issue(locator_precise=1)]}, "/issues/0/locator_precise"),
        ({"issues": [make_issue(detail="x")]}, "/issues/0/detail"),
        ({"issues": [make_issue() | {"a/b": 1}]}, "/issues/0/a~1b"),
        ({"issues": [{}] * 5_001}, "/issues"),
        ({"isues": []}, "/isues"),
        ({"head_digest": "ab"}, "/head_digest"),
        ({"head_digest": "AB" * 32}, "/head_digest"),
        ({"head_digest": "ab" * 32}, "/head_digest"),
        ({"head_digest": None}, "/head_digest"),
        ({"errored": "no"}, "/errored"),
        ({"errored": None}, "/errored"),
        ({"summary": 7}, "/summary"),
        ({"model": "m" * 121}, "/model"),
        ({"cost_usd": -1}, "/cost_usd"),
        ({"cost_usd": True}, "/cost_usd"),
        ({"cost_usd": "unknown"}, "/cost_usd"),
        ({"elapsed_ms": -1}, "/elapsed_ms"),
        ({"elapsed_ms": "1"}, "/elapsed_ms"),
        ({"capabilities": "all"}, "/capabilities"),
        ({"capabilities": ["a", 1]}, "/capabilities/1"),
        ({"artifacts": {"log/1": 1}}, "/artifacts/log~11"),
        ({"artifacts": []}, "/artifacts"),
        ({"trace": []}, "/trace"),
        ({"receipt": 7}, "/receipt"),
        ({"receipt": ""}, "/receipt"),
        ({"schema_version": "3.0"}, "/schema_version"),
    ],
)
def test_a_bad_report_is_refused_with_a_pointer(wrong: dict[str, Any], pointer: str) -> None:
    _, branch = make_run()
    body = make_report(branch) | wrong
    with pytest.raises(Refusal) as refused:
        file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
    assert (refused.value.pointer, refused.value.status) == (pointer, 422)
    assert not Report.objects.exists()


@pytest.mark.parametrize("name", ["grader", "head_digest", "issues"])
def test_a_report_without_a_needed_field_names_it(name: str) -> None:
    _, branch = make_run()
    body = make_report(branch)
    del body[name]
    with pytest.raises(Refusal) as refused:
        file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
    assert refused.value.pointer == f"/{name}"


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"summary": "a\x00"}, "/summary"),
        ({"issues": [make_issue(message="\ud800")]}, "/issues/0/message"),
        ({"issues": [make_issue(detail={"score": float("nan")})]}, "/issues/0/detail/score"),
    ],
)
def test_text_that_no_store_can_keep_is_malformed(wrong: dict[str, Any], pointer: str) -> None:
    _, branch = make_run()
    with pytest.raises(Refusal) as refused:
        push(branch, **wrong)
    assert (refused.value.pointer, refused.value.status) == (pointer, 400)


def test_pushing_the_same_report_again_is_answered_with_the_first() -> None:
    _, branch = make_run()
    first = push(branch, issues=[make_issue()])
    assert push(branch, issues=[make_issue()]) == first
    assert push(branch, issues=[make_issue()], elapsed_ms=7) != first


def test_the_same_content_after_another_report_is_a_new_say() -> None:
    """A flaky test that fails, passes and fails again must not end as passed."""
    _, branch = make_run()
    first = push(branch, issues=[make_issue()])
    push(branch)
    again = push(branch, issues=[make_issue()])
    assert again != first
    assert again.order == 3


def test_the_same_report_of_another_key_is_a_row_of_its_own() -> None:
    project = make_project()
    _, branch = make_run(project)
    one, two = (key_of(project, "reports:write", key_id=k) for k in ("k1", "k2"))
    assert push(branch, actor=one) != push(branch, actor=two)


def test_a_report_on_an_older_head_is_kept_with_the_seq_of_that_head() -> None:
    _, branch = make_run()
    append(branch, make_message("user", "one"))
    body, seq = make_report(branch), branch.head_seq
    append(branch, make_message("assistant", "two"))
    report = file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
    assert (report.head_seq, branch.head_seq) == (seq, seq + 1)


def test_a_report_on_a_forks_beginning_is_an_older_head_too() -> None:
    _, trunk = make_run()
    append(trunk, make_message("user", "one"))
    fork = make_fork(trunk, trunk.head_seq).branch
    body = make_report(fork) | {"head_digest": bytes(fork.fork_digest).hex()}
    report = file_report(branch_id=fork.pk, actor=SYSTEM, report=body)
    assert report.head_seq < fork.head_seq


def test_only_who_may_report_can() -> None:
    project = make_project()
    _, branch = make_run(project)
    assert push(branch, actor=key_of(project, "reports:write")).by_id == "k1"
    for actor in (key_of(project, "events:write"), make_person(project, Role.ADMIN)):
        with pytest.raises(Forbidden):
            push(branch, actor=actor)
    with pytest.raises(NotFound):
        push(branch, actor=key_of(make_project(), "reports:write"))


def test_a_persons_verdict_takes_a_person() -> None:
    project = make_project()
    _, branch = make_run(project)
    reviewer = make_person(project)
    assert push(branch, "human", actor=reviewer).by_kind == "person"
    for actor in (key_of(project, "reports:write"), key_of(project, "admin")):
        with pytest.raises(Forbidden):
            push(branch, "human", actor=actor)
    with pytest.raises(Forbidden):
        push(branch, "human", actor=make_person(project, Role.VIEWER))
