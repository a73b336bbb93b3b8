"""Typed builders of verdicts: reports, runners with their private halves, receipts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone

from branches.models import Branch
from tests.make import append, make_fork, make_message, make_run
from verdicts.comparisons import draw_sides
from verdicts.models import Comparison, Policy, Report, Runner, Suite
from verdicts.policies import change_policy
from verdicts.receipts import owed_nonce, sign_receipt
from verdicts.report_form import read_report
from verdicts.reports import file_report
from verdicts.runners import register_runner
from verdicts.suites import create_suite, freeze_draft
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project

SUITE = "cd" * 32


@dataclass(frozen=True)
class Signer:
    runner: Runner
    private_key: Ed25519PrivateKey


def make_issue(severity: str = "error", **extra: Any) -> dict[str, Any]:
    return {
        "kind": "test_failure",
        "severity": severity,
        "message": "assert 3 == 4",
        "locator": "test_clamp.py",
    } | extra


def unit(name: str, **extra: Any) -> dict[str, Any]:
    """What a test of a name finds."""
    fields = {"detail": {"test_id": f"unit::{name}"}, "locator": f"unit::{name}"}
    return make_issue(**(fields | extra))


def grow(branch: Branch, text: str = "again") -> Branch:
    """The branch on a new head."""
    append(branch, make_message("assistant", text))
    branch.refresh_from_db()
    return branch


def make_report(
    branch: Branch, grader: str = "test", issues: Iterable[Any] = (), **extra: Any
) -> dict[str, Any]:
    """The body of a report on the branch's present head."""
    return {
        "grader": grader,
        "summary": "214 passed",
        "head_digest": bytes(branch.head_digest).hex(),
        "issues": list(issues),
    } | extra


def push(
    branch: Branch,
    grader: str = "test",
    issues: Iterable[Any] = (),
    actor: Actor = SYSTEM,
    **extra: Any,
) -> Report:
    body = make_report(branch, grader, issues, **extra)
    return file_report(branch_id=branch.pk, actor=actor, report=body)


def make_pair(project: Project, *words: str) -> tuple[Branch, Branch]:
    """Two forks of one trunk's second event, each with an override of its own and then the words,
    the last of which are the agent's; the first one is not told apart by its name."""
    _, trunk = make_run(project)
    append(trunk, make_message("user", "Cap the dose."))
    one, other = (make_fork(trunk, 2, f"Dose = {n}mg", name=f"Secret {n}").branch for n in (1, 2))
    for fork in (one, other):
        append(fork, *(make_message("user", word) for word in words))
        append(fork, make_message("assistant", fork.override))
    return one, other


def side_of(comparison: Comparison, actor: Actor, branch: Branch) -> str:
    """Which side a branch is on, as that reviewer sees the pair."""
    sides = draw_sides(comparison_id=comparison.pk, reviewer=actor)
    return "left" if sides.left.branch.pk == branch.pk else "right"


def make_runner(project: Project, name: str = "ci", **extra: Any) -> Signer:
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes_raw()
    runner = register_runner(
        project_id=project.pk, actor=SYSTEM, name=name, public_key=raw, **extra
    )
    return Signer(runner, key)


def make_receipt(
    signer: Signer, branch: Branch, body: dict[str, Any], **wrong: Any
) -> dict[str, Any]:
    """A receipt for a report's body that holds, but for what is named."""
    read = read_report(body)
    fields: dict[str, Any] = {
        "private_key": signer.private_key,
        "key_id": signer.runner.key_id,
        "branch_id": branch.pk,
        "head_digest": read.head_digest,
        "grader": read.grader,
        "nonce": owed_nonce(branch=branch, grader=read.grader),
        "verdict": read.verdict,
        "errored": read.errored,
        "covered": read.covered,
        "issues": [issue.facts for issue in read.issues],
        "issued_at": timezone.now(),
        "suite_digest": SUITE,
    }
    return sign_receipt(**(fields | wrong))


def push_proven(
    signer: Signer, branch: Branch, grader: str = "test", issues: Iterable[Any] = (), **wrong: Any
) -> Report:
    body = make_report(branch, grader, issues)
    receipt = make_receipt(signer, branch, body, **wrong)
    return file_report(branch_id=branch.pk, actor=SYSTEM, report=body | {"receipt": receipt})


def require(project: Project, *graders: str, **extra: Any) -> Policy:
    return change_policy(project_id=project.pk, actor=SYSTEM, required=graders, **extra)


def make_cases(count: int, word: str = "case") -> list[dict[str, Any]]:
    return [{"name": f"{word} {i}", "body": {"ask": f"{word} {i}?"}} for i in range(count)]


def make_suite(project: Project, reserve: int = 5, **extra: Any) -> Suite:
    fields: dict[str, Any] = {
        "grader": "test",
        "name": "unit",
        "cases": make_cases(10),
        "holdout": make_cases(3, "held"),
        "reserve": make_cases(reserve, "fresh"),
    }
    suite = create_suite(project_id=project.pk, actor=SYSTEM, **(fields | extra))
    return freeze_draft(suite_id=suite.pk, actor=SYSTEM)


def now() -> datetime:
    return timezone.now()
