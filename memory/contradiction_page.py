"""The page of contradictions: who speaks under a key, who says otherwise, and what each rests on.

What waits for a person stands first, and what a rule settled behind it; of each the newest first.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, Q, Window
from django.db.models.functions import RowNumber
from django.urls import reverse
from django.utils import timezone

from memory.contradictions import contradict
from memory.curves import read_curves
from memory.domain.strength import Curves
from memory.domain.terms import Kind, Standing, Trust
from memory.given_answers import Given
from memory.models import Evidence, Record
from memory.querysets import RecordQuerySet
from memory.record_page import RecordLine, line_of
from memory.word_changes import Piece, mark_words
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.kit.cursors import read_int
from verel_site.kit.refusals import BadInput

PAGE: Final = 20
SHOWN_EVIDENCE: Final = 3
# So many that wait are looked through to count them.
MAX_COUNTED: Final = 500
MAX_KEY: Final = 420
SHOWS: Final = {"": "All", "waiting": "Waits for a person", "settled": "Settled by rule"}
WAITS, SETTLED = Standing.HELD.value, Standing.SUPPRESSED.value


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
    pieces: tuple[Piece, ...]
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


@dataclass(frozen=True, slots=True)
class Show:
    word: str
    href: str
    current: bool


@dataclass(frozen=True)
class ContradictionPage:
    project: Project
    disputes: tuple[Dispute, ...]
    waiting: int
    more_wait: bool
    key: str
    shows: tuple[Show, ...]
    query_string: str
    older_href: str
    newest_href: str
    may_decide: bool
    given: Given | None = None
    fault: str = ""
    reason: str = ""
    at: str = ""

    screen: str = "memory"
    nav: str = "memory"
    tab: str = "contradictions"
    title: str = "Contradictions"


@dataclass(frozen=True)
class _Asked:
    """What the address asks for: one key or all, one standing or both, and the place to go on at."""

    key: str
    show: str
    waits: bool
    before: int

    def narrow(self, rows: RecordQuerySet) -> RecordQuerySet:
        rows = rows.filter(key=self.key) if self.key else rows
        if self.show:
            rows = rows.filter(standing=WAITS if self.show == "waiting" else SETTLED)
        if not self.before:
            return rows
        behind = Q(standing=SETTLED, position__lt=self.before)
        if self.waits:
            behind = Q(standing=SETTLED) | Q(standing=WAITS, position__lt=self.before)
        return rows.filter(behind)

    def to(self, project: Project, **change: str) -> str:
        named = {"key": self.key, "show": self.show} | change
        told = urlencode({name: value for name, value in named.items() if value})
        root = reverse("memory-contradictions", args=[project.slug])
        return f"{root}?{told}" if told else root


def _read_asked(query: Mapping[str, str]) -> _Asked:
    """Raises BadInput."""
    show = query.get("show", "")
    if show not in SHOWS:
        raise BadInput("show is waiting or settled.", parameter="show")
    standing, _, position = query.get("older", "").partition("-")
    if standing not in ("", "waiting", "settled"):
        raise BadInput("older is a place of an earlier page.", parameter="older")
    before = read_int({"older": position}, "older", 0, low=0, high=2**62)
    return _Asked(query.get("key", "")[:MAX_KEY], show, standing == "waiting", before)


def read_contradiction_page(
    *,
    actor: Actor,
    project: Project,
    query: Mapping[str, str],
    given: Given | None = None,
    fault: str = "",
    reason: str = "",
    at: str = "",
) -> ContradictionPage:
    """Constant queries. `at` is the pair that a refused answer was about."""
    actor.demand(project.pk, Right.READ)
    asked = _read_asked(query)
    mine = Record.objects.visible_to(actor).filter(project=project)
    rows = _challengers(mine)
    listed = list(asked.narrow(rows)[: PAGE + 1])
    pairs = _pair(mine, listed[:PAGE])
    told = _read_sources(row for pair in pairs for row in pair)
    curves = read_curves(project.pk)
    held = list(rows.filter(standing=WAITS)[: MAX_COUNTED + 1])
    more, last = len(listed) > PAGE, listed[PAGE - 1] if len(listed) > PAGE else None
    place = f"{'waiting' if last.standing == WAITS else 'settled'}-{last.position}" if last else ""
    return ContradictionPage(
        project=project,
        disputes=tuple(_dispute(speaker, row, told, curves) for speaker, row in pairs),
        waiting=len(_pair(mine, held[:MAX_COUNTED])),
        more_wait=len(held) > MAX_COUNTED,
        key=asked.key,
        shows=tuple(
            Show(word, asked.to(project, show=name), asked.show == name)
            for name, word in SHOWS.items()
        ),
        query_string=asked.to(project).partition("?")[2],
        older_href=asked.to(project, older=place) if more else "",
        newest_href=asked.to(project) if asked.before else "",
        may_decide=actor.may(project.pk, Right.CURATE) and actor.kind == "person",
        given=given,
        fault=fault,
        reason=reason,
        at=at,
    )


def _challengers(mine: RecordQuerySet) -> RecordQuerySet:
    """Those that do not speak while another one of their key does; who waits comes first."""
    speaks = Record.objects.live().filter(project=OuterRef("project"), key=OuterRef("key"))
    rows = mine.exclude(key="").exclude(kind=Kind.SKILL.value)
    rows = rows.filter(standing__in=[WAITS, SETTLED]).filter(Exists(speaks))
    # held sorts before suppressed.
    return rows.select_related("suppressed_by").order_by("standing", "-position")


def _pair(mine: RecordQuerySet, rows: Collection[Record]) -> list[tuple[Record, Record]]:
    """Each with the one that it contradicts; what contradicts nobody is left out."""
    spoken = _speakers(mine, {row.key for row in rows})
    return [
        (speaker, row)
        for row in rows
        if (speaker := _spoken_against(spoken[row.key], row)) is not None
    ]


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
    ours, theirs = mark_words(speaker.text, row.text)
    return Dispute(
        key=row.key,
        speaks=Told(speaks, ours, speaker.asserted_at, told.get(speaker.pk, ()), stays),
        challenges=Told(challenges, theirs, row.asserted_at, told.get(row.pk, ()), instead),
        waits=waits,
        why=_why(speaker, row),
    )


def _why(speaker: Record, row: Record) -> str:
    if row.standing == Standing.HELD.value:
        return next((str(one["says"]) for one in row.held_for if "says" in one), "")
    if Trust(speaker.trust).rank > Trust(row.trust).rank:
        return f"{speaker.label} is {speaker.trust}, {row.label} is {row.trust}: trust decided."
    return f"Both are {row.trust}: what was said last decided."
