"""Keeps the search index of each project up with its journal.

The index is a projection: it may be behind, it may be dropped, and it is rebuilt from the journal
alone. Appends know nothing of it. Several workers may run: a batch counts for whoever moves the
cursor, and its words go in with that move, or not at all.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F

from branches.models import Event, SearchCursor
from branches.selectors.search import (
    event_document,
    event_scope,
    is_search_on,
    list_behind,
    newer_events,
)
from branches.storage.search_index import Entry, clear_entries, put_entries
from verel_site.access.models import Project

# What one transaction takes in: so many events, and no more once their payloads are so large.
BATCH: Final = 500
BATCH_BYTES: Final = 8 * 1024 * 1024


def index_news() -> bool:
    """One batch for each project that is behind; says whether there may be more right away.

    Where payloads are encrypted nothing is indexed, and what was indexed before is dropped.
    """
    if not is_search_on():
        if SearchCursor.objects.filter(position__gt=0).exists():
            drop_search()
        return False
    more = [index_batch(project_id=project_id) for project_id in list_behind()]
    return any(more)


def index_batch(*, project_id: UUID) -> bool:
    """Takes the next events of a project into its index; says whether there may be more.

    The words are made before the transaction, so that nobody waits for them to append.
    """
    cursor, _ = SearchCursor.objects.get_or_create(project_id=project_id)
    with closing(_iter_batch(project_id, cursor.position)) as rows:
        batch = [(row, event_document(row)) for row in rows]
    if not batch:
        return False
    last = batch[-1][0]
    entries: list[Entry] = [(row.position, doc, event_scope(row)) for row, doc in batch]
    with transaction.atomic():
        moved = SearchCursor.objects.filter(project_id=project_id, position=cursor.position).update(
            position=last.position,
            upto=last.received_at,
            events=F("events") + len(batch),
            cut=F("cut") + sum(not document.whole for _, document in batch),
        )
        if moved:
            put_entries(project_id, entries)
    return True


def _iter_batch(project_id: UUID, position: int) -> Generator[Event]:
    rows = newer_events(project_id, position).defer("digest", "seal").order_by("position")[:BATCH]
    size = 0
    for row in rows.iterator(chunk_size=50):
        yield row
        size += len(row.payload)
        if size > BATCH_BYTES:
            return


@transaction.atomic
def drop_search(*, project_id: UUID | None = None) -> bool:
    """Forgets what is indexed of a project, or of all; says whether it was that of all."""
    of_all = clear_entries(project_id)
    cursors = SearchCursor.objects.all()
    if project_id is not None and not of_all:
        cursors = cursors.filter(project_id=project_id)
    cursors.update(position=0, upto=None, events=0, cut=0)
    return of_all


def rebuild_search(
    *, project_id: UUID | None = None, told: Callable[[Project, int], None] = lambda *_: None
) -> None:
    """The index from the journal alone. `told` hears of each project's progress, in events.

    On SQLite one project cannot be taken out of the index, so all are rebuilt.
    """
    of_all = drop_search(project_id=project_id)
    if not is_search_on():
        return
    projects = Project.objects.all()
    if project_id is not None and not of_all:
        projects = projects.filter(pk=project_id)
    for project in projects:
        while index_batch(project_id=project.pk):
            told(project, SearchCursor.objects.get(project=project).events)
