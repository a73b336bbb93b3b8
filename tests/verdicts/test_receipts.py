import base64
import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from branches.models import Branch
from tests.make import append, make_message, make_person, make_project, make_run
from tests.verdicts.make import (
    Signer,
    make_issue,
    make_receipt,
    make_report,
    make_runner,
    now,
    push,
    push_proven,
)
from verdicts.domain.terms import Grader
from verdicts.models import Nonce, Report
from verdicts.receipts import encode_pae, owed_nonce
from verdicts.reports import file_report
from verdicts.runners import BadPublicKey, BadValidity, RunnerExists, register_runner, revoke_runner
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.kit.refusals import Forbidden

pytestmark = pytest.mark.django_db
SAMPLES = Path(__file__).resolve().parents[1] / "samples"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def branch(project: Project) -> Branch:
    return make_run(project)[1]


@pytest.fixture
def signer(project: Project) -> Signer:
    return make_runner(project)


def resign(signer: Signer, payload: bytes, kind: str = "application/vnd.in-toto+json") -> Any:
    signature = signer.private_key.sign(encode_pae(kind, payload))
    return {
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {"keyid": signer.runner.key_id, "sig": base64.b64encode(signature).decode()}
        ],
    }


def statement_of(receipt: dict[str, Any]) -> dict[str, Any]:
    statement = json.loads(base64.b64decode(receipt["payload"]))
    assert isinstance(statement, dict)
    return statement


def test_the_pre_authentication_encoding_is_that_of_dsse() -> None:
    pae = encode_pae("http://example.com/HelloWorld", b"hello world")
    assert pae == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_good_receipt_is_valid_and_its_claims_are_kept(signer: Signer, branch: Branch) -> None:
    report = push_proven(signer, branch, issues=[make_issue()], coverage=["./a.py", "b.py"])
    assert (report.receipt_standing, report.receipt_fault) == ("valid", "")
    assert report.runner == signer.runner
    claims = report.receipt_claims
    assert claims["inputs_digest"] == bytes(branch.head_digest).hex()
    assert claims["result_digest"] == report.result_digest
    assert claims["covered_files"] == ["a.py", "b.py"]


def test_a_receipt_may_come_as_text(signer: Signer, branch: Branch) -> None:
    body = make_report(branch)
    receipt = json.dumps(make_receipt(signer, branch, body))
    report = file_report(branch_id=branch.pk, actor=SYSTEM, report=body | {"receipt": receipt})
    assert report.receipt_standing == "valid"


@pytest.mark.parametrize("key_id", ["", "somebody", None])
def test_the_key_id_is_only_a_hint(signer: Signer, branch: Branch, key_id: str | None) -> None:
    make_runner(branch.project, "other")
    receipt = make_receipt(signer, branch, make_report(branch))
    receipt["signatures"][0]["keyid"] = key_id
    assert push(branch, receipt=receipt).receipt_standing == "valid"


def test_a_hint_at_another_runner_does_not_lend_its_name(signer: Signer, branch: Branch) -> None:
    other = make_runner(branch.project, "other")
    receipt = make_receipt(signer, branch, make_report(branch))
    receipt["signatures"][0]["keyid"] = other.runner.key_id
    assert push(branch, receipt=receipt).runner == signer.runner


def test_a_changed_payload_is_forged(signer: Signer, branch: Branch) -> None:
    receipt = make_receipt(signer, branch, make_report(branch))
    statement = statement_of(receipt)
    statement["predicate"]["result"] = "FAILED"
    receipt["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    report = push(branch, receipt=receipt)
    assert (report.receipt_standing, report.runner) == ("forged", None)
    assert report.receipt_fault == "The signature does not verify."


def test_a_signature_by_nobody_registered_is_of_an_unknown_runner(branch: Branch) -> None:
    stranger = make_runner(make_project())
    receipt = make_receipt(stranger, branch, make_report(branch))
    assert push(branch, receipt=receipt).receipt_standing == "unknown_runner"


def test_a_revoked_runner_proves_nothing(signer: Signer, branch: Branch) -> None:
    revoke_runner(runner_id=signer.runner.pk, actor=SYSTEM, reason="leaked")
    assert push_proven(signer, branch).receipt_standing == "revoked_runner"


def test_a_receipt_outside_its_runners_validity_is_expired(
    project: Project, branch: Branch
) -> None:
    at = now()
    late = make_runner(project, "late", valid_from=at + timedelta(days=1))
    assert push_proven(late, branch).receipt_standing == "expired"
    over = make_runner(
        project, "over", valid_from=at - timedelta(days=2), valid_until=at - timedelta(days=1)
    )
    backdated = push_proven(over, branch, issued_at=at - timedelta(days=1, hours=1))
    assert backdated.receipt_standing == "expired", "it arrives after the end"


def test_a_receipt_from_the_future_is_expired(signer: Signer, branch: Branch) -> None:
    report = push_proven(signer, branch, issued_at=now() + timedelta(hours=1))
    assert report.receipt_standing == "expired"


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"nonce": "00" * 32}, "nonce"),
        ({"issued_at": now().replace(tzinfo=None)}, "no time zone"),
    ],
)
def test_a_receipt_for_something_else_is_forged(
    signer: Signer, branch: Branch, wrong: dict[str, Any], fault: str
) -> None:
    report = push_proven(signer, branch, **wrong)
    assert report.receipt_standing == "forged"
    assert fault in report.receipt_fault
    assert not Nonce.objects.exists()


def test_a_receipt_for_another_grader_is_refused(signer: Signer, branch: Branch) -> None:
    receipt = make_receipt(signer, branch, make_report(branch), grader=Grader.LINT)
    report = push(branch, receipt=receipt)
    assert report.receipt_standing == "wrong_subject"
    assert "for lint, not for test" in report.receipt_fault


def test_a_receipt_for_another_branch_is_refused(signer: Signer, branch: Branch) -> None:
    _, other = make_run(branch.project)
    report = push_proven(signer, branch, branch_id=other.pk)
    assert "another branch" in report.receipt_fault


def test_a_nonce_is_used_once(signer: Signer, branch: Branch) -> None:
    body = make_report(branch)
    receipt = make_receipt(signer, branch, body)
    first = push(branch, receipt=receipt)
    again = push(branch, receipt=receipt, elapsed_ms=9)
    assert (first.receipt_standing, again.receipt_standing) == ("valid", "replayed")
    assert "used before" in again.receipt_fault
    assert push_proven(signer, branch).receipt_standing == "valid", "the next one is owed now"


def test_pushing_a_receipt_twice_by_mistake_spends_one_nonce(
    signer: Signer, branch: Branch
) -> None:
    receipt = make_receipt(signer, branch, make_report(branch))
    assert push(branch, receipt=receipt) == push(branch, receipt=receipt)
    assert Nonce.objects.count() == 1


def test_each_head_and_grader_owes_a_nonce_of_its_own(branch: Branch) -> None:
    before = {owed_nonce(branch=branch, grader=grader) for grader in ("test", "lint")}
    append(branch, make_message("user", "more"))
    after = {owed_nonce(branch=branch, grader=grader) for grader in ("test", "lint")}
    assert len(before | after) == 4


def test_an_older_heads_receipt_does_not_hold_for_the_new_head(
    signer: Signer, branch: Branch
) -> None:
    body = make_report(branch)
    receipt = make_receipt(signer, branch, body)
    append(branch, make_message("user", "more"))
    fresh = push(branch, receipt=receipt)
    assert fresh.receipt_standing == "wrong_subject"
    late = file_report(branch_id=branch.pk, actor=SYSTEM, report=body | {"receipt": receipt})
    assert late.receipt_standing == "valid", "it is what it was, and on an older head"


@pytest.mark.parametrize(
    "receipt",
    [
        "not json",
        "[]",
        "{}",
        '{"payloadType":"application/vnd.in-toto+json"}',
        {"payloadType": "text/plain", "payload": "", "signatures": [{"sig": ""}]},
        {"payloadType": "application/vnd.in-toto+json", "payload": "*", "signatures": [{}]},
        {"payloadType": "application/vnd.in-toto+json", "payload": "", "signatures": []},
        {"payloadType": "application/vnd.in-toto+json", "payload": "", "signatures": [{}] * 9},
        {"payloadType": "application/vnd.in-toto+json", "payload": 1, "signatures": [{"sig": 1}]},
        {"payloadType": "application/vnd.in-toto+json", "payload": "", "signatures": ["x"]},
        "[" * 5_000,
    ],
)
def test_what_is_no_envelope_is_kept_and_proves_nothing(branch: Branch, receipt: Any) -> None:
    report = push(branch, receipt=receipt)
    assert report.receipt_standing in {"forged", "unknown_runner"}
    assert report.receipt_fault


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"[]",
        b'{"_type":"https://in-toto.io/Statement/v0.1"}',
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":"x"}',
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":'
        b'"https://in-toto.io/attestation/test-result/v0.1","predicate":7}',
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":'
        b'"https://in-toto.io/attestation/test-result/v0.1","predicate":{"verel":{}}}',
        b'{"_type":"https://in-toto.io/Statement/v1","predicateType":'
        b'"https://in-toto.io/attestation/test-result/v0.1",'
        b'"predicate":{"verel":{"coverage":"all"}}}',
    ],
)
def test_signed_nonsense_is_forged(signer: Signer, branch: Branch, payload: bytes) -> None:
    report = push(branch, receipt=resign(signer, payload))
    assert (report.receipt_standing, report.runner) == ("forged", signer.runner)


def test_either_base64_alphabet_is_read(signer: Signer, branch: Branch) -> None:
    receipt = make_receipt(signer, branch, make_report(branch))
    plain = base64.b64decode(receipt["signatures"][0]["sig"])
    receipt["signatures"][0]["sig"] = base64.urlsafe_b64encode(plain).decode().rstrip("=")
    assert push(branch, receipt=receipt).receipt_standing == "valid"


def test_the_sample_receipt_verifies_and_owes_a_nonce(branch: Branch) -> None:
    register_runner(
        project_id=branch.project_id,
        actor=SYSTEM,
        name="sample",
        public_key=(SAMPLES / "dsse.pub.pem").read_bytes(),
    )
    report = push(branch, receipt=json.loads((SAMPLES / "dsse.json").read_text()))
    assert report.runner is not None, "its signature verifies"
    assert report.receipt_standing == "forged", "but it was made for no nonce of this server"
    assert "'verel'" in report.receipt_fault
    subject = statement_of(json.loads(report.receipt))["subject"][0]
    diff = (SAMPLES / "clamp.diff").read_bytes()
    assert subject["digest"]["sha256"] == hashlib.sha256(diff).hexdigest()


def test_registering_takes_an_ed25519_key_once(project: Project, signer: Signer) -> None:
    with pytest.raises(BadPublicKey):
        register_runner(project_id=project.pk, actor=SYSTEM, name="x", public_key=b"pem")
    same = bytes(signer.runner.public_key)
    with pytest.raises(RunnerExists):
        register_runner(project_id=project.pk, actor=SYSTEM, name="x", public_key=same)
    with pytest.raises(BadValidity):
        make_runner(project, valid_from=now(), valid_until=now() - timedelta(days=1))


def test_runners_are_a_curators_business(project: Project, signer: Signer) -> None:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    reviewer, curator = make_person(project), make_person(project, Role.CURATOR)
    with pytest.raises(Forbidden):
        register_runner(project_id=project.pk, actor=reviewer, name="x", public_key=raw)
    register_runner(project_id=project.pk, actor=curator, name="x", public_key=raw)
    with pytest.raises(Forbidden):
        revoke_runner(runner_id=signer.runner.pk, actor=reviewer, reason="")
    revoked = revoke_runner(runner_id=signer.runner.pk, actor=curator, reason="leaked")
    again = revoke_runner(runner_id=signer.runner.pk, actor=curator, reason="again")
    assert revoked.revoked_at == again.revoked_at


def test_what_is_stored_is_what_was_signed(signer: Signer, branch: Branch) -> None:
    report = push_proven(signer, branch, issues=[make_issue(message="drei ≠ vier")])
    stored = Report.objects.get(pk=report.pk)
    assert stored.receipt_claims["result_digest"] == stored.result_digest
