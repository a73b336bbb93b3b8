"""Merges and triplets: one triplet or one reason for each loser, each triplet owed once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import batched
from typing import Final
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from branches.domain.terms import Status
from branches.models import Branch, Merge, MergeLoser, Triplet
from branches.storage.pairs import COLUMNS, UnreadableTriplet, column_bytes
from branches.triplets import DELIVERY, WITHDRAWAL
from verel_site.kit.faults import Fault
from verel_site.outbox.models import Promise

READ_ROWS: Final = 200


def check_merges(project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    # Nothing is joined that may be gone: an inner join would leave out the very merge.
    rows = Merge.objects.filter(project_id=project_id).prefetch_related("losers", "triplets")
    for some in batched(rows.order_by("pk").iterator(chunk_size=READ_ROWS), READ_ROWS):
        ids = {merge.winner_id for merge in some}
        ids |= {loser.branch_id for merge in some for loser in merge.losers.all()}
        branches = Branch.objects.in_bulk(list(ids))
        for merge in some:
            counts["merges"] += 1
            yield from _check_merge(merge, branches)


def _check_merge(merge: Merge, branches: Mapping[UUID, Branch]) -> Iterator[Fault]:
    losers, triplets = list(merge.losers.all()), list(merge.triplets.all())
    for kind, detail in _merge_faults(merge, losers, triplets, branches):
        yield Fault(kind, f"merge {merge.pk} of run {merge.run_id}", detail)
    for triplet in triplets:
        for kind, detail in _triplet_faults(merge, losers, triplet):
            yield Fault(kind, _name(triplet), detail)


def _merge_faults(
    merge: Merge,
    losers: Sequence[MergeLoser],
    triplets: Sequence[Triplet],
    branches: Mapping[UUID, Branch],
) -> Iterator[tuple[str, str]]:
    if not losers:
        yield "missing", "it has no loser"
    told = Counter(triplet.rejected_branch_id for triplet in triplets)
    for loser in losers:
        made = told[loser.branch_id]
        label = _label(branches, loser.branch_id)
        if not made and not loser.refused:
            yield "no_triplet", f"its loser {label} has neither a triplet nor a reason why not"
        elif made and loser.refused:
            yield "doubled", f"its loser {label} has both a triplet and a reason why not"
        elif made > 1:
            yield "doubled", f"its loser {label} has {made} triplets"
    if merge.reverted_at is None:
        yield from _status_faults(merge, losers, branches)


def _status_faults(
    merge: Merge, losers: Sequence[MergeLoser], branches: Mapping[UUID, Branch]
) -> Iterator[tuple[str, str]]:
    wanted = {merge.winner_id: Status.MERGED}
    wanted |= {loser.branch_id: Status.ABANDONED for loser in losers}
    for branch_id, status in wanted.items():
        branch = branches.get(branch_id)
        if branch is None:
            yield "missing", f"its branch {branch_id} is not there"
        elif branch.status != status:
            yield "status", f"{branch.label} is {branch.status}, and should be {status.value}"


def _label(branches: Mapping[UUID, Branch], branch_id: UUID) -> str:
    branch = branches.get(branch_id)
    return branch.label if branch else str(branch_id)


def _triplet_faults(
    merge: Merge, losers: Sequence[MergeLoser], triplet: Triplet
) -> Iterator[tuple[str, str]]:
    if triplet.rejected_branch_id not in {loser.branch_id for loser in losers}:
        yield "no_merge", "its merge has no such loser"
    if triplet.chosen_branch_id != merge.winner_id:
        yield "changed", "it chooses another branch than its merge does"
    if (triplet.run_id, triplet.project_id) != (merge.run_id, merge.project_id):
        yield "misplaced", "it names another project or run than its merge does"
    yield from _column_faults(triplet)
    if merge.reverted_at is not None and triplet.withdrawn_at is None:
        yield "not_withdrawn", "its merge was taken back, and it was not withdrawn"
    if merge.reverted_at is None and triplet.withdrawn_at is not None:
        yield "withdrawn", "it is withdrawn, yet its merge stands"


def _column_faults(triplet: Triplet) -> Iterator[tuple[str, str]]:
    try:
        columns = {column: column_bytes(triplet, column) for column in COLUMNS}
    except UnreadableTriplet as error:
        yield "unreadable", error.detail
        return
    if sha256(columns["prompt"]).hexdigest() != triplet.prompt_digest:
        yield "changed", "its prompt is not the one that its digest names"


def check_triplets(project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    """That none is without its merge, or left out, and what the outbox owes for each."""
    rows = Triplet.objects.filter(project_id=project_id)
    expected = 1
    for number in rows.order_by("number").values_list("number", flat=True).iterator():
        counts["triplets"] += 1
        if number != expected:
            yield Fault("missing", f"triplet {expected}", f"no triplet before {number}")
        expected = number + 1
    for triplet in rows.filter(~Exists(Merge.objects.filter(pk=OuterRef("merge_id")))):
        yield Fault("no_merge", _name(triplet), f"its merge {triplet.merge_id} is not there")
    yield from _check_owed(project_id, rows)


def _check_owed(project_id: UUID, rows: QuerySet[Triplet]) -> Iterator[Fault]:
    mine = Promise.objects.filter(subject=OuterRef("pk"))
    delivery = mine.filter(kind=DELIVERY)
    for triplet in rows.filter(~Exists(delivery)):
        yield Fault("not_owed", _name(triplet), "the outbox holds no promise to deliver it")
    due = delivery.filter(state__in=[Promise.State.DUE, Promise.State.FAILED])
    gone = rows.filter(withdrawn_at__isnull=False)
    for triplet in gone.filter(Exists(due)):
        yield Fault("not_withdrawn", _name(triplet), "it is withdrawn, yet still to be delivered")
    sent = delivery.filter(state=Promise.State.SENT)
    for triplet in gone.filter(Exists(sent), ~Exists(mine.filter(kind=WITHDRAWAL))):
        yield Fault("not_withdrawn", _name(triplet), "it had left, and nobody is told to drop it")
    kinds = Promise.objects.filter(project_id=project_id, kind__in=[DELIVERY, WITHDRAWAL])
    for promise in kinds.filter(~Exists(Triplet.objects.filter(pk=OuterRef("subject")))):
        yield Fault(
            "astray", f"promise {promise.pk}", f"its triplet {promise.subject} is not there"
        )


def _name(triplet: Triplet) -> str:
    return f"triplet {triplet.number} ({triplet.pk})"
