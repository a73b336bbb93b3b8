"""Each way in which a receipt can fail to prove a report, and the reason that is told for it.

Through the door that runners use and the gate that merges use: nothing here knows how it is
checked.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from branches.models import Branch
from tests.make import append, make_draft, make_message, make_project, make_run
from tests.verdicts.make import (
    SUITE,
    Signer,
    make_issue,
    make_receipt,
    make_report,
    make_runner,
    now,
    require,
)
from verdicts.admission import GateView, read_gate
from verdicts.coverage import keep_covered
from verdicts.domain.coverage import Covered
from verdicts.domain.facts import IssueFacts, ReceiptStanding, result_digest
from verdicts.domain.proof import RECEIPT_REFUSALS
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity, Verdict
from verdicts.models import Coverage, Issue, Report, Runner
from verdicts.receipts import PAYLOAD_TYPE, encode_pae
from verdicts.reports import file_report
from verdicts.runners import revoke_runner
from verdicts.soundness import find_faults
from verdicts.suites import freeze_suite
from verel_site.access.actors import SYSTEM

pytestmark = pytest.mark.django_db
OTHER_SUITE = "ef" * 32


@pytest.fixture
def branch() -> Branch:
    branch = make_run(make_project())[1]
    call = {"id": "1", "name": "write_file", "arguments": {"path": "limits.py"}}
    append(branch, make_draft("data.tool.call", call))
    freeze_suite(
        project_id=branch.project_id, actor=SYSTEM, grader="test", name="unit", digest=SUITE
    )
    require(branch.project, "test")
    return branch


@pytest.fixture
def signer(branch: Branch) -> Signer:
    return make_runner(branch.project)


def prove(
    signer: Signer, branch: Branch, report: dict[str, Any] | None = None, **wrong: Any
) -> Report:
    body = make_report(branch) if report is None else report
    receipt = make_receipt(signer, branch, body, **({"coverage": ["limits.py"]} | wrong))
    return file_report(branch_id=branch.pk, actor=SYSTEM, report=body | {"receipt": receipt})


def gate(branch: Branch) -> GateView:
    branch.refresh_from_db()
    return read_gate(branch)


def test_a_receipt_that_holds_opens_the_gate(signer: Signer, branch: Branch) -> None:
    prove(signer, branch)
    assert (gate(branch).open, gate(branch).texts) == (True, ())


def replayed(signer: Signer, branch: Branch) -> None:
    body = make_report(branch)
    receipt = make_receipt(signer, branch, body, coverage=["limits.py"])
    for elapsed in (1, 2):
        told = body | {"receipt": receipt, "elapsed_ms": elapsed}
        file_report(branch_id=branch.pk, actor=SYSTEM, report=told)


def wrong_head(signer: Signer, branch: Branch) -> None:
    receipt = make_receipt(signer, branch, make_report(branch), coverage=["limits.py"])
    append(branch, make_message("assistant", "One more thing."))
    body = make_report(branch) | {"receipt": receipt}
    file_report(branch_id=branch.pk, actor=SYSTEM, report=body)


def wrong_inputs(signer: Signer, branch: Branch) -> None:
    """The nonce of this head, and a subject that is another."""
    prove(signer, branch, head_digest=bytes(32))


def wrong_suite(signer: Signer, branch: Branch) -> None:
    prove(signer, branch, suite_digest=OTHER_SUITE)


def uncovered_file(signer: Signer, branch: Branch) -> None:
    prove(signer, branch, coverage=["pump.py"])


def unknown_key(signer: Signer, branch: Branch) -> None:
    stranger = Signer(Runner(name="x", key_id="x"), Ed25519PrivateKey.generate())
    prove(stranger, branch)


def revoked_key(signer: Signer, branch: Branch) -> None:
    prove(signer, branch)
    revoke_runner(runner_id=signer.runner.pk, actor=SYSTEM, reason="leaked")


def expired_key(signer: Signer, branch: Branch) -> None:
    at = now()
    over = make_runner(
        branch.project, "over", valid_from=at - timedelta(9), valid_until=at - timedelta(1)
    )
    prove(over, branch, issued_at=at - timedelta(2))


def forged_signature(signer: Signer, branch: Branch) -> None:
    body = make_report(branch)
    receipt = make_receipt(signer, branch, body, coverage=["limits.py"])
    receipt["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    file_report(branch_id=branch.pk, actor=SYSTEM, report=body | {"receipt": receipt})


def changed_report(signer: Signer, branch: Branch) -> None:
    signed = make_report(branch, issues=[make_issue()])
    receipt = make_receipt(signer, branch, signed, coverage=["limits.py"])
    pushed = make_report(branch) | {"receipt": receipt}
    file_report(branch_id=branch.pk, actor=SYSTEM, report=pushed)


def no_receipt(signer: Signer, branch: Branch) -> None:
    file_report(branch_id=branch.pk, actor=SYSTEM, report=make_report(branch))


REFUSED: list[tuple[Callable[[Signer, Branch], None], str]] = [
    (replayed, "its receipt is a replay: the nonce was used before"),
    (wrong_head, "its receipt was issued for another branch, head or grader"),
    (wrong_inputs, "its receipt is for other inputs than this branch's head"),
    (wrong_suite, "it ran another suite than the frozen one"),
    (uncovered_file, "it did not look at limits.py, which this branch changed"),
    (unknown_key, "its receipt is signed by a runner that is not registered"),
    (revoked_key, "its receipt is signed by a runner that was revoked"),
    (expired_key, "its receipt was issued outside the time in which its runner is valid"),
    (forged_signature, "its receipt is forged: the signature or the nonce does not hold"),
    (changed_report, "its report is not the result that the runner signed"),
    (no_receipt, "no receipt proves that it ran"),
]


@pytest.mark.parametrize(("fault", "reason"), REFUSED, ids=lambda one: getattr(one, "__name__", ""))
def test_each_fault_shuts_the_gate_with_a_reason_of_its_own(
    fault: Callable[[Signer, Branch], None], reason: str, signer: Signer, branch: Branch
) -> None:
    fault(signer, branch)
    told = gate(branch)
    assert (told.verdict, told.open, told.texts) == (Verdict.FAIL, False, (f"test: {reason}",))


def test_no_two_faults_are_told_alike() -> None:
    reasons = [reason for _, reason in REFUSED]
    assert len(set(reasons)) == len(reasons)
    assert set(RECEIPT_REFUSALS) == set(ReceiptStanding) - {ReceiptStanding.VALID}
    assert set(RECEIPT_REFUSALS.values()) <= set(reasons)


# What the result digest is over. A field that is not here is not signed; one that is, and whose
# change goes unnoticed, fails the test.
CHANGES: dict[str, Any] = {
    "kind": IssueKind.TYPO.value,
    "severity": Severity.INFO.value,
    "confidence": Confidence.LOW.value,
    "source": Grader.LLM_JUDGE.value,
    "fingerprint": "0" * 16,
    "message": "assert 3 == 3",
    "locator": "other.py",
}


@pytest.mark.parametrize("field", [*CHANGES, "verdict", "errored", "one issue less"])
def test_a_stored_result_that_is_changed_is_not_what_was_signed(
    field: str, signer: Signer, branch: Branch
) -> None:
    warning = make_issue("warning")
    report = prove(signer, branch, make_report(branch, issues=[warning, make_issue("info")]))
    assert gate(branch).open, "a warning may merge"
    if field in CHANGES:
        changed = Issue.objects.filter(report=report, position=0).update(**{field: CHANGES[field]})
        assert changed == 1
    elif field == "verdict":
        Report.objects.update(verdict="pass")
    elif field == "errored":
        Report.objects.update(errored=True)
        assert not gate(branch).open
        return
    else:
        Issue.objects.filter(report=report, position=0).delete()
    assert "test: its report is not the result that the runner signed" in gate(branch).texts


@pytest.mark.parametrize("field", [name for name in CHANGES if name != "fingerprint"])
def test_a_result_that_is_changed_on_its_way_is_not_what_was_signed(
    field: str, signer: Signer, branch: Branch
) -> None:
    signed = make_report(branch, issues=[make_issue("warning")])
    receipt = make_receipt(signer, branch, signed, coverage=["limits.py"])
    pushed = make_report(branch, issues=[make_issue("warning") | {field: CHANGES[field]}])
    file_report(branch_id=branch.pk, actor=SYSTEM, report=pushed | {"receipt": receipt})
    assert gate(branch).texts[0] == "test: its report is not the result that the runner signed"


COVERED = {"tests": ["unit::a", "unit::b"], "files": ["limits.py"]}


@pytest.mark.parametrize(
    "changed",
    [
        None,
        {"tests": COVERED["tests"]},
        {"files": COVERED["files"]},
        COVERED | {"tests": ["unit::a"]},
        COVERED | {"tests": ["unit::a", "unit::b", "unit::c"]},
        COVERED | {"tests": []},
        COVERED | {"files": ["limits.py", "pump.py"]},
        COVERED | {"files": []},
        {"tests": COVERED["files"], "files": COVERED["tests"]},
    ],
)
def test_what_a_report_covers_is_signed_with_its_result(
    changed: dict[str, Any] | None, signer: Signer, branch: Branch
) -> None:
    signed = make_report(branch, covered=COVERED)
    receipt = make_receipt(signer, branch, signed, coverage=["limits.py"])
    body = make_report(branch, covered=changed) | {"receipt": receipt}
    file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
    assert gate(branch).texts == ("test: its report is not the result that the runner signed",)


def test_a_report_that_covers_what_was_signed_opens_the_gate_in_whatever_order(
    signer: Signer, branch: Branch
) -> None:
    signed = make_report(branch, covered=COVERED)
    receipt = make_receipt(signer, branch, signed, coverage=["limits.py"])
    names = [*COVERED["tests"][::-1], *COVERED["tests"]]
    body = signed | {"covered": COVERED | {"tests": names}, "receipt": receipt}
    file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
    assert gate(branch).open


def test_names_that_a_receipt_does_not_sign_are_refused_with_a_reason_of_their_own(
    signer: Signer, branch: Branch
) -> None:
    """As a runner would sign that knows the digest of before reports could name what they cover."""
    receipt = make_receipt(signer, branch, make_report(branch), coverage=["limits.py"])
    body = make_report(branch, covered=COVERED) | {"receipt": receipt}
    file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
    assert gate(branch).texts == (
        "test: its receipt does not sign what its report says that it covered",
    )


def test_a_report_that_was_stored_before_names_were_signed_still_stands(
    signer: Signer, branch: Branch
) -> None:
    report = prove(signer, branch)
    keep_covered(report=report, covered=Covered(frozenset({"unit::a"})), earlier=Covered())
    assert gate(branch).open
    assert not [*find_faults(project_id=branch.project_id, counts=Counter())]


def test_stored_names_that_are_changed_are_found(signer: Signer, branch: Branch) -> None:
    report = prove(signer, branch, make_report(branch, covered=COVERED))
    assert gate(branch).open
    Coverage.objects.filter(report=report).delete()
    keep_covered(report=report, covered=Covered(frozenset({"unit::a"})), earlier=Covered())
    [fault] = find_faults(project_id=branch.project_id, counts=Counter())
    assert "what it names as covered is not what its digest names" in str(fault)
    Report.objects.update(covered_digest="00" * 32)
    assert gate(branch).texts == ("test: its report is not the result that the runner signed",)


@pytest.mark.parametrize("change", [{"verdict": "pass"}, {"errored": True}])
def test_a_claim_that_is_changed_on_its_way_is_not_what_was_signed(
    change: dict[str, Any], signer: Signer, branch: Branch
) -> None:
    signed = make_report(branch, issues=[make_issue("warning")])
    receipt = make_receipt(signer, branch, signed, coverage=["limits.py"])
    body = signed | change | {"receipt": receipt}
    report = file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
    assert report.receipt_claims["result_digest"] != report.result_digest
    assert not gate(branch).open


def test_the_order_of_issues_is_free_and_their_number_is_not() -> None:
    pair = [make_facts("a"), make_facts("b")]

    def digest(*issues: Any) -> str:
        return result_digest(verdict=Verdict.FAIL, errored=False, issues=issues)

    assert digest(*pair) == digest(*reversed(pair))
    assert len({digest(), digest(pair[0]), digest(*pair), digest(pair[0], *pair)}) == 4


def make_facts(message: str) -> IssueFacts:
    return IssueFacts(
        kind=IssueKind.OTHER,
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        source=Grader.TEST,
        fingerprint="a" * 16,
        message=message,
    )


@pytest.mark.parametrize("payload", [b"[" * 100_000, b"\xff\xfe", b'{"_type": NaN}'])
def test_bytes_that_nobody_registered_signed_are_not_parsed(
    payload: bytes, signer: Signer, branch: Branch
) -> None:
    """What is told is the signature's fault, for a payload that no parser would take."""
    stranger = Ed25519PrivateKey.generate()
    for key_id, standing in ((signer.runner.key_id, "forged"), ("", "unknown_runner")):
        signature = stranger.sign(encode_pae(PAYLOAD_TYPE, payload))
        receipt = {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
        }
        body = make_report(branch) | {"receipt": json.dumps(receipt)}
        report = file_report(branch_id=branch.pk, actor=SYSTEM, report=body)
        assert report.receipt_standing == standing
        assert "signature" in report.receipt_fault
