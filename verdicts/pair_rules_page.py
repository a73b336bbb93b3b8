"""The page of the rules that propose pairs, as one value."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Q
from django.http import QueryDict

from verdicts.domain.pairing import MAX_REVIEWERS, Cause, PairRule
from verdicts.models import Comparison, PairRules
from verdicts.pair_rules import BOUNDS, BadPairRules, current_rules
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right

VERSIONS_SHOWN: Final = 50
DAYS: Final = 30
CAUSE_WORDS: Final = {
    Cause.HAND: "opened by hand",
    Cause.FINISHED: "branches that finished",
    Cause.DISPUTED: "graders that disagree",
    Cause.CONTEST: "rounds of contests",
}


@dataclass(frozen=True, slots=True)
class CauseCount:
    """How many pairs came of one cause in DAYS days, and how many of them wait for a judgement."""

    words: str
    pairs: int
    judged: int


@dataclass(frozen=True, slots=True)
class PairRulesPage:
    """`templates/verdicts/pair_rules.html`."""

    project: Project
    may_administer: bool
    version: int
    rule: PairRule
    versions: tuple[PairRules, ...]
    counts: tuple[CauseCount, ...]
    fault: str = ""
    reason: str = ""

    days: int = DAYS
    most: int = MAX_REVIEWERS
    tab: str = "pairs"
    screen: str = "settings"
    nav: str = "settings"
    title: str = "Pairs"


def read_pair_rules_page(
    *,
    project: Project,
    actor: Actor,
    now: datetime,
    typed: PairRule | None = None,
    fault: str = "",
    reason: str = "",
) -> PairRulesPage:
    """Three queries."""
    version, rule = current_rules(project.pk)
    versions = PairRules.objects.filter(project=project).order_by("-version")[:VERSIONS_SHOWN]
    return PairRulesPage(
        project=project,
        may_administer=actor.may(project.pk, Right.ADMINISTER),
        version=version,
        rule=typed or rule,
        versions=tuple(versions),
        counts=_count_causes(project, now - timedelta(days=DAYS)),
        fault=fault,
        reason=reason,
    )


def _count_causes(project: Project, since: datetime) -> tuple[CauseCount, ...]:
    standing = Q(labels__isnull=False, labels__withdrawn_at=None)
    rows = (
        Comparison.objects.filter(project=project, created_at__gte=since)
        .order_by()
        .values_list("cause")
        .annotate(
            pairs=Count("pk", distinct=True), judged=Count("pk", distinct=True, filter=standing)
        )
    )
    found = {cause: (pairs, judged) for cause, pairs, judged in rows}
    return tuple(CauseCount(CAUSE_WORDS[cause], *found.get(cause.value, (0, 0))) for cause in Cause)


def read_form(form: QueryDict) -> PairRule:
    """Raises BadPairRules for what is no number; bounds are the action's to check."""
    numbers = {}
    for name in BOUNDS:
        text = form.get(name, "").strip()
        if not text:
            continue
        if not text.isascii() or not text.isdigit() or len(text) > 4:
            raise BadPairRules(f"{name.replace('_', ' ')} is a number.", pointer=f"/{name}")
        numbers[name] = int(text)
    return PairRule(
        on_finished=form.get("on_finished") == "1",
        on_disputed=form.get("on_disputed") == "1",
        **numbers,
    )
