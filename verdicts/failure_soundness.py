"""Whether the failure ledger is what the stored reports come to: computed anew, row by row."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched, groupby
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, F, OuterRef

from verdicts.coverage import read_covered, read_details
from verdicts.domain.coverage import Sighted, covers
from verdicts.domain.facts import IssueFacts
from verdicts.domain.ledger import TURNS_OF_STATE, Turn, enters
from verdicts.domain.terms import Confidence, Grader, IssueKind, Severity
from verdicts.failure_models import Failure, FailureEntry, FailureLine
from verdicts.models import Issue
from verel_site.kit.faults import Fault

ROWS: Final = 200
_GATING: Final = [one.value for one in (Severity.ERROR, Severity.CRITICAL)]


@dataclass(frozen=True, slots=True)
class _Sightings:
    """What the stored reports say of one fingerprint."""

    fingerprint: str
    first: tuple[datetime, UUID]
    last: tuple[datetime, UUID]
    reports: int
    runs: int


def check_failures(project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    """Every fault of a project's ledger; nothing is written. Reports of an older installation that
    wait to be recorded are none."""
    for some in batched(_read_sightings(project_id), ROWS):
        counts["failures"] += len(some)
        yield from _compare(project_id, some)
    seen = Issue.objects.filter(
        report__project=OuterRef("project"), fingerprint=OuterRef("fingerprint")
    )
    unfounded = Failure.objects.filter(~Exists(seen), project_id=project_id)
    for failure in unfounded.iterator(chunk_size=ROWS):
        yield Fault("changed", _name(failure), "no stored report ever found it")
    yield from _check_resolutions(project_id)


def _read_sightings(project_id: UUID) -> Iterator[_Sightings]:
    """In the order of fingerprints, a row of the database at a time."""
    rows = (
        Issue.objects.filter(
            report__project_id=project_id, report__in_ledger=True, severity__in=_GATING
        )
        .exclude(confidence=Confidence.LOW)
        .annotate(fallback=F("detail__fallback"))
        .order_by("fingerprint")
        .values_list(
            "fingerprint",
            "report__received_at",
            "report_id",
            "report__branch__run_id",
            "severity",
            "confidence",
            "source",
            "report__grader",
            "fallback",
        )
    )
    sighted = (row for row in rows.iterator(chunk_size=2_000) if _enters(*row[4:]))
    for fingerprint, group in groupby(sighted, key=lambda row: row[0]):
        told = [(row[1], row[2], row[3]) for row in group]
        arrivals = {(at, report) for at, report, _ in told}
        yield _Sightings(
            fingerprint, min(arrivals), max(arrivals), len(arrivals), len({run for *_, run in told})
        )


def _enters(severity: str, confidence: str, source: str, grader: str, fallback: Any) -> bool:
    issue = IssueFacts(
        IssueKind.OTHER, Severity(severity), Confidence(confidence), Grader(source), "", ""
    )
    return enters(issue, Grader(grader), {"fallback": fallback})


def _compare(project_id: UUID, told: Sequence[_Sightings]) -> Iterator[Fault]:
    rows = Failure.objects.filter(
        project_id=project_id, fingerprint__in=[one.fingerprint for one in told]
    )
    known = {row.fingerprint: row for row in rows}
    entries: dict[UUID, list[FailureEntry]] = {}
    of_these = FailureEntry.objects.filter(failure__in=known.values()).order_by("pk")
    for entry in of_these.select_related("report"):
        entries.setdefault(entry.failure_id, []).append(entry)
    lines: dict[UUID, list[FailureLine]] = {}
    for line in FailureLine.objects.filter(failure__in=known.values()):
        lines.setdefault(line.failure_id, []).append(line)
    for one in told:
        failure = known.get(one.fingerprint)
        if failure is None:
            yield Fault("missing", f"failure {one.fingerprint}", "reports found it, and it is not")
            continue
        history = entries.get(failure.pk, [])
        for detail in (
            *_count_faults(failure, one),
            *_state_faults(failure, history),
            *_line_faults(lines.get(failure.pk, []), history),
        ):
            yield Fault("changed", _name(failure), detail)


def _name(failure: Failure) -> str:
    return f"failure {failure.fingerprint} ({failure.pk})"


def _count_faults(failure: Failure, told: _Sightings) -> Iterator[str]:
    if (failure.first_at, failure.first_report_id) != told.first:
        yield f"it was first seen by report {told.first[1]}"
    if (failure.last_at, failure.last_report_id) != told.last:
        yield f"it was last seen by report {told.last[1]}"
    if failure.sightings != told.reports:
        yield f"{told.reports} reports found it, and it says {failure.sightings}"
    if failure.runs != told.runs:
        yield f"{told.runs} runs saw it, and it says {failure.runs}"


def _state_faults(failure: Failure, history: Sequence[FailureEntry]) -> Iterator[str]:
    turns = Counter(entry.turn for entry in history)
    if failure.returns != turns[Turn.RETURNED]:
        yield f"it came back {turns[Turn.RETURNED]} times, and it says {failure.returns}"
    resolved = [
        (entry.report.received_at, entry.report.pk)
        for entry in history
        if entry.turn == Turn.RESOLVED and entry.report is not None
    ]
    last = max(resolved, default=(None, None))
    if (failure.resolved_at, failure.resolved_report_id) != last:
        yield f"it was last resolved by report {last[1] or 'none'}"
    if failure.open != (last[0] is None or last[0] <= failure.last_at):
        yield "whether it is open is not what it was seen and resolved by"
    decided = [e for e in history if e.turn in (Turn.QUARANTINED, Turn.LIFTED)]
    held = decided[-1].pk if decided and decided[-1].turn == Turn.QUARANTINED else None
    if failure.ticket_id != held:
        yield "its quarantine is not what the ledger's last entry about it says"


def _line_faults(lines: Sequence[FailureLine], history: Sequence[FailureEntry]) -> Iterator[str]:
    last: dict[tuple[UUID | None, str, str], FailureEntry] = {}
    for entry in history:
        if entry.turn in TURNS_OF_STATE:
            last[entry.branch_id, entry.grader, entry.tool] = entry
    for line in lines:
        # A line that a branch goes on with has no entry of its own.
        own = last.pop((line.branch_id, line.grader, line.tool), None)
        if own and (line.entry_id, line.open) != (own.pk, own.turn != Turn.RESOLVED):
            yield f"on branch {line.branch_id} it does not stand as its last entry says"
    for entry in last.values():
        yield f"on branch {entry.branch_id} it does not stand at all"


def _check_resolutions(project_id: UUID) -> Iterator[Fault]:
    """What a report resolved it did not find, and it did run, and look there."""
    found = Issue.objects.filter(
        report=OuterRef("report"), fingerprint=OuterRef("failure__fingerprint")
    )
    rows = FailureEntry.objects.filter(failure__project=project_id, turn=Turn.RESOLVED.value)
    for entry in (rows.filter(Exists(found)) | rows.filter(report__errored=True)).iterator():
        yield Fault(
            "changed",
            f"entry {entry.pk} of failure {entry.failure_id}",
            f"report {entry.report_id} resolved nothing: it found it, or did not run",
        )
    named = rows.filter(report__coverage__isnull=False).select_related("report", "failure")
    for some in batched(named.order_by("pk").iterator(chunk_size=ROWS), ROWS):
        yield from _check_covered(some)


def _check_covered(entries: Sequence[FailureEntry]) -> Iterator[Fault]:
    details = read_details([entry.failure for entry in entries])
    for entry in entries:
        failure, report = entry.failure, entry.report
        if report is None:
            continue
        sighted = Sighted.of(
            source=Grader(failure.source),
            locator=failure.locator,
            detail=details.get(failure.fingerprint, {}),
        )
        if not covers(read_covered(report), sighted):
            yield Fault(
                "changed",
                f"entry {entry.pk} of failure {entry.failure_id}",
                f"report {report.pk} resolved nothing: it did not look there",
            )
