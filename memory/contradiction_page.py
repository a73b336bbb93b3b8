"""The page of contradictions: who speaks under a key, who says otherwise, and what each rests on."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Exists, OuterRef, Window
from django.db.models.functions import RowNumber
from django.urls import reverse
from django.utils import timezone

from memory.contradictions import contradict
from memory.curves import read_curves
from memory.domain.strength import Curves
from memory.domain.terms import Kind, Standing, Trust
from memory.models import Evidence, Record
from memory.querysets import RecordQuerySet
from memory.record_page import RecordLine, line_of
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.kit.cursors import read_int

PAGE: Final = 20
SHOWN_EVIDENCE: Final = 3


@dataclass(frozen=True, slots=True)
class Source:
    href: str
    place: str
    quote: str
    agrees: bool


@dataclass(frozen=True, slots=True)
class Told:
    """One side: the record, what speaks for it, and what keeping it does."""

    line: RecordLine
    asserted: datetime
    sources: tuple[Source, ...]
    keeping: str


@dataclass(frozen=True, slots=True)
class Dispute:
    key: str
    speaks: Told
    challenges: Told
    waits: bool
    why: str


@dataclass(frozen=True)
class ContradictionPage:
    project: Project
    disputes: tuple[Dispute, ...]
    waiting: int
    older_href: str
    may_decide: bool
    fault: str = ""
    reason: str = ""

    screen: str = "memory"
    nav: str = "memory"
    tab: str = "contradictions"
    title: str = "Contradictions"


def read_contradiction_page(
    *, actor: Actor, project: Project, older: str = "", fault: str = "", reason: str = ""
) -> ContradictionPage:
    """What waits for a person and what a rule settled, the newest first. Constant queries."""
    actor.demand(project.pk, Right.READ)
    mine = Record.objects.visible_to(actor).filter(project=project)
    before = read_int({"older": older}, "older", 0, low=0, high=2**62)
    rows = _challengers(mine)
    listed = list((rows.filter(position__lt=before) if before else rows)[: PAGE + 1])
    spoken = _speakers(mine, {row.key for row in listed})
    pairs = [
        (speaker, row)
        for row in listed[:PAGE]
        if (speaker := _spoken_against(spoken[row.key], row)) is not None
    ]
    told = _read_sources(row for pair in pairs for row in pair)
    curves = read_curves(project.pk)
    root = reverse("memory-contradictions", args=[project.slug])
    return ContradictionPage(
        project=project,
        disputes=tuple(_dispute(speaker, row, told, curves) for speaker, row in pairs),
        waiting=rows.filter(standing=Standing.HELD.value).count(),
        older_href=f"{root}?older={listed[PAGE - 1].position}" if len(listed) > PAGE else "",
        may_decide=actor.may(project.pk, Right.CURATE) and actor.kind == "person",
        fault=fault,
        reason=reason,
    )


def _challengers(mine: RecordQuerySet) -> RecordQuerySet:
    """Those that do not speak while another one of their key does."""
    speaks = Record.objects.live().filter(project=OuterRef("project"), key=OuterRef("key"))
    rows = mine.exclude(key="").exclude(kind=Kind.SKILL.value)
    rows = rows.filter(standing__in=[Standing.HELD.value, Standing.SUPPRESSED.value])
    return rows.filter(Exists(speaks)).select_related("suppressed_by").order_by("-position")


def _speakers(mine: RecordQuerySet, keys: set[str]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for row in mine.live().filter(key__in=keys).select_related("suppressed_by"):
        found[row.key].append(row)
    return found


def _spoken_against(speakers: list[Record], row: Record) -> Record | None:
    """Whom it contradicts: in its scope first, then whoever is verified."""
    told = [one for one in speakers if contradict(one, row)]
    told.sort(key=lambda one: (one.scope != row.scope, -Trust(one.trust).rank, one.position))
    return told[0] if told else None


def _read_sources(records: Iterable[Record]) -> dict[int, tuple[Source, ...]]:
    place = Window(RowNumber(), partition_by="record", order_by="position")
    rows = Evidence.objects.filter(record__in={row.pk for row in records}).select_related("run")
    told: dict[int, list[Source]] = defaultdict(list)
    for row in rows.annotate(place=place).filter(place__lte=SHOWN_EVIDENCE).order_by("position"):
        where = f"r-{row.run.number} / {row.seq:,}"
        href = reverse("event", args=[row.event_id])
        told[row.record_id].append(Source(href, where, row.quote, row.agrees))
    return {pk: tuple(sources) for pk, sources in told.items()}


def _dispute(
    speaker: Record, row: Record, told: dict[int, tuple[Source, ...]], curves: Curves
) -> Dispute:
    now = timezone.now()
    speaks, challenges = (line_of(one, now, curves) for one in (speaker, row))
    waits = row.standing == Standing.HELD.value
    same = speaker.scope == row.scope
    stays = f"{row.label} is buried" if waits else "verified, so that no rule turns it"
    instead = (
        f"verified, and {speaker.label} is suppressed" if same else "verified in its own scope"
    )
    return Dispute(
        key=row.key,
        speaks=Told(speaks, speaker.asserted_at, told.get(speaker.pk, ()), stays),
        challenges=Told(challenges, row.asserted_at, told.get(row.pk, ()), instead),
        waits=waits,
        why=_why(speaker, row),
    )


def _why(speaker: Record, row: Record) -> str:
    if row.standing == Standing.HELD.value:
        return next((str(one["says"]) for one in row.held_for if "says" in one), "")
    if Trust(speaker.trust).rank > Trust(row.trust).rank:
        return f"{speaker.label} is {speaker.trust}, {row.label} is {row.trust}: trust decided."
    return f"Both are {row.trust}: what was said last decided."
