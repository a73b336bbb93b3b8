"""The page of a project's memory: filters, a table to pick from, and the record in focus."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Count
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from memory.curves import read_curves
from memory.decay_chart import draw_mini
from memory.domain.strength import Curves
from memory.domain.terms import Kind, RequestState, Standing, Trust
from memory.models import PromotionRequest, Record
from memory.record_page import RecordLine, fading_of, line_of, read_rivals
from memory.selectors import RecordFilter, read_filter
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.kit.charts import draw_spark
from verel_site.kit.cursors import read_int

PAGE: Final = 50
KIND_WORDS: Final = {
    "": "All",
    Kind.FACT.value: "Facts",
    Kind.RULE.value: "Design rules",
    Kind.SKILL.value: "Skills",
}
STANDING_WORDS: Final = {
    Standing.LIVE.value: "Live",
    Standing.HELD.value: "Waits for a person",
    Standing.SUPPRESSED.value: "Suppressed",
    Standing.BURIED.value: "Buried",
    Standing.REFUSED.value: "Refused",
}
SHOWN_SCOPES: Final = 12


@dataclass(frozen=True, slots=True)
class Facet:
    """One filter as a link: setting it, or where it is set, taking it away."""

    word: str
    count: int
    href: str
    current: bool
    glyph: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    rows: tuple[Facet, ...]


@dataclass(frozen=True, slots=True)
class Focus:
    """The record beside the table."""

    line: RecordLine
    chart: SafeString
    rivals: tuple[RecordLine, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a bulk decision."""

    word: str
    done: int
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RecordListPage:
    project: Project
    wanted: RecordFilter
    rows: tuple[RecordLine, ...]
    total: int
    tabs: tuple[Facet, ...]
    groups: tuple[Group, ...]
    focus: Focus | None
    waiting: int
    review_href: str
    clear_href: str
    older_href: str
    newest_href: str
    may_decide: bool
    here: str
    told: Told | None = None
    reason: str = ""
    strengths: SafeString | None = None

    screen: str = "memory"
    nav: str = "memory"
    title: str = "Memory"

    @property
    def narrows(self) -> bool:
        told = self.wanted
        return bool(told.trust or told.standing or told.scope or told.text or told.kind)

    @property
    def query_string(self) -> str:
        """The filters, for a form that comes back to the same page."""
        return self.here.partition("?")[2]


@dataclass
class _Links:
    """Addresses of the same page with one thing changed."""

    slug: str
    wanted: RecordFilter
    extra: Mapping[str, str] = field(default_factory=dict)

    def to(self, **change: str) -> str:
        told = self.wanted
        named = {
            "kind": told.kind,
            "trust": told.trust,
            "standing": told.standing,
            "scope": told.scope,
            "q": told.text,
        }
        kept = {name: value for name, value in (named | change).items() if value}
        root = reverse("memory", args=[self.slug])
        return f"{root}?{urlencode(kept)}" if kept else root


def read_record_list(
    *,
    actor: Actor,
    project: Project,
    query: QueryDict | Mapping[str, str],
    told: Told | None = None,
    reason: str = "",
) -> RecordListPage:
    """One page of records, newest first. Call for a visible project."""
    actor.demand(project.pk, Right.READ)
    wanted = read_filter(query)
    older = read_int(query, "older", 0, low=0, high=2**31)
    now, curves = timezone.now(), read_curves(project.pk)
    mine = Record.objects.visible_to(actor).filter(project=project)
    found = wanted.narrow(project.pk, mine).select_related("suppressed_by")
    rows = found.filter(number__lt=older) if older else found
    shown = list(rows.order_by("-number")[: PAGE + 1])
    links = _Links(project.slug, wanted)
    open_requests = PromotionRequest.objects.filter(project=project, state=RequestState.OPEN.value)
    first = open_requests.order_by("created_at").select_related("record").first()
    counts = _count(mine)
    more = len(shown) > PAGE
    shown = shown[:PAGE]
    return RecordListPage(
        project=project,
        wanted=wanted,
        rows=tuple(line_of(row, now, curves) for row in shown),
        total=found.count() if wanted.text else _matching(counts, wanted),
        tabs=_tabs(counts, wanted, links),
        groups=_groups(counts, wanted, links),
        focus=_focus(mine, shown, query, now, curves),
        waiting=open_requests.count() if first else 0,
        review_href=reverse("memory-record", args=[project.slug, first.record.number])
        if first
        else "",
        clear_href=reverse("memory", args=[project.slug]),
        older_href=f"{_joined(links.to())}older={shown[-1].number}" if more else "",
        newest_href=links.to() if older else "",
        may_decide=actor.may(project.pk, Right.CURATE) and actor.kind == "person",
        here=links.to(),
        told=told,
        reason=reason,
        strengths=_histogram(shown, now, curves),
    )


def _joined(href: str) -> str:
    return f"{href}&" if "?" in href else f"{href}?"


type _Counts = Counter[tuple[str, str, str, str]]


def _count(mine: Any) -> _Counts:
    """How many there are of each (kind, trust, standing, scope): one query for every facet."""
    rows = mine.values_list("kind", "trust", "standing", "scope").annotate(n=Count("position"))
    return Counter({(kind, trust, standing, scope): n for kind, trust, standing, scope, n in rows})


_FIELDS: Final = ("kind", "trust", "standing", "scope")


def _matching(counts: _Counts, wanted: RecordFilter, *, but: str = "", value: str = "") -> int:
    """How many match the filters, with the one named `but` set to `value`."""
    told = {name: getattr(wanted, name) for name in _FIELDS}
    if but:
        told[but] = value
    return sum(
        n
        for key, n in counts.items()
        if all(told[name] in ("", part) for name, part in zip(_FIELDS, key, strict=True))
    )


def _tabs(counts: _Counts, wanted: RecordFilter, links: _Links) -> tuple[Facet, ...]:
    return tuple(
        Facet(
            word,
            _matching(counts, wanted, but="kind", value=kind),
            links.to(kind=kind),
            wanted.kind == kind,
        )
        for kind, word in KIND_WORDS.items()
    )


def _groups(counts: _Counts, wanted: RecordFilter, links: _Links) -> tuple[Group, ...]:
    trusts = [(trust.value, trust.value.capitalize(), trust.value) for trust in reversed(Trust)]
    standings = [
        (value, word, "refused" if value == Standing.REFUSED.value else "")
        for value, word in STANDING_WORDS.items()
    ]
    seen = Counter[str]()
    for key, n in counts.items():
        seen[key[3]] += n
    scopes = [(scope, scope, "") for scope, _ in seen.most_common(SHOWN_SCOPES)]
    told = (
        ("Trust", "trust", trusts),
        ("Scope", "scope", scopes),
        ("Standing", "standing", standings),
    )
    return tuple(
        Group(name, tuple(_facet(counts, wanted, links, field, row) for row in rows))
        for name, field, rows in told
    )


def _facet(
    counts: _Counts, wanted: RecordFilter, links: _Links, field: str, row: tuple[str, str, str]
) -> Facet:
    value, word, glyph = row
    current = getattr(wanted, field) == value
    count = _matching(counts, wanted, but=field, value=value)
    return Facet(word, count, links.to(**{field: "" if current else value}), current, glyph)


def _focus(
    mine: Any,
    shown: Sequence[Record],
    query: Mapping[str, str],
    now: datetime,
    curves: Curves,
) -> Focus | None:
    """The record that `at` names, or the first one of the page."""
    number = read_int(query, "at", 0, low=0, high=2**31)
    picked = next((row for row in shown if row.number == number), None)
    if picked is None and number:
        picked = mine.filter(number=number).select_related("suppressed_by").first()
    record = picked or (shown[0] if shown else None)
    if record is None:
        return None
    rivals = tuple(line_of(row, now, curves) for row in read_rivals(record))
    return Focus(line_of(record, now, curves), draw_mini(fading_of(record, now, curves)), rivals)


def _histogram(shown: Sequence[Record], now: datetime, curves: Curves) -> SafeString | None:
    if not shown:
        return None
    buckets = [0] * 17
    for row in shown:
        buckets[min(16, int(row.strength(now, curves) * 17))] += 1
    return draw_spark(buckets, label="Records of this page by strength", across=180, down=34)
