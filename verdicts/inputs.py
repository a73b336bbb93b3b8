"""What a branch's head changed: read from the journal once per head, for coverage."""

from typing import cast

from django.core.cache import cache

from branches.domain import terms
from branches.domain.events import calls_of
from branches.models import Branch, Event
from branches.selectors.events import stored_event
from branches.selectors.lineage import read_lineage
from verdicts.domain.changes import changed_files

KEEP_SECONDS = 3600


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
