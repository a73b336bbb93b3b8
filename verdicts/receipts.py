"""Receipts: a runner's signed proof that a grader ran, on what, and with which result.

A receipt is a DSSE envelope (`payloadType` `application/vnd.in-toto+json`, Ed25519 over the PAE)
round an in-toto statement of type `https://in-toto.io/attestation/test-result/v0.1`:

- `subject`: one entry named `head` whose `digest.sha256` is the branch's head digest in hex. This
  is the inputs digest: a head digest covers everything a grader can look at.
- `predicate.result`: PASSED, WARNED or FAILED; for other readers, not compared.
- `predicate.configuration`: an entry named `suite` with `digest.sha256`, if a suite was run.
- `predicate.verel`: `{branch, grader, nonce, issued_at (aware ISO-8601), result_digest, coverage:
  [paths looked at]}`; `result_digest` as `verdicts.domain.facts.result_digest` computes it.

The bytes are verified before they are parsed. `keyid` is a hint: the named key is tried first,
then every other of the project. The nonce is the server's, one per (branch, head, grader) and use.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from branches.models import Branch
from verdicts.domain.coverage import Covered
from verdicts.domain.facts import IssueFacts, ReceiptStanding, covered_digest, result_digest
from verdicts.domain.terms import Grader, Verdict
from verdicts.models import Nonce, Runner
from verel_site.kit import strict_json
from verel_site.kit.refusals import Refusal

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://in-toto.io/attestation/test-result/v0.1"
EXTENSION: Final = "verel"
CLOCK_SKEW_SECONDS: Final = 300
MAX_SIGNATURES: Final = 8
_RESULTS: Final = {Verdict.PASS: "PASSED", Verdict.WARN: "WARNED", Verdict.FAIL: "FAILED"}


class _Unfit(Exception):
    """Why a receipt does not stand; its text is shown."""

    def __init__(self, text: str, standing: ReceiptStanding = ReceiptStanding.FORGED) -> None:
        super().__init__(text)
        self.standing = standing


@dataclass(frozen=True, slots=True)
class Claims:
    """What a receipt says, before it is compared with anything."""

    branch: str = ""
    grader: str = ""
    nonce: str = ""
    issued_at: str = ""
    suite_digest: str = ""
    inputs_digest: str = ""
    result_digest: str = ""
    covered_files: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Checked:
    """What checking came to. `fault` is one sentence; empty when the receipt is valid."""

    standing: ReceiptStanding
    runner: Runner | None = None
    claims: Claims = field(default_factory=Claims)
    fault: str = ""


def encode_pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, version 1: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def owed_nonce(*, branch: Branch, grader: str, head_digest: bytes | None = None) -> str:
    """The nonce that the next receipt of this grader for a head (the present one) must carry.

    Derived from the installation's secret and the number of nonces used up, so that asking
    stores nothing; a used one never comes again.
    """
    head = bytes(branch.head_digest) if head_digest is None else head_digest
    used = Nonce.objects.filter(branch=branch, head_digest=head, grader=grader).count()
    told = f"{branch.pk}|{head.hex()}|{grader}|{used}"
    return salted_hmac("verdicts.receipts.nonce", told, algorithm="sha256").hexdigest()


def check_receipt(*, text: str, branch: Branch, head_digest: bytes, grader: str) -> Checked:
    """Checks signature, runner, time and nonce, and uses the nonce up if all hold.

    Call with the branch locked. What the receipt says of suite, inputs, coverage and result is
    for the gate to compare. Never raises for what is in the text.
    """
    try:
        payload, signatures = _open_envelope(text)
    except _Unfit as error:
        return Checked(ReceiptStanding.FORGED, fault=str(error))
    runner, hinted = _find_signer(branch, payload, signatures)
    if runner is None:
        if hinted:
            return Checked(ReceiptStanding.FORGED, fault="The signature does not verify.")
        return Checked(
            ReceiptStanding.UNKNOWN_RUNNER, fault="No registered runner made this signature."
        )
    if runner.revoked_at is not None:
        return Checked(ReceiptStanding.REVOKED_RUNNER, runner, fault="The runner was revoked.")
    try:
        claims = _read_statement(payload)
        issued = _read_time(claims)
        if not _in_validity(runner, issued):
            fault = "Issued outside the time in which the runner is valid."
            return Checked(ReceiptStanding.EXPIRED, runner, claims, fault)
        _spend_nonce(branch, head_digest, grader, claims)
    except _Unfit as error:
        return Checked(error.standing, runner, fault=str(error))
    return Checked(ReceiptStanding.VALID, runner, claims)


def still_stands(*, text: str, runner: Runner, claims: Mapping[str, Any]) -> bool:
    """Whether a receipt that was found valid still is signed by that runner's key, and still says
    what was read from it then."""
    try:
        payload, signatures = _open_envelope(text)
        read = _read_statement(payload)
    except _Unfit:
        return False
    signed = encode_pae(PAYLOAD_TYPE, payload)
    return read.as_json() == claims and any(
        _verifies(runner, signed, signature) for _, signature in signatures
    )


def _open_envelope(text: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The signed bytes, unparsed, and `(keyid, signature)` pairs."""
    try:
        envelope = strict_json.decode(text.encode("utf-8", "surrogatepass"))
    except Refusal as error:
        raise _Unfit("It is not a DSSE envelope: no JSON.") from error
    if not isinstance(envelope, dict) or envelope.get("payloadType") != PAYLOAD_TYPE:
        raise _Unfit(f"It is not a DSSE envelope of {PAYLOAD_TYPE}.")
    rows = envelope.get("signatures")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_SIGNATURES:
        raise _Unfit(f"It has no signatures, or more than {MAX_SIGNATURES}.")
    signatures = [
        (str(row.get("keyid") or ""), _decode(row.get("sig")))
        for row in rows
        if isinstance(row, dict)
    ]
    return _decode(envelope.get("payload")), signatures


def _decode(value: object) -> bytes:
    if not isinstance(value, str):
        raise _Unfit("Payload and signatures are base64 text.")
    # DSSE allows either alphabet.
    plain = value.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Unfit("Payload and signatures are base64 text.") from error


def _find_signer(
    branch: Branch, payload: bytes, signatures: list[tuple[str, bytes]]
) -> tuple[Runner | None, bool]:
    """The runner whose key made one of the signatures, and whether a hint named any runner."""
    runners = list(Runner.objects.filter(project_id=branch.project_id).order_by("created_at"))
    signed = encode_pae(PAYLOAD_TYPE, payload)
    hinted = False
    for key_id, signature in signatures:
        named = [runner for runner in runners if runner.key_id == key_id]
        hinted = hinted or bool(named)
        for runner in [*named, *(runner for runner in runners if runner not in named)]:
            if _verifies(runner, signed, signature):
                return runner, True
    return None, hinted


def _verifies(runner: Runner, signed: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes(runner.public_key)).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _read_statement(payload: bytes) -> Claims:
    try:
        statement = strict_json.decode(payload)
    except Refusal as error:
        raise _Unfit(f"Its statement is not well-formed: {error.detail}") from error
    if not isinstance(statement, dict) or statement.get("_type") != STATEMENT_TYPE:
        raise _Unfit(f"Its statement is not of type {STATEMENT_TYPE}.")
    if statement.get("predicateType") != PREDICATE_TYPE:
        raise _Unfit(f"Its predicate is not {PREDICATE_TYPE}.")
    predicate = statement.get("predicate")
    own = predicate.get(EXTENSION) if isinstance(predicate, dict) else None
    if not isinstance(predicate, dict) or not isinstance(own, dict):
        raise _Unfit(f"Its predicate has no {EXTENSION!r} object.")
    coverage = own.get("coverage", [])
    if not isinstance(coverage, list) or not all(isinstance(path, str) for path in coverage):
        raise _Unfit("Its coverage is not a list of paths.")
    return Claims(
        **{name: _text(own, name) for name in ("branch", "grader", "nonce", "issued_at")},
        result_digest=_text(own, "result_digest").lower(),
        inputs_digest=_named_digest(statement.get("subject"), "head"),
        suite_digest=_named_digest(predicate.get("configuration"), "suite"),
        covered_files=[path.removeprefix("./") for path in coverage],
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise _Unfit(f"It names no {name}.")
    return value


def _named_digest(rows: object, name: str) -> str:
    """The SHA-256 of the first entry of that name, or nothing."""
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("name") == name:
            digest = row.get("digest")
            value = digest.get("sha256") if isinstance(digest, dict) else None
            return value.lower() if isinstance(value, str) else ""
    return ""


def _read_time(claims: Claims) -> datetime:
    try:
        issued = datetime.fromisoformat(claims.issued_at)
    except ValueError as error:
        raise _Unfit("Its time of issue is not ISO-8601.") from error
    if issued.tzinfo is None:
        raise _Unfit("Its time of issue has no time zone.")
    return issued


def _in_validity(runner: Runner, issued: datetime) -> bool:
    skew = timedelta(seconds=CLOCK_SKEW_SECONDS)
    now = timezone.now()
    if issued < runner.valid_from - skew or issued > now + skew:
        return False
    # The arrival counts too: an old key must not sign for a time in which it was still good.
    return runner.valid_until is None or max(issued, now) <= runner.valid_until


def _spend_nonce(branch: Branch, head_digest: bytes, grader: str, claims: Claims) -> None:
    other = ReceiptStanding.WRONG_SUBJECT
    if claims.branch != str(branch.pk):
        raise _Unfit("It was issued for another branch.", other)
    if claims.grader != grader:
        raise _Unfit(f"It was issued for {claims.grader}, not for {grader}.", other)
    expected = owed_nonce(branch=branch, grader=grader, head_digest=head_digest)
    if not constant_time_compare(claims.nonce, expected):
        if claims.inputs_digest != head_digest.hex():
            raise _Unfit("It was issued for another head of this branch.", other)
        if Nonce.objects.filter(value=claims.nonce).exists():
            raise _Unfit("Its nonce was used before.", ReceiptStanding.REPLAYED)
        raise _Unfit("Its nonce is not the one owed for this head, and never was.")
    Nonce.objects.create(branch=branch, head_digest=head_digest, grader=grader, value=expected)


def sign_receipt(
    *,
    private_key: Ed25519PrivateKey,
    key_id: str,
    branch_id: UUID,
    head_digest: bytes,
    grader: Grader,
    nonce: str,
    verdict: Verdict,
    issues: Iterable[IssueFacts],
    issued_at: datetime,
    errored: bool = False,
    covered: Covered | None = None,
    suite_digest: str = "",
    suite_name: str = "suite",
    coverage: Iterable[str] = (),
) -> dict[str, Any]:
    """The envelope that a runner pushes as a report's `receipt`. `covered` is what the report names
    as such, `coverage` the files that the runner says it looked at."""
    configuration: list[dict[str, Any]] = [{"name": "grader", "uri": f"verel:grader/{grader}"}]
    if suite_digest:
        uri, digest = f"verel:suite/{suite_name}", {"sha256": suite_digest}
        configuration.insert(0, {"name": "suite", "uri": uri, "digest": digest})
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "head", "digest": {"sha256": head_digest.hex()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": _RESULTS[verdict],
            "configuration": configuration,
            EXTENSION: {
                "branch": str(branch_id),
                "grader": grader.value,
                "nonce": nonce,
                "issued_at": issued_at.isoformat(),
                "result_digest": result_digest(
                    verdict=verdict,
                    errored=errored,
                    issues=tuple(issues),
                    covered=covered_digest(covered),
                ),
                "coverage": sorted(coverage),
            },
        },
    }
    payload = json.dumps(statement, ensure_ascii=False, separators=(",", ":")).encode()
    signature = private_key.sign(encode_pae(PAYLOAD_TYPE, payload))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}],
    }
