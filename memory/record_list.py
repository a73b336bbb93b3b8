"""The page of a project's memory: filters, a table to pick from, and the record in focus."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from memory.curves import read_curves
from memory.decay_chart import draw_mini
from memory.domain.strength import Curves
from memory.domain.terms import RequestState, Standing, Trust
from memory.given_answers import Given
from memory.models import PromotionRequest, Record
from memory.provenance import Provenance, read_past, tell_provenance
from memory.querysets import RecordQuerySet
from memory.record_needs import NEEDS, count_needs, narrow_to, read_need
from memory.record_order import (
    BEST,
    COLUMNS,
    NEWEST,
    OLDEST,
    Order,
    cursor_of,
    read_cursor,
    read_order,
    take,
)
from memory.record_page import KIND_WORDS, RecordLine, fading_of, line_of, read_rivals
from memory.record_search import Found, search_records
from memory.selectors import RecordFilter, read_filter
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.kit.charts import draw_spark
from verel_site.kit.cursors import read_int

PAGE: Final = 50
# A page costs the same however much is remembered: beyond so many nothing is counted.
COUNTED: Final = 10_000
TAB_WORDS: Final = {"": "All", **KIND_WORDS}
STANDING_WORDS: Final = {
    Standing.LIVE.value: "Live",
    Standing.HELD.value: "Waits for a person",
    Standing.SUPPRESSED.value: "Suppressed",
    Standing.BURIED.value: "Buried",
    Standing.REFUSED.value: "Refused",
}
SHOWN_SCOPES: Final = 8
MAX_SCOPES: Final = 100
SORT_WORDS: Final = {
    BEST: "best match first",
    NEWEST: "newest first",
    OLDEST: "oldest first",
    "confidence": "most confidence first",
    "support": "most support first",
    "used": "latest used first",
    "-confidence": "least confidence first",
    "-support": "least support first",
    "-used": "longest unused first",
}


@dataclass(frozen=True, slots=True)
class Facet:
    """One filter as a link: setting it, or where it is set, taking it away. Of what matches, the
    latest COUNTED are counted; `more` says that there may be others."""

    word: str
    count: int
    href: str
    current: bool
    glyph: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """`more` are the rarer values, folded away."""

    name: str
    rows: tuple[Facet, ...]
    more: tuple[Facet, ...] = ()

    @property
    def is_narrowed(self) -> bool:
        return any(row.current for row in (*self.rows, *self.more))


@dataclass(frozen=True, slots=True)
class Column:
    """A head of the table that sorts: `sorts` is empty, descending or ascending."""

    word: str
    href: str
    sorts: str
    told: str


@dataclass(frozen=True, slots=True)
class Focus:
    """The record beside the table."""

    line: RecordLine
    provenance: Provenance
    chart: SafeString
    rivals: tuple[RecordLine, ...]


@dataclass(frozen=True)
class FocusPage:
    project: Project
    focus: Focus | None


@dataclass(frozen=True)
class RecordListPage:
    project: Project
    wanted: RecordFilter
    rows: tuple[RecordLine, ...]
    total: int
    more: bool
    capped: bool
    named: bool
    elsewhere: int
    tabs: tuple[Facet, ...]
    groups: tuple[Group, ...]
    columns: Mapping[str, Column]
    sorts: tuple[Facet, ...]
    sort_words: str
    focus: Focus | None
    waiting: int
    review_href: str
    clear_href: str
    widen_href: str
    older_href: str
    newest_href: str
    may_decide: bool
    here: str
    kept: tuple[tuple[str, str], ...]
    given: Given | None = None
    fault: str = ""
    reason: str = ""
    picked: Collection[UUID] = ()
    strengths: SafeString | None = None

    screen: str = "memory"
    nav: str = "memory"
    title: str = "Memory"

    @property
    def narrows(self) -> bool:
        return bool(self.wanted.text or self.filters)

    @property
    def filters(self) -> int:
        """How many filters are set beside the search."""
        return sum(group.is_narrowed for group in self.groups) + bool(self.wanted.kind)

    @property
    def query_string(self) -> str:
        """The filters, for a form that comes back to the same page."""
        return self.here.partition("?")[2]

    @property
    def rows_href(self) -> str:
        """Before the number of a row that is to be looked at beside the table."""
        return f"{_joined(self.here)}at="


@dataclass
class _Links:
    """Addresses of the same page with one thing changed."""

    slug: str
    named: Mapping[str, str] = field(default_factory=dict)

    def to(self, **change: str) -> str:
        kept = {name: value for name, value in {**self.named, **change}.items() if value}
        root = reverse("memory", args=[self.slug])
        return f"{root}?{urlencode(kept)}" if kept else root


@dataclass(frozen=True)
class _Asked:
    """What the address asks for."""

    wanted: RecordFilter
    need: str
    order: Order
    cursor: str
    found: Found | None
    links: _Links

    def narrow_text(self, rows: RecordQuerySet) -> RecordQuerySet:
        return rows if self.found is None else rows.filter(position__in=self.found.positions)


def _read_asked(project: Project, query: Mapping[str, str]) -> _Asked:
    wanted = read_filter(query)
    need = read_need(query.get("needs", ""))
    searching = bool(wanted.text.strip())
    order = read_order(query.get("sort", ""), searching=searching)
    named = {name: getattr(wanted, name) for name in _FIELDS}
    usual = read_order("", searching=searching)
    named |= {"needs": need, "q": wanted.text, "sort": "" if order == usual else order.name}
    found = search_records(project_id=project.pk, text=wanted.text)
    cursor = read_cursor(order, query.get("older", ""))
    return _Asked(wanted, need, order, cursor, found, _Links(project.slug, named))


def read_record_list(
    *,
    actor: Actor,
    project: Project,
    query: QueryDict | Mapping[str, str],
    given: Given | None = None,
    fault: str = "",
    reason: str = "",
    picked: Collection[UUID] = (),
) -> RecordListPage:
    """One page of records. Call for a visible project. A constant number of queries."""
    actor.demand(project.pk, Right.READ)
    asked = _read_asked(project, query)
    wanted, links, order = asked.wanted, asked.links, asked.order
    now, curves = timezone.now(), read_curves(project.pk)
    mine = Record.objects.visible_to(actor).filter(project=project)
    said = asked.narrow_text(mine)
    counts = _count(narrow_to(said, asked.need, now))
    rows = narrow_to(wanted.narrow_fields(said), asked.need, now)
    ranked = asked.found.positions if asked.found else ()
    shown = take(
        rows.select_related("suppressed_by"), order, asked.cursor, ranked=ranked, limit=PAGE + 1
    )
    more, shown = len(shown) > PAGE, shown[:PAGE]
    total = _matching(counts.told, wanted)
    waiting, review_href = _read_waiting(project)
    return RecordListPage(
        project=project,
        wanted=wanted,
        rows=tuple(line_of(row, now, curves) for row in shown),
        total=total,
        more=counts.more,
        capped=asked.found is not None and asked.found.capped,
        named=asked.found is not None and asked.found.named,
        elsewhere=0 if shown else sum(_count(said).told.values()),
        tabs=_tabs(counts, wanted, links),
        groups=(*_groups(counts, wanted, links), _needs(wanted.narrow_fields(said), asked, now)),
        columns={name: _column(name, order, links) for name in COLUMNS},
        sorts=_sorts(order, links, searching=asked.found is not None),
        sort_words=SORT_WORDS[order.name],
        focus=_focus(mine, shown, query, now, curves),
        waiting=waiting,
        review_href=review_href,
        clear_href=reverse("memory", args=[project.slug]),
        widen_href=_Links(project.slug, {"q": wanted.text}).to(),
        older_href=f"{_joined(links.to())}older={cursor_of(order, shown[-1])}" if more else "",
        newest_href=links.to() if asked.cursor else "",
        may_decide=actor.may(project.pk, Right.CURATE) and actor.kind == "person",
        here=links.to(older=asked.cursor),
        kept=tuple((name, value) for name, value in links.named.items() if value and name != "q"),
        given=given,
        fault=fault,
        reason=reason,
        picked=picked,
        strengths=_histogram(shown, now, curves),
    )


def read_focus(*, actor: Actor, project: Project, query: Mapping[str, str]) -> FocusPage:
    """The record that `at` names, alone."""
    actor.demand(project.pk, Right.READ)
    mine = Record.objects.visible_to(actor).filter(project=project)
    curves = read_curves(project.pk)
    return FocusPage(project, _focus(mine, (), query, timezone.now(), curves))


def _read_waiting(project: Project) -> tuple[int, str]:
    """How many proposals wait, and where the one is that waits longest."""
    rows = PromotionRequest.objects.filter(project=project, state=RequestState.OPEN.value)
    first = rows.order_by("created_at").select_related("record").first()
    if first is None:
        return 0, ""
    return rows.count(), reverse("memory-record", args=[project.slug, first.record.number])


def _joined(href: str) -> str:
    return f"{href}&" if "?" in href else f"{href}?"


@dataclass(frozen=True, slots=True)
class _Counts:
    """How many of the latest there are of each (kind, trust, standing, scope), and whether there
    may be others."""

    told: Counter[tuple[str, str, str, str]]
    more: bool


def _count(mine: RecordQuerySet) -> _Counts:
    """One query for every facet."""
    rows = _latest(mine).values_list("kind", "trust", "standing", "scope")
    told = Counter({tuple(key): n for *key, n in rows.annotate(n=Count("position"))})
    return _Counts(told, more=told.total() >= COUNTED)


def _latest(mine: RecordQuerySet) -> RecordQuerySet:
    latest = mine.order_by("-number").values("position")[:COUNTED]
    return Record.objects.filter(position__in=latest)


_FIELDS: Final = ("kind", "trust", "standing", "scope")


def _matching(
    counts: Counter[tuple[str, str, str, str]],
    wanted: RecordFilter,
    *,
    but: str = "",
    value: str = "",
) -> int:
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
            _matching(counts.told, wanted, but="kind", value=kind),
            links.to(kind=kind),
            wanted.kind == kind,
            more=counts.more,
        )
        for kind, word in TAB_WORDS.items()
    )


def _groups(counts: _Counts, wanted: RecordFilter, links: _Links) -> tuple[Group, ...]:
    trusts = [(trust.value, trust.value.capitalize(), trust.value) for trust in reversed(Trust)]
    standings = [
        (value, word, "refused" if value == Standing.REFUSED.value else "")
        for value, word in STANDING_WORDS.items()
    ]
    told = (("Trust", "trust", trusts), ("Standing", "standing", standings))
    groups = [
        Group(name, tuple(_facet(counts, wanted, links, field, row) for row in rows))
        for name, field, rows in told
    ]
    groups.insert(1, _scopes(counts, wanted, links))
    return tuple(groups)


def _scopes(counts: _Counts, wanted: RecordFilter, links: _Links) -> Group:
    """The commonest first; the one that is set always, whether anything has it or not."""
    seen = Counter[str]()
    for key, n in counts.told.items():
        seen[key[3]] += n
    named = [scope for scope, _ in seen.most_common(MAX_SCOPES)]
    if wanted.scope and wanted.scope not in named[:SHOWN_SCOPES]:
        named = [wanted.scope, *(scope for scope in named if scope != wanted.scope)]
    rows = [_facet(counts, wanted, links, "scope", (scope, scope, "")) for scope in named]
    return Group("Scope", tuple(rows[:SHOWN_SCOPES]), tuple(rows[SHOWN_SCOPES:]))


def _needs(rows: RecordQuerySet, asked: _Asked, now: datetime) -> Group:
    counts = count_needs(_latest(rows), now)
    return Group(
        "Needs a look",
        tuple(
            Facet(
                word,
                counts[need],
                asked.links.to(needs="" if asked.need == need else need),
                asked.need == need,
            )
            for need, word in NEEDS.items()
        ),
    )


def _column(name: str, order: Order, links: _Links) -> Column:
    word = {"confidence": "Conf.", "support": "Support", "used": "Used"}[name]
    sorts = "" if order.by != name else "ascending" if order.rising else "descending"
    other = Order(name, rising=sorts == "descending")
    return Column(word, links.to(sort=other.name), sorts, SORT_WORDS[other.name])


def _sorts(order: Order, links: _Links, *, searching: bool) -> tuple[Facet, ...]:
    """Every order, where no head of the table is to be seen."""
    names = [name for name in SORT_WORDS if searching or name != BEST]
    return tuple(
        Facet(SORT_WORDS[name], 0, links.to(sort=name), order.name == name) for name in names
    )


def _facet(
    counts: _Counts, wanted: RecordFilter, links: _Links, field: str, row: tuple[str, str, str]
) -> Facet:
    value, word, glyph = row
    current = getattr(wanted, field) == value
    count = _matching(counts.told, wanted, but=field, value=value)
    href = links.to(**{field: "" if current else value})
    return Facet(word, count, href, current, glyph, counts.more)


def _focus(
    mine: RecordQuerySet,
    shown: Sequence[Record],
    query: Mapping[str, str],
    now: datetime,
    curves: Curves,
) -> Focus | None:
    """The record that `at` names, or the first one of the page."""
    number = read_int(query, "at", 0, low=0, high=2**31) or (shown[0].number if shown else 0)
    rows = mine.select_related("project", "suppressed_by", "supersedes")
    record = rows.filter(number=number).first() if number else None
    if record is None:
        return None
    evidence = list(record.evidence.select_related("run").order_by("position"))
    provenance = tell_provenance(
        record,
        slug=record.project.slug,
        past=read_past(record),
        evidence=evidence,
        strength=record.strength(now, curves),
    )
    rivals = tuple(line_of(row, now, curves) for row in read_rivals(record))
    chart = draw_mini(fading_of(record, now, curves, evidence=evidence))
    return Focus(line_of(record, now, curves), provenance, chart, rivals)


def _histogram(shown: Sequence[Record], now: datetime, curves: Curves) -> SafeString | None:
    if not shown:
        return None
    buckets = [0] * 17
    for row in shown:
        buckets[min(16, int(row.strength(now, curves) * 17))] += 1
    return draw_spark(buckets, label="Records of this page by strength", across=180, down=34)
