"""Runs: every branch's chains, its fork point, and that no row is left out, doubled or astray."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Exists, F, Max, OuterRef, Subquery

from branches.domain.chains import Ends, Mark, SealedRow, check_chain, pass_marks
from branches.models import Branch, Event, Run
from branches.storage.payloads import UnreadableEvent, payload_bytes
from verel_site.kit.faults import Fault
from verel_site.kit.snapshots import one_moment

READ_ROWS: Final = 1000
RUNS_AT_ONCE: Final = 200
ROOT: Final = bytes(32)

type Suffix = tuple[UUID, Iterable[Event]]


def check_runs(project_id: UUID, counts: Counter[str], marks: Sequence[Mark]) -> Iterator[Fault]:
    """Every run's branches and events, then what no run would show."""
    number = 0
    while runs := list(
        Run.objects.filter(project_id=project_id, number__gt=number).order_by("number")[
            :RUNS_AT_ONCE
        ]
    ):
        for run in runs:
            if run.number != number + 1:
                yield Fault("missing", f"run r-{number + 1}", f"no run before r-{run.number}")
            with one_moment():
                yield from _check_run(run, counts, marks)
            number = run.number
    with one_moment():
        yield from _check_strays(project_id)
        yield from _check_event_ids(project_id)


def _check_run(run: Run, counts: Counter[str], marks: Sequence[Mark]) -> Iterator[Fault]:
    """Branches and events side by side, both ordered by the branch's id: two queries."""
    counts["runs"] += 1
    suffixes = groupby(_read_events(run), key=lambda event: event.branch_id)
    waiting: Suffix | None = next(suffixes, None)
    numbers: set[int] = set()
    for branch in _read_branches(run):
        while waiting is not None and waiting[0] < branch.pk:
            yield from _say_orphans(run, waiting)
            waiting = next(suffixes, None)
        own = waiting[1] if waiting is not None and waiting[0] == branch.pk else ()
        rows = pass_marks(_counted(map(_as_sealed, own), counts), marks)
        yield from _check_branch(run, branch, rows, counts)
        if own:
            waiting = next(suffixes, None)
        numbers.add(branch.number)
    while waiting is not None:
        yield from _say_orphans(run, waiting)
        waiting = next(suffixes, None)
    for number in sorted(set(range(len(numbers))) - numbers):
        yield Fault("missing", f"branch {number} of run r-{run.number}", "there is no such branch")


def _read_events(run: Run) -> Iterator[Event]:
    rows = Event.objects.filter(run_id=run.pk).order_by("branch_id", "seq")
    return rows.iterator(chunk_size=READ_ROWS)


def _read_branches(run: Run) -> Iterator[Any]:
    """The run's branches, each with its parent's facts and the chains at its fork point."""
    point = Event.objects.filter(
        run_id=OuterRef("run_id"), branch_id=OuterRef("parent_id"), seq=OuterRef("fork_seq")
    )
    rows = Branch.objects.filter(run_id=run.pk).annotate(
        parent_run=F("parent__run_id"),
        parent_base=F("parent__base"),
        point_digest=Subquery(point.values("digest")[:1]),
        point_seal=Subquery(point.values("seal")[:1]),
    )
    return rows.order_by("pk").iterator(chunk_size=READ_ROWS)


def _say_orphans(run: Run, suffix: Suffix) -> Iterator[Fault]:
    branch_id, events = suffix
    for event in events:
        yield Fault(
            "misplaced",
            f"event {event.seq} of run r-{run.number} (event_id {event.event_id})",
            f"its branch {branch_id} does not belong to this run",
        )


def _check_branch(
    run: Run, branch: Any, rows: Iterable[SealedRow], counts: Counter[str]
) -> Iterator[Fault]:
    counts["branches"] += 1
    named = f"{branch.label} of run r-{run.number} (branch {branch.pk})"
    start_digest, start_seal = bytes(branch.point_digest or ROOT), bytes(branch.point_seal or ROOT)
    for detail in _fork_faults(run, branch, start_digest):
        yield Fault("fork", named, detail)
    ends = Ends(
        project=branch.project_id,
        run=branch.run_id,
        start_digest=start_digest,
        start_seal=start_seal,
        seq=branch.head_seq,
        position=branch.head_position,
        digest=bytes(branch.head_digest),
        seal=bytes(branch.head_seal),
    )
    for flaw in check_chain(ends, rows):
        yield Fault(flaw.kind, f"event {flaw.seq} of {named}", flaw.detail)


def _fork_faults(run: Run, branch: Any, start_digest: bytes) -> Iterator[str]:
    if branch.project_id != run.project_id:
        yield "it names another project than its run does"
    if bytes(branch.fork_digest) != start_digest:
        yield "its fork digest is not its parent's digest at the fork point"
    if branch.parent_id is None:
        if branch.number != 0 or branch.base != 0:
            yield "it has no parent, yet is not the trunk"
    elif branch.parent_run != branch.run_id:
        yield "its parent belongs to another run"
    elif branch.point_digest is None:
        yield f"its parent has no event {branch.fork_seq} to fork after"
    elif branch.base != branch.parent_base + branch.fork_seq:
        yield "it does not count the events before its fork point rightly"


def mark_heads(project_id: UUID) -> Mark:
    """Every branch's head as its row says it now. Call in one moment."""
    rows = Branch.objects.filter(project_id=project_id, head_seq__gt=0)
    rows = rows.order_by("run__number", "pk")
    mark = Mark(rows.aggregate(last=Max("head_position"))["last"] or 0)
    heads = rows.values_list("pk", "head_seq", "head_seal")
    for branch, seq, seal in heads.iterator(chunk_size=READ_ROWS):
        mark.tell(branch, seq, bytes(seal))
    return mark


def _counted(rows: Iterable[SealedRow], counts: Counter[str]) -> Iterator[SealedRow]:
    for row in rows:
        counts["events"] += 1
        yield row


def _as_sealed(event: Event) -> SealedRow:
    payload, fault = open_row(event)
    return SealedRow(
        position=event.position,
        event_id=event.event_id,
        project=event.project_id,
        run=event.run_id,
        branch=event.branch_id,
        seq=event.seq,
        type=event.type,
        source=event.source,
        ts=event.ts,
        received_at=event.received_at,
        task_id=event.task_id,
        parent_id=event.parent_id,
        schema_version=event.schema_version,
        payload=payload,
        digest=bytes(event.digest),
        seal=bytes(event.seal),
        fault=fault,
    )


def open_row(event: Event) -> tuple[bytes | None, str]:
    try:
        return payload_bytes(event), ""
    except UnreadableEvent as error:
        return None, f"its payload cannot be opened: {error.detail}"


def _check_strays(project_id: UUID) -> Iterator[Fault]:
    lost = Event.objects.filter(~Exists(Run.objects.filter(pk=OuterRef("run_id"))))
    for event in lost.filter(project_id=project_id).iterator(chunk_size=READ_ROWS):
        yield Fault(
            "misplaced", f"event {event.seq} of branch {event.branch_id}", "its run is not there"
        )


def _check_event_ids(project_id: UUID) -> Iterator[Fault]:
    rows = Event.objects.filter(project_id=project_id).order_by().values_list("event_id")
    for event_id, count in rows.annotate(n=Count("position")).filter(n__gt=1).iterator():
        yield Fault("doubled", f"event id {event_id}", f"{count} events of the project bear it")
