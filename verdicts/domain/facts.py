"""What the gate looks at: plain values, made from stored rows or by a runner, never from a clock."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from verdicts.domain.coverage import Covered, LeftOut
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
    `model` is the one that judged, as the report names it, or empty.
    `covered_digest` is of what it names as looked at (`covered_digest`), which its receipt signs with
    the result, or empty where it names nothing. `left_out` is what an earlier report of its tool on
    this lineage had looked at, and it did not.
    `by_server`: made in this process and never stored, so that it owes no receipt and stands in for
    no grader that does.
    """

    grader: Grader
    verdict: Verdict = Verdict.PASS
    errored: bool = False
    issues: tuple[IssueFacts, ...] = ()
    receipt: ReceiptFacts | None = None
    order: int = 0
    summary: str = ""
    tool: str = ""
    model: str = ""
    covered_digest: str = ""
    left_out: tuple[LeftOut, ...] = ()
    by_server: bool = False


@dataclass(frozen=True, slots=True)
class RequiredGrader:
    """A grader that a policy demands; `suite` is the one frozen suite it must have run, if named."""

    grader: Grader
    suite: str | None = None


class Reason(NamedTuple):
    """One check that failed or warned, in words. `grader` is None where none is concerned."""

    check: str
    grader: Grader | None
    text: str


class Told(NamedTuple):
    """The reasons of one check and grader together: a grader's findings may be thousands."""

    check: str
    grader: Grader | None
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """One line of the gate's checklist: how one grader stands on this head.

    `verdict` is pass, warn, fail, error (only errored), pending (required, no report) or stale
    (reported on an older head only). `why` is one line of text; `proof` names the receipt, or is
    empty. `name` is of a tool of the server's own, which no grader is; empty for a grader.
    """

    grader: Grader
    verdict: str
    advisory: bool
    why: str
    proof: str
    required: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says of one head.

    `graded` is False when no grader ran on this head at all; the verdict is then never pass.
    `told` are the reasons: of failing checks first, then of findings, each grader's worst first.
    `attributions` maps each fingerprint that warned or failed to the grader that found it.
    """

    verdict: Verdict
    graded: bool
    told: tuple[Told, ...]
    attributions: dict[str, Grader] = field(default_factory=dict)
    standings: tuple[Standing, ...] = ()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """One by one, in order."""
        return list_reasons(self.told)


def list_reasons(told: Iterable[Told]) -> tuple[Reason, ...]:
    return tuple(Reason(check, grader, text) for check, grader, texts in told for text in texts)


# Bytes are put together as text of as many characters below 256: no string of an issue that is
# ASCII, and few are not, is then encoded by itself. Order and length are those of the bytes.
_LATIN: Final = "latin-1"


def _told_size(size: int) -> str:
    return size.to_bytes(8, "big").decode(_LATIN)


_SIZES: Final = tuple(_told_size(size) for size in range(1024))


def _packed(*parts: str) -> str:
    """Each part as UTF-8 behind its length in 8 big-endian bytes, so that no two lists coincide."""
    told: list[str] = []
    for part in parts:
        if not part.isascii():
            part = part.encode("utf-8", "surrogatepass").decode(_LATIN)
        size = len(part)
        told += (_SIZES[size] if size < len(_SIZES) else _told_size(size), part)
    return "".join(told)


# As many as there are combinations of the four.
_packed_words = lru_cache(4096)(_packed)


def _packed_issue(issue: IssueFacts) -> str:
    words = _packed_words(issue.kind, issue.severity, issue.confidence, issue.source)
    mark, message, locator = issue.fingerprint, issue.message, issue.locator
    if mark.isascii() and message.isascii() and locator.isascii():
        try:
            return (
                f"{words}{_SIZES[len(mark)]}{mark}"
                f"{_SIZES[len(message)]}{message}{_SIZES[len(locator)]}{locator}"
            )
        except IndexError:
            # One that is longer than the sizes that are told beforehand.
            pass
    return words + _packed(mark, message, locator)


def covered_digest(covered: Covered | None) -> str:
    """What a runner signs of the names that a report covers: SHA-256 in hex, or empty where it names
    neither tests nor files.

    The hashed bytes are, for `tests` and then for `files`, those of the two that are named: the
    packed form of the word and its names, each once and in ascending order of their bytes, itself
    behind its length; packed as in `result_digest`.
    """
    named = [("tests", covered.tests), ("files", covered.files)] if covered else []
    rows = [_packed(word, *sorted(names)) for word, names in named if names is not None]
    return hashlib.sha256("".join(_sized(rows)).encode(_LATIN)).hexdigest() if rows else ""


def reported_digest(report: ReportFacts) -> str:
    """The result digest of a report as it stands."""
    return result_digest(
        verdict=report.verdict,
        errored=report.errored,
        issues=report.issues,
        covered=report.covered_digest,
    )


def result_digest(
    *,
    verdict: Verdict,
    errored: bool,
    issues: tuple[IssueFacts, ...] | list[IssueFacts],
    covered: str = "",
) -> str:
    """What a runner signs about its result: SHA-256 in hex.

    The hashed bytes are strings, each in UTF-8 behind its length as 8 big-endian bytes: the
    verdict, then `true` or `false` for errored, then for each issue the packed form of (kind,
    severity, confidence, source, fingerprint, message, locator), itself behind its length; issues
    in ascending order of their packed bytes, so the order in which they were listed is free. Last,
    and only for a report that names what it `covered`, the packed form of (`covered`, its
    `covered_digest`), behind its length: a report that names nothing has the digest that it had
    before reports could.
    """
    rows = sorted([_packed_issue(issue) for issue in issues])
    if covered:
        rows.append(_packed("covered", covered))
    told = "".join([_packed(verdict, "true" if errored else "false"), *_sized(rows)])
    return hashlib.sha256(told.encode(_LATIN)).hexdigest()


def _sized(rows: list[str]) -> list[str]:
    return [
        (_SIZES[len(row)] if len(row) < len(_SIZES) else _told_size(len(row))) + row for row in rows
    ]
