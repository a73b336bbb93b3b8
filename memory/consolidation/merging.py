"""The fourth and the fifth step: what says one thing becomes one claim with all its sources, and
claims that contradict each other get their turns."""

from collections import Counter
from typing import Final

from memory.consolidation.windows import MAX_SOURCES, OVER, WINDOW, Stage, Window
from memory.consolidation_models import Candidate, Consolidation
from memory.domain.consolidation import Fate, order_rivals
from memory.domain.content import fold
from memory.models import Record
from memory.querysets import CandidateQuerySet
from memory.storage.candidate_rows import save_candidates

RIVALS: Final = 50
# Each window of a merge takes up the heads that its claims belong to, with all of their sources: of
# few large windows that is done a few times.
MERGED: Final = 2_000


def _entailed(job: Consolidation) -> CandidateQuerySet:
    rows = Candidate.objects.filter(consolidation=job, fate=Fate.ENTAILED.value)
    return rows.filter(pk__gt=job.cursor)


def merge(job: Consolidation) -> Window:
    rows = list(_entailed(job).order_by("pk")[:MERGED])
    if not rows:
        return OVER
    heads = _heads(job, [row.group for row in rows])
    grown: dict[int, Candidate] = {}
    for row in rows:
        head = heads.setdefault(row.group, row)
        if head is row:
            row.is_head, row.fate = True, Fate.READY.value
        else:
            _take_in(head, row)
        grown[head.pk] = head
    taken_in = [row.pk for row in rows if not row.is_head]

    def write() -> Counter[str]:
        grown_in = ("is_head", "fate", "sources", "episodes", "score", "precise")
        save_candidates(grown.values(), grown_in)
        Candidate.objects.filter(pk__in=taken_in).update(fate=Fate.MERGED.value)
        return Counter()

    counts = Counter(merged=sum(row.is_head for row in rows))
    return Window(rows[-1].pk, len(rows), write, counts)


def _heads(job: Consolidation, groups: list[str]) -> dict[str, Candidate]:
    rows = Candidate.objects.filter(consolidation=job, is_head=True, group__in=set(groups))
    return {row.group: row for row in rows}


def _take_in(head: Candidate, other: Candidate) -> None:
    """One source of each run is kept: two of one run are one piece of evidence. Of two the precise
    one stays."""
    head.episodes += other.episodes
    better = (other.precise, other.score or 0.0) > (head.precise, head.score or 0.0)
    if better:
        head.score, head.precise = other.score, other.precise
    runs = {one["run"]: one for one in head.sources}
    for one in other.sources:
        if one["run"] not in runs or (better and one["report"]):
            runs[one["run"]] = one
    head.sources = list(runs.values())[:MAX_SOURCES]


def _ready(job: Consolidation) -> CandidateQuerySet:
    rows = Candidate.objects.filter(consolidation=job, fate=Fate.READY.value)
    return rows.filter(pk__gt=job.cursor)


def part_rivals(job: Consolidation) -> Window:
    rows = list(_ready(job).order_by("pk")[:WINDOW])
    if not rows:
        return OVER
    keys = {row.key for row in rows if row.key}
    spoken = _spoken(job, keys)
    moved, conflicts = [], 0
    for row in rows:
        rivals = _rivals(job, row.key) if _disputed(spoken.get(row.key, ())) else []
        if len(rivals) > 1:
            row.turn = order_rivals(
                [(one.pk, one.precise, len(one.sources)) for one in rivals]
            ).get(row.pk, 0)
            moved.append(row)
        conflicts += _disputed(spoken.get(row.key, ()))

    def write() -> Counter[str]:
        save_candidates(moved, ("turn",))
        return Counter()

    return Window(rows[-1].pk, len(rows), write, Counter(conflicts=conflicts))


def _spoken(job: Consolidation, keys: set[str]) -> dict[str, set[str]]:
    """What is said under each key, by candidates and by what memory holds live."""
    told: dict[str, set[str]] = {}
    heads = Candidate.objects.filter(consolidation=job, is_head=True, key__in=keys)
    living = Record.objects.live().filter(project_id=job.project_id, key__in=keys)
    for rows in (heads.values_list("key", "object"), living.values_list("key", "object")):
        for key, said in rows:
            told.setdefault(key, set()).add(fold(said))
    return told


def _disputed(said: set[str] | tuple[()]) -> bool:
    return len(said) > 1


def _rivals(job: Consolidation, key: str) -> list[Candidate]:
    rows = Candidate.objects.filter(consolidation=job, is_head=True, key=key)
    return list(rows.order_by("pk")[:RIVALS])


MERGE: Final = Stage(merge, lambda job: _entailed(job).count())
CONFLICT: Final = Stage(part_rivals, lambda job: _ready(job).count())
