"""The failure ledger's rules: when a fingerprint opens, is resolved and comes back, and what the
regression guard says of one that did."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2s
from typing import Final

from verdicts.domain.facts import IssueFacts, ReportFacts
from verdicts.domain.fingerprint import fingerprint
from verdicts.domain.gate import counted_reports, effective_severity
from verdicts.domain.terms import GATING_SEVERITY, Confidence, Grader, IssueKind, Severity

# The tool under which the guard reports; a report that somebody pushes is never taken for it.
GUARD: Final = "regression guard"
BUG_LENGTH: Final = 16


class Turn(StrEnum):
    """What an entry of the ledger says befell a fingerprint."""

    OPENED = "opened"
    RETURNED = "returned"
    RESOLVED = "resolved"
    QUARANTINED = "quarantined"
    LIFTED = "lifted"


# Those that say whether it fails; the others say how the gate takes it.
TURNS_OF_STATE: Final = (Turn.OPENED, Turn.RETURNED, Turn.RESOLVED)


@dataclass(frozen=True, slots=True)
class Past:
    """How a fingerprint stands on one line (a branch, by one tool of one grader) before a report.

    `seq` is that of the head which said so last; 0 is the fork point, and what a branch inherits.
    """

    open: bool
    seq: int
    returned: bool = False


def turn_of_seen(past: Past | None, *, seq: int, resolved_elsewhere: bool = False) -> Turn | None:
    """What a report that finds the failure at head `seq` turns, or None.

    `resolved_elsewhere`: it was resolved in the whole project before this run began.
    """
    if past is None:
        return Turn.RETURNED if resolved_elsewhere else Turn.OPENED
    if past.open or seq < past.seq:
        return None
    # Gone and there again on one head is a flaky finding, not a regression.
    return Turn.OPENED if seq == past.seq else Turn.RETURNED


def turn_of_unseen(past: Past | None, *, seq: int) -> Turn | None:
    """What a report of the same tool that ran and does not name the fingerprint turns, or None.

    On the head on which it was seen last nothing was mended: the tool disagrees with itself.
    """
    if past is None or not past.open or seq <= past.seq:
        return None
    return Turn.RESOLVED


def enters(issue: IssueFacts, grader: Grader, detail: Mapping[str, object]) -> bool:
    """Whether a finding belongs into the ledger: it shuts the gate by its weight there, and is not
    a stand-in that a grader makes up where it has nothing to tell."""
    if detail.get("fallback") is True:
        return False
    return effective_severity(issue, grader).rank >= GATING_SEVERITY.rank


def bug_key(kind: str, scrubbed: str) -> str:
    """What failures of one known bug share: their kind and scrubbed message."""
    told = f"{kind}|{scrubbed}".encode("utf-8", "surrogatepass")
    return blake2s(told).hexdigest()[:BUG_LENGTH]


@dataclass(frozen=True, slots=True)
class Return:
    """A fingerprint that came back on a branch, by one tool; `resolved` says in words by what it
    had been resolved."""

    grader: Grader
    tool: str
    fingerprint: str
    resolved: str


def guard_regressions(
    *,
    reports: Collection[ReportFacts],
    returns: Sequence[Return],
    quarantined: frozenset[str] = frozenset(),
    advisory_window: int = 1,
) -> ReportFacts | None:
    """The guard's own report on a head, or None where nothing came back.

    A returned fingerprint counts where a report that the gate counts names it as a warning or
    worse, by the weight of its grader: calling a regression a warning does not end it. What is in
    quarantine does not come back, it comes and goes.
    """
    known = {(one.grader, one.tool, one.fingerprint): one for one in returns}
    found: dict[str, IssueFacts] = {}
    latest = 0
    for report in counted_reports(reports, advisory_window) if known else ():
        latest = max(latest, report.order)
        for issue in report.issues:
            back = known.get((report.grader, report.tool, issue.fingerprint))
            if back and issue.fingerprint not in quarantined and _bites(issue, report.grader):
                found.setdefault(issue.fingerprint, _as_regression(issue, back))
    if not found:
        return None
    return ReportFacts(
        grader=Grader.OTHER,
        tool=GUARD,
        issues=tuple(found[key] for key in sorted(found)),
        order=latest,
        by_server=True,
    )


def _bites(issue: IssueFacts, grader: Grader) -> bool:
    weight = effective_severity(issue, grader)
    return weight == issue.severity and weight.rank >= Severity.WARNING.rank


def _as_regression(issue: IssueFacts, back: Return) -> IssueFacts:
    return IssueFacts(
        kind=IssueKind.REGRESSION,
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        source=Grader.OTHER,
        fingerprint=fingerprint(
            source=Grader.OTHER,
            kind=IssueKind.REGRESSION,
            message="",
            locator=issue.fingerprint,
        ),
        message=f"{issue.fingerprint} came back, {back.resolved}: {issue.message}",
        locator=issue.locator,
    )
