"""What people decided: each approval beside the events that asked and answered, each audited act
beside the row that it names."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import batched
from typing import Any, Final
from uuid import UUID

from django.db.models import OuterRef, Subquery

from branches.domain import terms
from branches.domain.digest import request_digest
from branches.models import Approval, Branch, Dataset, Event, Merge
from branches.soundness.runs import open_row
from verel_site.audit.models import AuditEntry
from verel_site.kit.faults import Fault

READ_ROWS: Final = 500
# Audit entries name their subject as `kind:id`.
SUBJECTS: Final[dict[str, Any]] = {
    "branch": Branch,
    "merge": Merge,
    "approval": Approval,
    "dataset": Dataset,
}


def check_approvals(project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    asked = Event.objects.filter(
        run_id=OuterRef("branch__run_id"),
        branch_id=OuterRef("branch_id"),
        seq=OuterRef("request_seq"),
        type=terms.APPROVAL_REQUESTED,
    )
    rows = Approval.objects.filter(project_id=project_id).annotate(
        position=Subquery(asked.values("position")[:1])
    )
    for some in batched(rows.order_by("pk").iterator(chunk_size=READ_ROWS), READ_ROWS):
        events = Event.objects.in_bulk([a.position for a in some if a.position is not None])
        for approval in some:
            counts["approvals"] += 1
            named = f"approval {approval.pk} of branch {approval.branch_id}"
            event = events.get(approval.position)
            if event is None:
                yield Fault("no_request", named, "the event that asked is not there")
            elif _asks_otherwise(approval, event):
                yield Fault("changed", named, "its digest is not that of what was asked")


def _asks_otherwise(approval: Approval, event: Event) -> bool:
    payload, _ = open_row(event)
    # A request with parts out of line was digested with them in place.
    if payload is None or b'"blob"' in payload:
        return False
    return request_digest(bytes(event.digest), payload) != bytes(approval.request_digest)


def check_acts(project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    """Every branch, merge, approval and dataset that an audited act names is there."""
    entries = AuditEntry.objects.filter(project_id=project_id).order_by("number")
    told = entries.values_list("number", "action", "subject").iterator(chunk_size=READ_ROWS)
    for some in batched(told, READ_ROWS):
        for kind, model in SUBJECTS.items():
            named = _named(kind, some)
            there = model.objects.filter(pk__in=list(named)).values_list("pk", flat=True)
            for lost in sorted(named.keys() - set(there)):
                yield Fault("missing", f"{kind} {lost}", f"it is not there; {named[lost]} names it")


def _named(kind: str, entries: Iterable[tuple[int, str, str]]) -> dict[UUID, str]:
    """The rows of this kind that some entries name, each with the words for who names it."""
    found = {}
    for number, action, subject in entries:
        told, _, text = subject.partition(":")
        if told == kind:
            with suppress(ValueError):
                found[UUID(text)] = f"audit entry {number} ({action})"
    return found
