"""How records stand before an answer and after it, so that the answer can be taken back."""

from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from memory.domain.terms import Standing
from memory.models import Evidence, Record, RefusedValue

# What an answer may change of a record; what it says never changes.
FIELDS: Final = (
    "trust",
    "standing",
    "scope",
    "tier",
    "suppressed_by_id",
    "suite_digest",
    "held_for",
    "support_count",
    "contradiction_count",
    "confidence",
    "seal",
)

type State = dict[str, Any]
type States = dict[int, State]


def look(record: Record, *, into: UUID | None = None) -> States:
    """The record, all of its key, the version it was made of, and what it is to be merged into."""
    wanted = Q(pk__in=[record.pk, record.supersedes_id or record.pk])
    if record.key:
        wanted |= Q(key=record.key)
    if into is not None:
        wanted |= Q(record_id=into)
    rows = Record.objects.filter(wanted, project_id=record.project_id)
    return {row.pop("pk"): row for row in rows.values("pk", *FIELDS)}


def compare(before: States, after: States) -> dict[str, Any]:
    """What changed, as JSON; `made` are records that were not there before."""
    changed = {
        str(pk): {"before": state, "after": after[pk]}
        for pk, state in before.items()
        if pk in after and after[pk] != state
    }
    return {"changed": changed, "made": [pk for pk in after if pk not in before]}


def has_moved(moved: dict[str, Any]) -> bool:
    """Whether a record stands otherwise by now than the answer left it."""
    told = moved.get("changed", {})
    rows = Record.objects.filter(pk__in=told).values("pk", *FIELDS)
    now = {str(row.pop("pk")): row for row in rows}
    return any(now.get(pk) != state["after"] for pk, state in told.items())


def put_back(moved: dict[str, Any], *, by: str, at: Any, reason: str) -> None:
    """As they stood before. What the answer made is buried, what it refused may be said again."""
    Record.objects.filter(pk__in=moved["made"]).update(standing=Standing.BURIED.value)
    told = {pk: state["before"] for pk, state in moved["changed"].items()}
    # One speaks under a key: who stops speaking goes first.
    for pk, state in sorted(
        told.items(), key=lambda one: one[1]["standing"] == Standing.LIVE.value
    ):
        Record.objects.filter(pk=pk).update(**state)
    Evidence.objects.filter(pk__in=moved.get("evidence", ())).delete()
    RefusedValue.objects.filter(pk__in=moved.get("refused", ()), cleared_at=None).update(
        cleared_at=at, cleared_by=by, clear_reason=reason
    )
