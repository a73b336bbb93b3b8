"""The first step: which episodes are worth thinking about, window by window."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from memory.consolidation.windows import OVER, WINDOW, Stage, Window
from memory.consolidation_models import Consolidation, KnownFault, SalientEpisode
from memory.domain.likeness import words_of
from memory.domain.salience import Weighed, weigh
from memory.models import Episode
from memory.querysets import EpisodeQuerySet

KEPT_GOALS: Final = 256


def _episodes(job: Consolidation) -> EpisodeQuerySet:
    return Episode.objects.filter(
        project_id=job.project_id,
        position__gt=max(job.after_position, job.cursor),
        position__lte=job.upto_position,
    )


def look(job: Consolidation) -> Window:
    rows = list(
        _episodes(job)
        .order_by("position")
        .only("position", "goal", "tool", "says", "signature", "surprise", "tokens")[:WINDOW]
    )
    if not rows:
        return OVER
    first = _first_sightings(job, rows)
    told = weigh([_weigh(row, first) for row in rows])
    kept = [
        SalientEpisode(
            consolidation=job, position=row.position, hard=salience.hard, score=salience.score
        )
        for row, salience in zip(rows, told, strict=True)
        if salience.kept
    ]

    def write() -> Counter[str]:
        KnownFault.objects.bulk_create(
            (
                KnownFault(project_id=job.project_id, signature=signature, position=position)
                for signature, position in first.items()
            ),
            ignore_conflicts=True,
        )
        SalientEpisode.objects.bulk_create(kept)
        return Counter()

    hard = sum(one.hard for one in kept)
    counts = Counter(episodes=len(rows), salient=len(kept), hard=hard)
    return Window(rows[-1].position, len(rows), write, counts)


def _first_sightings(job: Consolidation, rows: Sequence[Episode]) -> dict[str, int]:
    """Where each fault of the window was seen first, in it or long before."""
    first: dict[str, int] = {}
    for row in rows:
        if row.signature:
            first.setdefault(row.signature, row.position)
    known = KnownFault.objects.filter(project_id=job.project_id, signature__in=list(first))
    return first | dict(known.values_list("signature", "position"))


def _weigh(row: Episode, first: dict[str, int]) -> Weighed:
    aim = _aim(row.goal)
    near = len(aim & words_of(f"{row.tool} {row.says}")) / len(aim) if aim else 0.0
    return Weighed(
        surprise=row.surprise,
        unseen=first.get(row.signature) == row.position,
        relevance=near,
        cost=float(row.tokens),
    )


@lru_cache(KEPT_GOALS)
def _aim(goal: str) -> frozenset[str]:
    return words_of(goal)


STAGE: Final = Stage(look, lambda job: _episodes(job).count())
