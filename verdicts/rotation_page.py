"""The page of what befalls suites by themselves: canaries that are watched, and rotations."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Window
from django.db.models.functions import RowNumber
from django.urls import reverse
from django.utils import timezone

from verdicts.domain.leakage import MIN_GAP, MIN_TRIALS, ROTATE_DAYS, ROTATED_SHARE
from verdicts.models import Suite, SuiteResult
from verdicts.panels import short_digest
from verdicts.rotations import RECENT_RESULTS
from verdicts.selectors import SuiteLine, count_minted, list_suites
from verdicts.suite_page import Canary, SuiteRow, suite_row, tell_canary
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import NotFound

SHOWN_ROTATIONS: Final = 30
SHOWN_TRIPS: Final = 10
# The width of the pane beside the tables, where the drawing stands.
SIDE_PX: Final = 368
# The standing job comes round every minute: so long without it, and nobody tends the suites.
LATE_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Watched:
    """A frozen suite whose canary is watched."""

    row: SuiteRow
    canary: Canary
    watched_at: datetime | None
    href: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Rotation:
    """What one rotation retired and minted: as many of the one as of the other."""

    name: str
    before: str
    before_href: str
    after: str
    after_href: str
    minted: int
    cases: int
    who: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Trip:
    """A canary that tripped, and what it found. `answered`: the suite was retired since."""

    name: str
    digest: str
    href: str
    at: datetime
    evidence: str
    answered: bool
    wanting: int


@dataclass(frozen=True)
class RotationPage:
    project: Project
    watched: tuple[Watched, ...]
    shown: Watched | None
    trips: tuple[Trip, ...]
    rotations: tuple[Rotation, ...]
    last_watch: datetime | None
    late: bool
    next_due: datetime | None

    screen: str = "gate"
    nav: str = "gate"
    tab: str = "rotations"
    title: str = "Rotation and canary"
    rotate_days: int = ROTATE_DAYS
    rotate_share: int = 100 // ROTATED_SHARE
    least_trials: int = MIN_TRIALS
    least_points: int = round(100 * MIN_GAP)

    @property
    def open_trips(self) -> tuple[Trip, ...]:
        return tuple(trip for trip in self.trips if not trip.answered)


def read_rotation_page(
    *, project: Project, actor: Actor, suite_id: UUID | None = None
) -> RotationPage:
    """A handful of queries however many suites there are. Call for a visible project. `suite_id` is the
    suite whose canary is drawn; raises NotFound where it is not watched."""
    lines = list_suites(actor=actor, project_id=project.pk)
    live = [line for line in lines if _is_watched(line.suite)]
    told = _read_results([line.suite for line in live])
    chosen = _choose(live, suite_id)
    watched = tuple(_watched(line, told.get(line.suite.pk, ()), chosen) for line in live)
    moments = [one.watched_at for one in watched if one.watched_at is not None]
    dues = [one.row.rotate_at for one in watched if one.row.rotate_at is not None]
    last = max(moments, default=None)
    return RotationPage(
        project=project,
        watched=watched,
        shown=next((one for one in watched if one.chosen), None),
        trips=_read_trips(lines),
        rotations=_read_rotations(project),
        last_watch=last,
        late=bool(live) and _is_late(last),
        next_due=min(dues, default=None),
    )


def _is_watched(suite: Suite) -> bool:
    return suite.frozen_at is not None and suite.retired_at is None and bool(suite.token)


def _is_late(last: datetime | None) -> bool:
    return last is None or timezone.now() - last > timedelta(seconds=LATE_SECONDS)


def _choose(live: Sequence[SuiteLine], suite_id: UUID | None) -> UUID | None:
    """The suite that was asked for, else one that tripped, else the newest."""
    if suite_id is None:
        ranked = sorted(live, key=lambda line: line.suite.tripped_at is None)
        return ranked[0].suite.pk if ranked else None
    if all(line.suite.pk != suite_id for line in live):
        raise NotFound("There is no such suite that is watched.")
    return suite_id


def _read_results(suites: Sequence[Suite]) -> dict[UUID, list[SuiteResult]]:
    """The newest results of each suite, oldest first; one query for all."""
    place = Window(RowNumber(), partition_by="suite", order_by="-pk")
    rows = SuiteResult.objects.filter(suite__in=[suite.pk for suite in suites])
    told: dict[UUID, list[SuiteResult]] = {}
    for row in rows.annotate(place=place).filter(place__lte=RECENT_RESULTS).order_by("pk"):
        told.setdefault(row.suite_id, []).append(row)
    return told


def _watched(line: SuiteLine, runs: Sequence[SuiteResult], chosen: UUID | None) -> Watched:
    suite = line.suite
    return Watched(
        row=suite_row(line, {}),
        canary=tell_canary(suite, runs, across=SIDE_PX),
        watched_at=suite.watched_at,
        href=f"?suite={suite.pk}",
        chosen=suite.pk == chosen,
    )


def _read_trips(lines: Sequence[SuiteLine]) -> tuple[Trip, ...]:
    tripped = [(line.suite.tripped_at, line) for line in lines if line.suite.tripped_at]
    tripped.sort(key=lambda one: one[0], reverse=True)
    return tuple(
        Trip(
            name=line.suite.name,
            digest=short_digest(line.suite.digest),
            href=reverse("suite", args=[line.suite.pk]),
            at=at,
            evidence=line.suite.tripped_reason,
            answered=line.suite.retired_at is not None,
            wanting=line.fresh_cases_needed,
        )
        for at, line in tripped[:SHOWN_TRIPS]
    )


def _read_rotations(project: Project) -> tuple[Rotation, ...]:
    acts = AuditEntry.objects.filter(project=project, action="suite.rotate")
    told = {act.subject: act for act in acts.order_by("-number")[:SHOWN_ROTATIONS]}
    ids = [subject.removeprefix("suite:") for subject in told]
    rows = Suite.objects.filter(project=project, pk__in=ids)
    counts = count_minted(rows)
    by_subject = {f"suite:{row.pk}": row for row in rows.select_related("follows")}
    return tuple(
        Rotation(
            name=row.name,
            before=short_digest(row.follows.digest),
            before_href=reverse("suite", args=[row.follows_id]),
            after=short_digest(row.digest),
            after_href=reverse("suite", args=[row.pk]),
            minted=counts[row.pk][1],
            cases=counts[row.pk][0],
            who=act.actor_name,
            reason=act.reason,
            at=act.at,
        )
        for subject, act in told.items()
        if (row := by_subject.get(subject)) is not None and row.follows is not None
    )
