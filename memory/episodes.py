"""Episodes: agent steps, projected from the journal by a cursor.

Everything in a row comes from events up to the one that ended the step (`memory.steps`), so that
dropping all rows and following the journal again makes the same ones, however it is cut into
batches.
"""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from branches.models import Branch
from branches.selectors.search import newer_events
from memory.domain.consolidation import JobState
from memory.models import Consolidation, Episode, MemoryCursor
from memory.steps import make_episodes
from memory.turns import give_turns
from verel_site.access.models import Project
from verel_site.kit.refusals import Refusal

CURSOR: Final = "episodes"
BATCH: Final = 500


class EpisodesInUse(Refusal):
    code = "episodes_in_use"
    title = "A consolidation reads these episodes"


def follow_episodes() -> bool:
    """One batch for each project that is behind; says whether there may be more right away."""
    newer = Branch.objects.filter(
        project=OuterRef("project"), head_position__gt=OuterRef("position")
    )
    cursors = MemoryCursor.objects.filter(Exists(newer), name=CURSOR)
    behind = list(cursors.values_list("project_id", flat=True))
    known = MemoryCursor.objects.filter(project=OuterRef("pk"), name=CURSOR)
    unseen = Project.objects.filter(
        ~Exists(known), Exists(Branch.objects.filter(project=OuterRef("pk")))
    )
    behind += unseen.values_list("pk", flat=True)
    return give_turns(behind, lambda project_id: project_batch(project_id=project_id))


def project_batch(*, project_id: UUID, batch: int = BATCH) -> bool:
    """The next events of a project; says whether there may be more. Of two at once one counts."""
    cursor, _ = MemoryCursor.objects.get_or_create(project_id=project_id, name=CURSOR)
    rows = newer_events(project_id, cursor.position).select_related("run", "branch")
    events = list(rows.order_by("position")[:batch])
    if not events:
        return False
    # Before the transaction: nobody waits with an append until payloads are read.
    made = make_episodes(events)
    with transaction.atomic():
        moved = MemoryCursor.objects.filter(pk=cursor.pk, position=cursor.position).update(
            position=events[-1].position
        )
        if moved:
            Episode.objects.bulk_create(made)
    return len(events) == batch


def rebuild_episodes(*, project_id: UUID, batch: int = BATCH) -> int:
    """Drops a project's episodes and follows its journal from the beginning; says how many there
    are. Followers may go on meanwhile. Raises EpisodesInUse while a consolidation is under way: to
    it what is not there yet would be what never was."""
    MemoryCursor.objects.get_or_create(project_id=project_id, name=CURSOR)
    open_states = [JobState.WAITING.value, JobState.WORKING.value]
    if Consolidation.objects.filter(project_id=project_id, state__in=open_states).exists():
        raise EpisodesInUse("Wait for it, or cancel it.")
    with transaction.atomic():
        # First the cursor: whoever holds it stores its rows before they are dropped, and whoever
        # comes after it begins anew.
        MemoryCursor.objects.filter(project_id=project_id, name=CURSOR).update(position=0)
        Episode.objects.filter(project_id=project_id).delete()
    while project_batch(project_id=project_id, batch=batch):
        pass
    return Episode.objects.filter(project_id=project_id).count()


def find_strays(*, project_id: UUID, batch: int = BATCH) -> Iterator[int]:
    """Positions at which the stored episodes are not what the journal tells, as far as it was
    followed."""
    upto = MemoryCursor.objects.filter(project_id=project_id, name=CURSOR).first()
    start = 0
    while upto is not None and start < upto.position:
        rows = newer_events(project_id, start).filter(position__lte=upto.position)
        events = list(rows.select_related("run", "branch").order_by("position")[:batch])
        end = events[-1].position if len(events) == batch else upto.position
        told = {one.position: _content(one) for one in make_episodes(events)}
        stored = Episode.objects.filter(
            project_id=project_id, position__gt=start, position__lte=end
        )
        found = {one.position: _content(one) for one in stored}
        yield from sorted(at for at in {*told, *found} if told.get(at) != found.get(at))
        start = end


def _content(episode: Episode) -> dict[str, Any]:
    fields = (field.attname for field in Episode._meta.concrete_fields if not field.primary_key)
    return {name: getattr(episode, name) for name in fields}
