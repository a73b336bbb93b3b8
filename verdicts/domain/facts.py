"""What the gate looks at: plain values, made from stored rows or by a runner, never from a clock."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity, Verdict


class ReceiptStanding(StrEnum):
    """What checking a receipt's signature, key and nonce came to."""

    VALID = "valid"
    FORGED = "forged"
    UNKNOWN_RUNNER = "unknown_runner"
    REVOKED_RUNNER = "revoked_runner"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    WRONG_SUBJECT = "wrong_subject"


@dataclass(frozen=True, slots=True)
class IssueFacts:
    """One finding. `locator` is empty where the grader names no place."""

    kind: IssueKind
    severity: Severity
    confidence: Confidence
    source: Grader
    fingerprint: str
    message: str
    locator: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a receipt claims. Digests are lower-case hex; `runner` is a name to show."""

    standing: ReceiptStanding
    suite_digest: str = ""
    inputs_digest: str = ""
    covered_files: frozenset[str] = frozenset()
    result_digest: str = ""
    runner: str = ""


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """One report about one head. `order` rises with the time of arrival; `tool` names which of a
    grader's tools spoke, or is empty.

    `verdict` is what the grader claims: it is part of what a receipt signs, and nothing else.
    """

    grader: Grader
    verdict: Verdict = Verdict.PASS
    errored: bool = False
    issues: tuple[IssueFacts, ...] = ()
    receipt: ReceiptFacts | None = None
    order: int = 0
    summary: str = ""
    tool: str = ""


@dataclass(frozen=True, slots=True)
class RequiredGrader:
    """A grader that a policy demands; `suite` is the one frozen suite it must have run, if named."""

    grader: Grader
    suite: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One check that failed or warned, in words. `grader` is None where none is concerned."""

    check: str
    grader: Grader | None
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One line of the gate's checklist: how one grader stands on this head.

    `verdict` is pass, warn, fail, error (only errored), pending (required, no report) or stale
    (reported on an older head only). `why` is one line of text; `proof` names the receipt, or is
    empty.
    """

    grader: Grader
    verdict: str
    advisory: bool
    why: str
    proof: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says of one head.

    `graded` is False when no grader ran on this head at all; the verdict is then never pass.
    `attributions` maps each fingerprint that warned or failed to the grader that found it.
    """

    verdict: Verdict
    graded: bool
    reasons: tuple[Reason, ...]
    attributions: dict[str, Grader] = field(default_factory=dict)
    standings: tuple[Standing, ...] = ()


def _packed(*parts: str) -> bytes:
    """Each part as UTF-8 behind its length in 8 big-endian bytes, so that no two lists coincide."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)


def result_digest(
    *, verdict: Verdict, errored: bool, issues: tuple[IssueFacts, ...] | list[IssueFacts]
) -> str:
    """What a runner signs about its result: SHA-256 in hex.

    The hashed bytes are strings, each in UTF-8 behind its length as 8 big-endian bytes: the
    verdict, then `true` or `false` for errored, then for each issue the packed form of (kind,
    severity, confidence, source, fingerprint, message, locator), itself behind its length; issues
    in ascending order of their packed bytes, so the order in which they were listed is free.
    """
    rows = sorted(
        _packed(
            issue.kind,
            issue.severity,
            issue.confidence,
            issue.source,
            issue.fingerprint,
            issue.message,
            issue.locator,
        )
        for issue in issues
    )
    hashed = hashlib.sha256(_packed(verdict, "true" if errored else "false"))
    for row in rows:
        hashed.update(len(row).to_bytes(8, "big") + row)
    return hashed.hexdigest()
