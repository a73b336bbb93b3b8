from typing import Any

import pytest

from branches.models import Branch
from branches.steering import pause_branch
from tests.make import append, make_draft, make_fork, make_message, make_person, make_project
from tests.make import make_run as start
from tests.verdicts.make import (
    SUITE,
    Signer,
    make_issue,
    make_report,
    make_runner,
    push,
    push_proven,
    require,
)
from verdicts.admission import BypassReasonMissing, admit_merge, read_gate
from verdicts.models import GateDecision
from verdicts.receipts import owed_nonce
from verdicts.reports import file_report
from verdicts.runners import revoke_runner
from verdicts.suites import BadSuite, freeze_suite, retire_suite
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def branch(project: Project) -> Branch:
    _, trunk = start(project)
    append(trunk, make_message("user", "Cap the dose."), make_message("assistant", "Done."))
    return trunk


@pytest.fixture
def signer(project: Project) -> Signer:
    return make_runner(project)


def freeze(project: Project, digest: str = SUITE, grader: str = "test") -> Any:
    return freeze_suite(
        project_id=project.pk, actor=SYSTEM, grader=grader, name="unit", digest=digest
    )


def test_an_ungraded_branch_warns_and_stays_shut(branch: Branch) -> None:
    gate = read_gate(branch)
    assert gate.as_json() == {
        "branch": str(branch.pk),
        "verdict": "warn",
        "open": False,
        "stale": False,
        "reasons": ["nothing graded this head"],
        "attributions": {},
        "required": [],
        "graders": [],
        "head_digest": bytes(branch.head_digest).hex(),
        "policy_version": 0,
        "nonces": {},
    }


def test_a_clean_report_opens_a_gate_that_requires_nothing(branch: Branch) -> None:
    push(branch)
    assert (read_gate(branch).verdict, read_gate(branch).open) == ("pass", True)


def test_an_error_shuts_it_and_is_attributed(branch: Branch) -> None:
    report = push(branch, issues=[make_issue()])
    body = read_gate(branch).as_json()
    assert (body["verdict"], body["open"]) == ("fail", False)
    assert body["attributions"] == {report.issues.get().fingerprint: "test"}


@pytest.mark.parametrize("may", [True, False])
def test_whether_a_warning_may_merge_is_policy(project: Project, branch: Branch, may: bool) -> None:
    require(project, warn_may_merge=may)
    push(branch, "vision", [make_issue("critical", kind="clipped")])
    gate = read_gate(branch)
    assert (gate.verdict, gate.open, gate.policy_version) == ("warn", may, 1)


def test_a_warning_that_may_merge_does_not_let_the_ungraded_in(
    project: Project, branch: Branch
) -> None:
    require(project, warn_may_merge=True)
    push(branch, errored=True)
    assert not read_gate(branch).open


def test_a_branch_that_grows_makes_its_gate_stale(branch: Branch) -> None:
    push(branch)
    append(branch, make_message("assistant", "One more thing."))
    gate = read_gate(branch)
    assert (gate.stale, gate.open, gate.verdict) == (True, False, "warn")
    assert "test: it graded an older head, not this one" in gate.texts
    push(branch)
    assert (read_gate(branch).stale, read_gate(branch).open) == (False, True)


def test_one_grader_that_kept_up_does_not_cover_for_a_precise_one_that_did_not(
    branch: Branch,
) -> None:
    push(branch, "test", [make_issue()])
    append(branch, make_message("assistant", "Try this."))
    push(branch, "lint")
    gate = read_gate(branch)
    assert (gate.verdict, gate.stale, gate.open) == ("pass", True, False)


def test_an_advisory_grader_left_behind_does_not_shut_it(branch: Branch) -> None:
    push(branch, "vision")
    append(branch, make_message("assistant", "Try this."))
    push(branch, "test")
    assert (read_gate(branch).stale, read_gate(branch).open) == (False, True)


def test_pausing_a_branch_does_not_make_its_reports_stale(branch: Branch) -> None:
    push(branch)
    pause_branch(branch_id=branch.pk, actor=SYSTEM, reason="lunch")
    branch.refresh_from_db()
    assert read_gate(branch).open


def test_a_report_on_an_older_head_never_counts(branch: Branch) -> None:
    body = make_report(branch)
    append(branch, make_message("assistant", "More."))
    file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
    assert (read_gate(branch).open, read_gate(branch).stale) == (False, True)


def test_a_fork_does_not_inherit_verdicts(branch: Branch) -> None:
    push(branch)
    fork = make_fork(branch, branch.head_seq).branch
    assert not read_gate(fork).graded


def test_a_required_grader_owes_a_receipt_and_is_given_a_nonce(
    project: Project, branch: Branch, signer: Signer
) -> None:
    require(project, "test", "lint")
    body = read_gate(branch).as_json()
    assert (body["verdict"], body["open"]) == ("fail", False)
    assert [(r["grader"], r["standing"]) for r in body["required"]] == [
        ("test", "pending"),
        ("lint", "pending"),
    ]
    assert body["nonces"] == {
        grader: owed_nonce(branch=branch, grader=grader) for grader in ("test", "lint")
    }
    push_proven(signer, branch, "test")
    push(branch, "lint")
    body = read_gate(branch).as_json()
    assert [r["standing"] for r in body["required"]] == ["pass", "fail"]
    assert list(body["nonces"]) == ["lint"]
    assert body["reasons"] == ["lint: no receipt proves that it ran"]
    push_proven(signer, branch, "lint")
    assert read_gate(branch).open


def test_a_policy_may_waive_receipts_where_no_suite_is_frozen(
    project: Project, branch: Branch
) -> None:
    require(project, "test", receipts_required=False)
    push(branch)
    assert read_gate(branch).open
    freeze(project)
    assert not read_gate(branch).open


def test_a_receipt_must_be_of_the_frozen_suite(
    project: Project, branch: Branch, signer: Signer
) -> None:
    require(project, "test")
    freeze(project, "11" * 32)
    push_proven(signer, branch)
    assert read_gate(branch).texts == ("test: it ran another suite than the frozen one",)
    suite = freeze(project, SUITE)
    assert read_gate(branch).open
    retire_suite(suite_id=suite.pk, actor=SYSTEM, reason="rotated")
    assert not read_gate(branch).open


def test_revoking_a_runner_shuts_the_gates_it_opened(
    project: Project, branch: Branch, signer: Signer
) -> None:
    require(project, "test")
    push_proven(signer, branch)
    assert read_gate(branch).open
    revoke_runner(runner_id=signer.runner.pk, actor=SYSTEM, reason="leaked")
    assert read_gate(branch).texts == ("test: its receipt is signed by a runner that was revoked",)


def test_what_the_lineage_changed_must_be_covered(
    project: Project, branch: Branch, signer: Signer
) -> None:
    require(project, "test")
    call = {"id": "c1", "name": "Edit", "arguments": {"file_path": "pump.py"}}
    append(
        branch,
        make_draft("data.tool.call", {"name": "edit_file", "arguments": {"path": "./limits.py"}}),
        make_draft("data.message.assistant", {"content": "", "tool_calls": [call]}),
    )
    fork = make_fork(branch, branch.head_seq).branch
    push_proven(signer, fork, coverage=["limits.py"])
    assert read_gate(fork).texts == ("test: it did not look at pump.py, which this branch changed",)
    push_proven(signer, fork, coverage=["limits.py", "pump.py", "other.py"])
    assert read_gate(fork).open


def test_an_older_decision_keeps_the_policy_it_was_made_under(
    project: Project, branch: Branch
) -> None:
    push(branch)
    admit_merge(winner=branch, actor=SYSTEM)
    require(project, "test")
    admission = admit_merge(winner=branch, actor=SYSTEM)
    assert (admission.policy_version, admission.open, admission.admits) == (1, False, False)
    kept = GateDecision.objects.order_by("created_at")
    assert [(d.policy_version, d.verdict, d.open) for d in kept] == [
        (0, "pass", True),
        (1, "fail", False),
    ]
    assert bytes(kept[0].head_digest) == bytes(branch.head_digest)


def test_an_admission_carries_what_the_provenance_needs(
    project: Project, branch: Branch, signer: Signer
) -> None:
    require(project, "test")
    report = push_proven(signer, branch)
    admission = admit_merge(winner=branch, actor=make_person(project))
    assert admission.admits
    assert admission.head_digest == bytes(branch.head_digest)
    assert admission.as_json()["reports"] == [
        {
            "report": str(report.pk),
            "grader": "test",
            "tool": "",
            "verdict": "pass",
            "errored": False,
            "model": "",
            "receipt_standing": "valid",
            "runner": "ci",
            "suite_digest": SUITE,
            "result_digest": report.result_digest,
        }
    ]


def test_an_admission_is_for_the_head_that_the_branch_has_now(branch: Branch) -> None:
    push(branch)
    behind = Branch.objects.get(pk=branch.pk)
    append(branch, make_message("assistant", "More."))
    admission = admit_merge(winner=behind, actor=SYSTEM)
    assert (admission.open, admission.head_digest) == (False, bytes(branch.head_digest))


def test_a_bypass_takes_the_right_and_a_reason_and_shows_for_ever(
    project: Project, branch: Branch
) -> None:
    push(branch, issues=[make_issue()])
    admin = make_person(project, Role.ADMIN)
    with pytest.raises(Forbidden):
        admit_merge(winner=branch, actor=make_person(project), bypass_reason="hurry")
    with pytest.raises(BypassReasonMissing):
        admit_merge(winner=branch, actor=admin, bypass_reason="  ")
    admission = admit_merge(winner=branch, actor=admin, bypass_reason="known flake")
    assert (admission.open, admission.admits, admission.bypass_reason) == (
        False,
        True,
        "known flake",
    )
    assert GateDecision.objects.get().bypass_reason == "known flake"
    entry = AuditEntry.objects.get(action="gate.bypass")
    assert (entry.reason, entry.actor_name) == ("known flake", admin.name)


def test_a_reason_at_an_open_gate_is_no_bypass(project: Project, branch: Branch) -> None:
    push(branch)
    admission = admit_merge(winner=branch, actor=make_person(project), bypass_reason="just in case")
    assert (admission.open, admission.bypass_reason) == (True, None)
    assert not AuditEntry.objects.filter(action="gate.bypass").exists()


def test_freezing_is_a_curators_and_takes_a_digest(project: Project) -> None:
    with pytest.raises(Forbidden):
        freeze_suite(
            project_id=project.pk, actor=make_person(project), grader="test", name="", digest=SUITE
        )
    for wrong in ({"digest": "AB"}, {"grader": "oracle"}):
        with pytest.raises(BadSuite):
            freeze(project, **wrong)
    assert freeze(project) == freeze(project)
