"""What the journal says of a graded head: which files it changed, and which model wrote it."""

from collections.abc import Collection, Iterator, Mapping
from itertools import batched, chain
from typing import cast
from uuid import UUID

from django.core.cache import cache
from django.db.models import Q

from branches.domain import terms
from branches.domain.events import calls_of
from branches.models import Branch, Event
from branches.selectors.events import payload_of, stored_event
from branches.storage.payloads import UnreadableEvent
from verdicts.domain.changes import changed_files

KEEP_SECONDS = 3600
MAX_MODEL = 120
# SQLite nests a longer OR too deep.
BRANCHES_AT_ONCE = 300


def read_author_model(branch: Branch, head_seq: int) -> str:
    """The model that the newest message up to a head of the branch names; empty where it names
    none. One query."""
    rows = Event.objects.of_branch(branch).filter(seq__lte=head_seq, type=terms.ASSISTANT)
    row = rows.order_by("-seq").first()
    if row is None:
        return ""
    try:
        model = payload_of(row).get("model")
    except UnreadableEvent:
        # A report is filed all the same: `verify` tells of the row.
        return ""
    return model[:MAX_MODEL] if isinstance(model, str) else ""


def read_changed_files(branches: Collection[Branch]) -> dict[UUID, frozenset[str]]:
    """The files that the tool calls of each branch's whole lineage write: two queries, or none
    (one more for each BRANCHES_AT_ONCE that the lineages have).

    The prefix that a fork shares counts too: its state is part of what a merge accepts.
    """
    # A head digest stands for all content before it, so what was read under it never changes.
    keys = {
        branch.pk: f"verdicts.changed:{branch.project_id}:{bytes(branch.head_digest).hex()}"
        for branch in branches
    }
    kept = cast("dict[str, frozenset[str]]", cache.get_many(keys.values()))
    found = {pk: kept[key] for pk, key in keys.items() if key in kept}
    missing = [branch for branch in branches if branch.pk not in found]
    if missing:
        read = _read(missing)
        cache.set_many({keys[pk]: files for pk, files in read.items()}, KEEP_SECONDS)
        found |= read
    return found


def _read(branches: Collection[Branch]) -> dict[UUID, frozenset[str]]:
    """What lineages share is read once."""
    rows = Branch.objects.filter(run__in={branch.run_id for branch in branches})
    parents = {
        pk: (parent, seq) for pk, parent, seq in rows.values_list("pk", "parent_id", "fork_seq")
    }
    lineages = {branch.pk: list(_walk_up(branch, parents)) for branch in branches}
    upto: dict[UUID, int] = {}
    for pk, seq in chain.from_iterable(lineages.values()):
        upto[pk] = max(seq, upto.get(pk, 0))
    written = _read_written({branch.run_id for branch in branches}, upto)
    return {
        pk: frozenset(
            file
            for owner, last in lineage
            for seq, files in written.get(owner, ())
            if seq <= last
            for file in files
        )
        for pk, lineage in lineages.items()
    }


def _walk_up(
    branch: Branch, parents: Mapping[UUID, tuple[UUID | None, int | None]]
) -> Iterator[tuple[UUID, int]]:
    """The branches of a lineage, each with how much of it belongs to it."""
    pk: UUID | None = branch.pk
    upto = branch.head_seq
    while pk is not None:
        yield pk, upto
        pk, seq = parents[pk]
        upto = seq or 0


def _read_written(
    runs: Collection[UUID], upto: Mapping[UUID, int]
) -> dict[UUID, list[tuple[int, frozenset[str]]]]:
    """By branch, each event up to a seq that writes files, and which."""
    written: dict[UUID, list[tuple[int, frozenset[str]]]] = {}
    told = Event.objects.filter(run__in=runs, type__in=[terms.TOOL_CALL, terms.ASSISTANT])
    for some in batched(upto.items(), BRANCHES_AT_ONCE):
        where = Q()
        for pk, last in some:
            where |= Q(branch_id=pk, seq__lte=last)
        for row in told.filter(where).order_by().iterator():
            calls = calls_of(stored_event(row))
            files = frozenset(changed_files((call.name, call.arguments_object) for call in calls))
            if files:
                written.setdefault(row.branch_id, []).append((row.seq, files))
    return written
