"""Records that a goal's words name, whatever they are: what may not enter is told with its reason."""

from collections.abc import Set
from typing import Final
from uuid import UUID

from branches.domain.search_query import Clause, Term
from branches.domain.words import split_words
from memory.domain.recalled import COLUMNS, Recalled
from memory.models import Record
from memory.storage.recall_index import find_words

# So many of the nearest are looked at, whatever they are; more than that nobody reads.
LOOKED_AT: Final = 60
MAX_WORDS: Final = 24


def read_near_misses(
    project_id: UUID, goal: str, *, known: Set[int]
) -> list[tuple[Recalled, float]]:
    """Of the nearest by words those that are not known yet: held, buried, of another scope …"""
    words = list(dict.fromkeys(split_words(goal)))[:MAX_WORDS]
    if not words:
        return []
    clause = Clause(tuple(Term((word,)) for word in words))
    near = find_words(project_id=project_id, clauses=[clause], limit=LOOKED_AT)
    rows = Record.objects.filter(pk__in=[one for one in near if one not in known])
    told = [Recalled(*row) for row in rows.values_list(*COLUMNS)]
    return [(row, 0.0) for row in told]
