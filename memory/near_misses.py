"""Records that a goal's words name, whatever they are: what may not enter is told with its reason."""

from collections.abc import Set
from typing import Final
from uuid import UUID

from memory.domain.recalled import COLUMNS, Recalled
from memory.models import Record
from memory.storage.recall_index import clauses_of, find_words

# So many of the nearest are looked at, whatever they are; more than that nobody reads.
LOOKED_AT: Final = 60


def read_near_misses(project_id: UUID, goal: str, *, known: Set[int]) -> list[Recalled]:
    """Of the nearest by words those that are not known yet: held, buried, of another scope …"""
    clauses = clauses_of(goal)
    if not clauses:
        return []
    near = find_words(project_id=project_id, clauses=clauses, limit=LOOKED_AT)
    rows = Record.objects.filter(pk__in=[one for one in near if one not in known])
    return [Recalled(*row) for row in rows.values_list(*COLUMNS)]
