"""How far premises support hypotheses: asked of the chosen scorer, or pushed by a grader.

Of one pair a pushed score counts before any scorer's, and of several pushed ones the lowest. A score
never decides alone: `domain.entailment.class_of` holds it against what else its episode says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import transaction

from memory.domain.content import content_digest
from memory.domain.entailment import Entailed, class_of
from memory.evidence import Cited, Source, look_up
from memory.models import PairScore
from memory.ports.scorers import current_scorer
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.refusals import Unprocessable

MAX_PUSHED: Final = 200
_LOOKED_UP: Final = 500


class BadScores(Unprocessable):
    code = "bad_scores"
    title = "These are no scores"


@dataclass(frozen=True, slots=True)
class Score:
    """`value` is from 0 to 1, `source` who said so. `precise` is True only where the score was pushed
    with a precise grader's report that agrees, which `report` names; no scorer's own word ever is."""

    value: float
    source: str
    precise: bool
    report: UUID | None = None


@dataclass(frozen=True, slots=True)
class Pushed:
    """A score for a pair by its digest. `cited` names the episode's event, and the report of a
    precise grader on its branch, at the event or later."""

    pair: bytes
    value: float
    cited: Cited | None = None


def pair_digest(premise: str, hypothesis: str) -> bytes:
    """SHA-256, as `domain.content.content_digest` makes it of the kind `pair`."""
    return content_digest("pair", (("premise", premise), ("hypothesis", hypothesis)))


def score_pairs(project: Project, pairs: Sequence[tuple[str, str]]) -> Sequence[Score]:
    """A score for each (premise, hypothesis), in their order. Call outside of transactions: a model
    may take long. Raises PortFailed, or ImproperlyConfigured."""
    digests = [pair_digest(*pair) for pair in pairs]
    found = dict(_find_pushed(project.pk, set(digests)))
    scorer = current_scorer()
    open_pairs = {
        digest: pair for digest, pair in zip(digests, pairs, strict=True) if digest not in found
    }
    values = scorer.score(list(open_pairs.values())) if open_pairs else []
    for digest, value in zip(open_pairs, values, strict=True):
        found[digest] = Score(value, scorer.name, precise=False)
    return [found[digest] for digest in digests]


def _find_pushed(project_id: UUID, digests: Iterable[bytes]) -> Iterable[tuple[bytes, Score]]:
    told = sorted(digests)
    for start in range(0, len(told), _LOOKED_UP):
        rows = PairScore.objects.filter(
            project_id=project_id, pair__in=told[start : start + _LOOKED_UP]
        )
        # Highest first, so that the lowest is the one that stays.
        for row in rows.order_by("-value", "-precise", "pk"):
            report = row.report_id if row.precise else None
            yield bytes(row.pair), Score(row.value, f"pushed:{row.by_name}", row.precise, report)


@transaction.atomic
def push_scores(*, project_id: UUID, actor: Actor, pushed: Sequence[Pushed]) -> list[PairScore]:
    """Stores the scores; one that the same actor pushed before for the pair is replaced. Raises
    BadScores, or BadEvidence with a pointer to what was cited."""
    actor.demand(project_id, Right.REPORT)
    if not 1 <= len(pushed) <= MAX_PUSHED:
        raise BadScores(f"1 to {MAX_PUSHED} scores at once.", pointer="/scores")
    if len({one.pair for one in pushed}) < len(pushed):
        raise BadScores("A pair stands here twice.", pointer="/scores")
    lock_project(project_id=project_id)
    sources = look_up(project_id=project_id, cited={i: one.cited for i, one in enumerate(pushed)})
    for index, found in sources.items():
        if found.report is None:
            raise BadScores(
                "An event is cited with the report that agrees.", pointer=f"/scores/{index}/report"
            )
    rows = [
        PairScore(
            project_id=project_id,
            pair=one.pair,
            value=one.value,
            precise=_is_precise(one.value, sources.get(index)),
            report=source.report if (source := sources.get(index)) else None,
            by_kind=actor.kind,
            by_id=actor.id,
            by_name=actor.name,
        )
        for index, one in enumerate(pushed)
    ]
    return PairScore.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["project", "pair", "by_kind", "by_id"],
        update_fields=["value", "precise", "report", "by_name", "created_at"],
    )


def _is_precise(value: float, source: Source | None) -> bool:
    if source is None or source.corroborator is None:
        return False
    episode = str(source.event.branch_id)
    told = class_of(value, episode=episode, corroborators=[source.corroborator])
    return told is Entailed.PRECISE
