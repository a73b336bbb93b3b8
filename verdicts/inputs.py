"""What the journal says of a graded head: which files it changed, and which model wrote it."""

from typing import cast

from django.core.cache import cache

from branches.domain import terms
from branches.domain.events import calls_of
from branches.models import Branch, Event
from branches.selectors.events import payload_of, stored_event
from branches.selectors.lineage import read_lineage
from branches.storage.payloads import UnreadableEvent
from verdicts.domain.changes import changed_files

KEEP_SECONDS = 3600
MAX_MODEL = 120


def read_author_model(branch: Branch, head_seq: int) -> str:
    """The model that the newest message up to a head of the branch names; empty where it names
    none. One query."""
    rows = Event.objects.filter(branch=branch, seq__lte=head_seq, type=terms.ASSISTANT)
    row = rows.order_by("-seq").first()
    if row is None:
        return ""
    try:
        model = payload_of(row).get("model")
    except UnreadableEvent:
        # A report is filed all the same: `verify` tells of the row.
        return ""
    return model[:MAX_MODEL] if isinstance(model, str) else ""


def read_changed_files(branch: Branch) -> frozenset[str]:
    """The files that the tool calls of the branch's whole lineage write.

    The prefix that a fork shares counts too: its state is part of what a merge accepts.
    """
    # A head digest stands for all content before it, so what was read under it never changes.
    key = f"verdicts.changed:{branch.project_id}:{bytes(branch.head_digest).hex()}"
    kept = cast("frozenset[str] | None", cache.get(key))
    if kept is None:
        kept = _read(branch)
        cache.set(key, kept, KEEP_SECONDS)
    return kept


def _read(branch: Branch) -> frozenset[str]:
    found: set[str] = set()
    for segment in read_lineage(branch):
        rows = Event.objects.filter(
            branch_id=segment.branch,
            seq__lte=segment.upto,
            type__in=[terms.TOOL_CALL, terms.ASSISTANT],
        )
        for row in rows.iterator():
            calls = calls_of(stored_event(row))
            found |= changed_files((call.name, call.arguments_object) for call in calls)
    return frozenset(found)
