"""The page of a project's curves: for each type of item the default, what was fitted, what is in use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.safestring import SafeString

from memory.curve_chart import Drawn, Seen, draw_curves
from memory.domain.fitting import MIN_TRIALS
from memory.domain.strength import SECURITY, TABLE, Curve
from memory.domain.terms import ItemType
from memory.models import CurveAdoption, CurveFit
from memory.record_page import ITEM_WORDS
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right

SHOWN_HISTORY: Final = 40
# Base and exponent pull against each other where the ages lie closer than so many times apart.
WIDE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Numbers:
    """A curve as a row of the table."""

    word: str
    base_days: float
    beta: float
    floor: float
    note: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """What may be adopted: bound to its digest, and how much likelier than the default it makes the
    log. `narrow` says that the ages lie too close for much trust in it."""

    digest: str
    trials: int
    at: datetime
    gain: float
    narrow: bool


@dataclass(frozen=True, slots=True)
class TypeCurves:
    item_type: str
    name: str
    chart: SafeString
    numbers: tuple[Numbers, ...]
    fitted: Fitted | None
    in_use: CurveAdoption | None
    may_adopt: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """What the person typed before an answer was refused, and for which type."""

    item_type: str = ""
    reason: str = ""


@dataclass(frozen=True)
class CurvePage:
    project: Project
    types: tuple[TypeCurves, ...]
    past: tuple[CurveAdoption, ...]
    may_decide: bool
    draft: Draft
    fault: str = ""
    min_trials: int = MIN_TRIALS
    verified: Curve = SECURITY

    screen: str = "memory"
    nav: str = "memory"
    tab: str = "curves"
    title: str = "Decay"


def read_curve_page(
    *, actor: Actor, project: Project, draft: Draft | None = None, fault: str = ""
) -> CurvePage:
    """Two queries, whatever was fitted."""
    actor.demand(project.pk, Right.READ)
    fits = {row.item_type: row for row in CurveFit.objects.filter(project=project)}
    adoptions = CurveAdoption.objects.filter(project=project).order_by("-at", "-pk")
    past = list(adoptions[:SHOWN_HISTORY])
    in_use = {row.item_type: row for row in past if row.ended_at is None}
    if len(past) == SHOWN_HISTORY:
        in_use = {row.item_type: row for row in adoptions.filter(ended_at=None)}
    return CurvePage(
        project=project,
        types=tuple(_type(item, fits.get(item.value), in_use.get(item.value)) for item in ItemType),
        past=tuple(past),
        may_decide=actor.may(project.pk, Right.CURATE) and actor.kind == "person",
        draft=draft or Draft(),
        fault=fault,
    )


def _type(item: ItemType, fit: CurveFit | None, in_use: CurveAdoption | None) -> TypeCurves:
    default = TABLE[item]
    word = "default" if in_use else "default, in use"
    drawn = [Drawn(default, word, "curve soft" if in_use else "curve")]
    numbers = [_numbers("Default", default, "" if in_use else "in use; no log was fitted to it")]
    if in_use is not None:
        drawn.append(Drawn(in_use.curve, "in use", "curve"))
        note = f"in use, adopted by {in_use.by_name}"
        numbers.append(_numbers("Adopted", in_use.curve, note))
    is_news = fit is not None and (in_use is None or bytes(in_use.digest) != fit.digest)
    if fit is not None and is_news:
        drawn.append(Drawn(fit.curve, "as fitted", "curve lane ahead"))
        numbers.append(_numbers("Fitted", fit.curve, f"{fit.trials:,} trials, adopted by nobody"))
    return TypeCurves(
        item_type=item.value,
        name=ITEM_WORDS[item.value],
        chart=draw_curves(drawn, _seen(fit)),
        numbers=tuple(numbers),
        fitted=_fitted(fit) if fit else None,
        in_use=in_use,
        may_adopt=is_news,
    )


def _numbers(word: str, curve: Curve, note: str) -> Numbers:
    return Numbers(word, curve.base_days, curve.beta, curve.floor, note)


def _fitted(fit: CurveFit) -> Fitted:
    gain = fit.log_likelihood - fit.default_log_likelihood
    return Fitted(fit.digest.hex(), fit.trials, fit.fitted_at, gain, fit.spread < WIDE)


def _seen(fit: CurveFit | None) -> Sequence[Seen]:
    rows = fit.log if fit else []
    return [Seen(days, hits / trials, int(trials)) for days, hits, trials in rows if trials]
