"""The failure ledger's writers: what a stored report turns in it, and what people decide about it.

A report is recorded in the transaction that stores it, with its branch locked: one line of the
ledger (a branch, by one tool) has one writer at a time. What several branches share is locked row
by row, in the order of fingerprints.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from branches.journal import lock_branch
from branches.selectors.lineage import read_lineage
from verdicts.admission import issue_facts
from verdicts.coverage import read_covered, read_details
from verdicts.domain.coverage import Sighted, covers
from verdicts.domain.facts import IssueFacts, ReceiptStanding
from verdicts.domain.fingerprint import scrub
from verdicts.domain.ledger import (
    TURNS_OF_STATE,
    Past,
    Turn,
    bug_key,
    enters,
    turn_of_seen,
    turn_of_unseen,
)
from verdicts.domain.terms import Grader
from verdicts.failure_models import MAX_TEXT, Failure, FailureEntry, FailureLine
from verdicts.models import Report
from verdicts.quarantine import quarantine_flaky

# Databases take only so many parameters in one statement.
AT_ONCE: Final = 400

type Found = tuple[IssueFacts, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Stand:
    """How a failure stands on the report's line before it: own, or as the branch inherits it."""

    past: Past
    entry: int
    own: bool = False
    silent: UUID | None = None


@dataclass(slots=True)
class _Turned:
    """What the report turns: new entries and how their lines stand after them, lines that go on as
    they were, and the failures whose counts change."""

    entries: list[tuple[FailureEntry, Past]] = field(default_factory=list)
    lines: list[FailureLine] = field(default_factory=list)
    first: list[Failure] = field(default_factory=list)
    last: list[Failure] = field(default_factory=list)
    new_run: list[Failure] = field(default_factory=list)
    sighted: list[Failure] = field(default_factory=list)
    resolved: list[Failure] = field(default_factory=list)
    returned: list[Failure] = field(default_factory=list)


def record_report(*, report: Report, found: Sequence[Found]) -> None:
    """Writes what a just stored report says of failures. Call once for a report, with its branch
    locked, inside the transaction that stores it, and its branch's reports in their order."""
    sighted: dict[str, IssueFacts] = {}
    grader = Grader(report.grader)
    for issue, detail in found:
        if issue.fingerprint not in sighted and enters(issue, grader, detail):
            sighted[issue.fingerprint] = issue
    stands = _read_own(report)
    inherited = _read_inherited(report, sighted, stands)
    if not sighted and not stands and not inherited:
        return
    named = {issue.fingerprint for issue, _ in found}
    failures = _enter(report, sighted, [*stands, *inherited])
    _turn(report, failures, sighted, named, inherited | stands)
    quarantine_flaky(report=report, failures=failures)


def fill_in_branch(*, branch_id: UUID) -> int:
    """Records reports that were stored before there was a ledger; answers how many."""
    with transaction.atomic():
        lock_branch(branch_id=branch_id)
        waiting = Report.objects.filter(branch=branch_id, in_ledger=False).order_by("order")
        rows = list(waiting.prefetch_related("issues").select_related("branch__run"))
        for row in rows:
            found = [(issue_facts(issue), issue.detail) for issue in row.issues.all()]
            record_report(report=row, found=found)
            Report.objects.filter(pk=row.pk).update(in_ledger=True)
    return len(rows)


def fill_in() -> bool:
    """One step of the standing job that fills the ledger of an older installation; says whether
    there may be more right away."""
    first = Report.objects.filter(in_ledger=False).order_by("branch_id").first()
    return first is not None and fill_in_branch(branch_id=first.branch_id) > 0


def _lines(report: Report) -> QuerySet[FailureLine]:
    return FailureLine.objects.filter(
        branch=report.branch_id, grader=report.grader, tool=report.tool
    ).select_related("failure")


def _as_stand(line: FailureLine) -> _Stand:
    past = Past(line.open, line.seq, line.returned)
    return _Stand(past, line.entry_id, own=True, silent=line.silent_id)


def _read_own(report: Report) -> dict[str, _Stand]:
    """By fingerprint, what stands open on the report's own line."""
    return {line.failure.fingerprint: _as_stand(line) for line in _lines(report).filter(open=True)}


def _read_inherited(
    report: Report, sighted: Iterable[str], own: Mapping[str, _Stand]
) -> dict[str, _Stand]:
    """What else bears on the report: closed lines of what it found, and what its branch inherits.

    A branch inherits where it forks: of all that stands open there with the first report of a tool,
    later only of what that finds for the first time.
    """
    asked = [key for key in sighted if key not in own]
    found: dict[str, _Stand] = {}
    for some in _portions(asked):
        closed = _lines(report).filter(failure__fingerprint__in=some)
        found |= {line.failure.fingerprint: _as_stand(line) for line in closed}
    if report.branch.parent_id is None:
        return found
    earlier = Report.objects.filter(
        branch=report.branch_id, grader=report.grader, tool=report.tool, order__lt=report.order
    )
    if not earlier.exists():
        past = _read_past(report, None)
        found |= {key: one for key, one in past.items() if one.past.open or key in asked}
    else:
        unknown = [key for key in asked if key not in found]
        for some in _portions(unknown):
            found |= _read_past(report, some)
    return found


def _read_past(report: Report, fingerprints: Sequence[str] | None) -> dict[str, _Stand]:
    """How failures stood on the ancestors' lines, each cut where its child forks: the nearest
    ancestor's word, and of that the last."""
    segments = read_lineage(report.branch)[:-1]
    height = {one.branch: place for place, one in enumerate(segments)}
    cut = {one.branch: one.upto for one in segments}
    rows = FailureEntry.objects.filter(
        branch__in=list(cut),
        grader=report.grader,
        tool=report.tool,
        turn__in=[turn.value for turn in TURNS_OF_STATE],
    )
    if fingerprints is not None:
        rows = rows.filter(failure__fingerprint__in=fingerprints)
    told = rows.values_list("branch_id", "head_seq", "pk", "turn", "failure__fingerprint")
    stands: dict[str, _Stand] = {}
    within = [row for row in told if row[1] <= cut[row[0]]]
    for _, _, pk, turn, key in sorted(within, key=lambda row: (height[row[0]], row[1], row[2])):
        before = stands.get(key)
        returned = turn == Turn.RETURNED or (before is not None and before.past.returned)
        stands[key] = _Stand(Past(turn != Turn.RESOLVED, 0, returned), pk)
    return stands


def _enter(
    report: Report, sighted: Mapping[str, IssueFacts], others: Iterable[str]
) -> dict[str, Failure]:
    """The failures that the report bears on, locked; new ones are entered first."""
    fingerprints = sorted({*sighted, *others})
    rows = Failure.objects.filter(project_id=report.project_id)
    known = known_fingerprints(project_id=report.project_id, fingerprints=fingerprints)
    new = [_new_failure(report, sighted[key]) for key in sorted(sighted) if key not in known]
    Failure.objects.bulk_create(new, batch_size=AT_ONCE, ignore_conflicts=True)
    locked: dict[str, Failure] = {}
    for some in _portions(fingerprints):
        found = rows.filter(fingerprint__in=some).order_by("fingerprint").select_for_update()
        locked |= {row.fingerprint: row for row in found}
    return locked


def known_fingerprints(*, project_id: UUID, fingerprints: Sequence[str]) -> set[str]:
    """Those of the fingerprints that the project's ledger has."""
    rows = Failure.objects.filter(project_id=project_id)
    known: set[str] = set()
    for some in _portions(fingerprints):
        known |= set(rows.filter(fingerprint__in=some).values_list("fingerprint", flat=True))
    return known


def _new_failure(report: Report, issue: IssueFacts) -> Failure:
    """As it stands before its first sighting is counted."""
    scrubbed = scrub(issue.message)
    return Failure(
        project_id=report.project_id,
        fingerprint=issue.fingerprint,
        first_report=report,
        first_at=report.received_at,
        last_report=report,
        last_at=report.received_at,
        kind=issue.kind.value,
        source=issue.source.value,
        message=issue.message[:MAX_TEXT],
        scrubbed=scrubbed[:MAX_TEXT],
        locator=issue.locator[:MAX_TEXT],
        bug=bug_key(issue.kind, scrubbed),
    )


def _turn(
    report: Report,
    failures: Mapping[str, Failure],
    sighted: Collection[str],
    named: Collection[str],
    stands: Mapping[str, _Stand],
) -> None:
    turned = _Turned()
    began = _runs_before(report, [failures[key].pk for key in sighted])
    unseen = [] if report.errored else [key for key in failures if key not in named]
    looked, unlooked = _find_looked(report, {key: failures[key] for key in unseen}, stands)
    for key, failure in failures.items():
        stand = stands.get(key)
        turn = None
        past = stand.past if stand else None
        if key in sighted:
            elsewhere = _resolved_before(failure, report)
            turn = turn_of_seen(past, seq=report.head_seq, resolved_elsewhere=elsewhere)
            _count_sighting(turned, report, failure, new_run=failure.pk not in began)
        elif key in looked:
            turn = turn_of_unseen(past, seq=report.head_seq)
        if turn is not None:
            _note_turn(turned, report, failure, stand, turn)
        elif stand is not None and stand.past.open:
            silent = key in unlooked
            _go_on(turned, report, failure, stand, named=key in named, silent=silent)
    _write(report, turned)


def _find_looked(
    report: Report, failures: Mapping[str, Failure], stands: Mapping[str, _Stand]
) -> tuple[set[str], set[str]]:
    """Of the open failures that the report does not name: those that it would have named if they
    still stood, see `domain.coverage`, and those for which it did not look.

    A failure of another suite than the one that the report proves to have run is neither: suites
    are rotated, and the policy says which one counts.
    """
    open_ones = {key: stand for key in failures if (stand := stands.get(key)) and stand.past.open}
    if not open_ones:
        return set(), set()
    covered = read_covered(report)
    suites: dict[int, str] = {}
    for some in _portions(sorted({stand.entry for stand in open_ones.values()})):
        rows = FailureEntry.objects.filter(pk__in=some)
        suites |= dict(rows.values_list("pk", "report__suite_digest"))
    details = read_details([failures[key] for key in open_ones])
    proves = report.suite_digest if report.receipt_standing == ReceiptStanding.VALID else ""
    looked, unlooked = set(), set()
    for key, stand in open_ones.items():
        suite = suites.get(stand.entry) or ""
        sighted = Sighted.of(
            source=Grader(failures[key].source),
            locator=failures[key].locator,
            detail=details.get(key, {}),
            suite=suite,
        )
        if covers(covered, sighted):
            looked.add(key)
        elif not (proves and suite and proves != suite):
            unlooked.add(key)
    return looked, unlooked


def _note_turn(
    turned: _Turned, report: Report, failure: Failure, stand: _Stand | None, turn: Turn
) -> None:
    answers = None
    if turn in (Turn.RETURNED, Turn.RESOLVED):
        answers = stand.entry if stand else _last_resolution(failure)
    returned = turn == Turn.RETURNED or (stand is not None and stand.past.returned)
    after = Past(turn != Turn.RESOLVED, report.head_seq, returned)
    turned.entries.append((_entry(report, failure, turn, answers), after))
    if turn == Turn.RETURNED:
        turned.returned.append(failure)
    elif turn == Turn.RESOLVED:
        last = failure.resolved_at, failure.resolved_report_id
        if last[0] is None or last[1] is None or _arrival(report) > (last[0], last[1]):
            turned.resolved.append(failure)


def _go_on(
    turned: _Turned,
    report: Report,
    failure: Failure,
    stand: _Stand,
    *,
    named: bool,
    silent: bool,
) -> None:
    """The line stands open as it did; it was seen on a later head, was not looked for, or begins
    where it was inherited."""
    past = stand.past
    if named and report.head_seq > past.seq:
        past = replace(past, seq=report.head_seq)
    quiet = stand.silent
    # What is said of an older head, or by a run that broke, says nothing of the present one.
    if not report.errored and bytes(report.head_digest) == bytes(report.branch.head_digest):
        quiet = report.pk if silent else None
    if not stand.own or (past, quiet) != (stand.past, stand.silent):
        turned.lines.append(_new_line(report, failure, past, stand.entry, quiet))


def _new_line(
    report: Report, failure: Failure, past: Past, entry: int, silent: UUID | None = None
) -> FailureLine:
    return FailureLine(
        failure=failure,
        run_id=report.branch.run_id,
        branch_id=report.branch_id,
        grader=report.grader,
        tool=report.tool,
        open=past.open,
        returned=past.returned,
        silent_id=silent,
        seq=past.seq,
        entry_id=entry,
    )


def _entry(report: Report, failure: Failure, turn: Turn, answers: int | None) -> FailureEntry:
    return FailureEntry(
        failure=failure,
        turn=turn.value,
        report=report,
        branch_id=report.branch_id,
        grader=report.grader,
        tool=report.tool,
        head_seq=report.head_seq,
        answers_id=answers,
        by_kind=report.by_kind,
        by_id=report.by_id,
        by_name=report.by_name,
        at=report.received_at,
    )


def _arrival(report: Report) -> tuple[datetime, UUID]:
    """First and last go by it, so that they come out the same in whatever order the reports of
    several branches are recorded."""
    return report.received_at, report.pk


def _count_sighting(turned: _Turned, report: Report, failure: Failure, *, new_run: bool) -> None:
    turned.sighted.append(failure)
    if new_run:
        turned.new_run.append(failure)
    if _arrival(report) < (failure.first_at, failure.first_report_id):
        turned.first.append(failure)
    if _arrival(report) >= (failure.last_at, failure.last_report_id):
        turned.last.append(failure)


def _write(report: Report, turned: _Turned) -> None:
    entries = [entry for entry, _ in turned.entries]
    FailureEntry.objects.bulk_create(entries, batch_size=AT_ONCE)
    lines = [_new_line(report, entry.failure, past, entry.pk) for entry, past in turned.entries]
    FailureLine.objects.bulk_create(
        [*lines, *turned.lines],
        batch_size=AT_ONCE,
        update_conflicts=True,
        unique_fields=["branch", "grader", "tool", "failure"],
        update_fields=["open", "returned", "silent", "seq", "entry"],
    )
    at = report.received_at
    _update(turned.sighted, sightings=F("sightings") + 1)
    _update(turned.new_run, runs=F("runs") + 1)
    _update(turned.first, first_report=report, first_at=at)
    _update(turned.last, last_report=report, last_at=at)
    _update(turned.resolved, resolved_report=report, resolved_at=at)
    _update(turned.returned, returns=F("returns") + 1)
    # Seen after it was last resolved, as the row stands now.
    seen_after = Q(resolved_at=None) | Q(last_at__gte=F("resolved_at"))
    _update([*turned.last, *turned.resolved], open=seen_after)


def _update(failures: Sequence[Failure], **changes: Any) -> None:
    for some in _portions([failure.pk for failure in failures]):
        Failure.objects.filter(pk__in=some).update(**changes)


def _runs_before(report: Report, failures: Sequence[UUID]) -> set[UUID]:
    """Those of the failures that this run has seen already."""
    known: set[UUID] = set()
    for some in _portions(failures):
        rows = FailureLine.objects.filter(failure__in=some, run=report.branch.run_id)
        known |= set(rows.values_list("failure_id", flat=True))
    return known


def _resolved_before(failure: Failure, report: Report) -> bool:
    """Whether it was resolved in the whole project before the report's run began."""
    at = failure.resolved_at
    return not failure.open and at is not None and at < report.branch.run.created_at


def _last_resolution(failure: Failure) -> int | None:
    rows = FailureEntry.objects.filter(failure=failure, turn=Turn.RESOLVED.value)
    return rows.order_by("-pk").values_list("pk", flat=True).first()


def _portions[Key](keys: Sequence[Key]) -> Iterable[Sequence[Key]]:
    return (keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE))
