"""Episodes for a reader: each with what graders said in it, and whether it was worth thinking about.

The rows are a projection of the journal. Verdicts and issues come later than a step, and salience is
weighed against others: both are looked up as they are asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef

from branches.selectors.listings import Page, cut
from memory.consolidation.observations import Observed, observe, with_next
from memory.domain.consolidation import JobState
from memory.domain.terms import Outcome
from memory.models import Consolidation, Episode, SalientEpisode
from verdicts.domain.terms import Verdict
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.kit.queries import read_uuid
from verel_site.kit.refusals import BadInput

FILTERS: Final = ("agent", "tool", "skill", "outcome", "signature")
UUIDS: Final = ("run", "branch")
_RANK: Final = {Verdict.PASS.value: 0, Verdict.WARN.value: 1, Verdict.FAIL.value: 2}


@dataclass(frozen=True, slots=True)
class Salience:
    """How a consolidation weighed an episode; what was dropped has no score."""

    consolidation: int
    kept: bool
    hard: bool = False
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An episode; `salience` is None until a consolidation has weighed it."""

    observed: Observed
    salience: Salience | None

    @property
    def episode(self) -> Episode:
        return self.observed.episode

    @property
    def verdict(self) -> str | None:
        """The worst that a grader said in it; None where none looked."""
        told = (report.verdict for report in self.observed.reports)
        return max(told, key=lambda verdict: _RANK[verdict], default=None)


def read_episode_filter(query: Mapping[str, str]) -> dict[str, Any]:
    """Lookups; raises BadInput for what no episode can have."""
    told: dict[str, Any] = {name: query.get(name, "") for name in FILTERS}
    told |= {f"{name}_id": read_uuid(query, name) for name in UUIDS}
    outcomes = [outcome.value for outcome in Outcome]
    if told["outcome"] and told["outcome"] not in outcomes:
        raise BadInput(f"outcome is one of {', '.join(outcomes)}.", parameter="outcome")
    return {name: value for name, value in told.items() if value}


def list_episodes(
    *, actor: Actor, project_id: UUID, wanted: Mapping[str, Any], after: int, limit: int
) -> Page[Told]:
    """Episodes by their position in the journal. A constant number of queries."""
    actor.demand(project_id, Right.READ)
    rows = Episode.objects.visible_to(actor).filter(project_id=project_id, position__gt=after)
    page = cut(with_next(rows.filter(**wanted)).order_by("position")[: limit + 1], limit)
    weighed = _read_salience(project_id, page.rows)
    told = [Told(one, weighed.get(one.episode.position)) for one in observe(page.rows)]
    return Page(told, page.more)


def _read_salience(project_id: UUID, rows: Sequence[Episode]) -> dict[int, Salience]:
    """By position, from the consolidation that has weighed it."""
    if not rows:
        return {}
    jobs = Consolidation.objects.filter(
        project_id=project_id,
        state=JobState.DONE.value,
        after_position__lt=rows[-1].position,
        upto_position__gte=rows[0].position,
    ).annotate(remembers=Exists(SalientEpisode.objects.filter(consolidation=OuterRef("pk"))))
    kept: dict[int, dict[int, SalientEpisode]] = {job.number: {} for job in jobs}
    numbers = {job.pk: job.number for job in jobs}
    positions = [row.position for row in rows]
    for one in SalientEpisode.objects.filter(consolidation__in=jobs, position__in=positions):
        kept[numbers[one.consolidation_id]][one.position] = one
    told: dict[int, Salience] = {}
    for job in jobs:
        # One of an earlier release has let go of what it kept.
        if job.count("salient") and not getattr(job, "remembers", False):
            continue
        for at in positions:
            if job.after_position < at <= job.upto_position:
                told[at] = _salience(job.number, kept[job.number].get(at))
    return told


def _salience(number: int, kept: SalientEpisode | None) -> Salience:
    if kept is None:
        return Salience(number, kept=False)
    return Salience(number, kept=True, hard=kept.hard, score=kept.score)
