"""What a reader of the inbox sees: groups of rows, counts and who holds what. Constant queries."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, Window
from django.utils import timezone

from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.inbox.claims import Wanted, narrow, waiting_for, wanted_parts
from verel_site.inbox.items import OPEN
from verel_site.inbox.kinds import Kind, all_kinds, find_kind
from verel_site.inbox.models import Absence, Claim, Decision, Item

MIXED_ROWS: Final = 8
ONE_KIND_ROWS: Final = 100
MAX_ROWS: Final = 500
LAST_TEN: Final = 10
MAX_BADGE: Final = 99
# Beyond it a page says that there are more, and not how many.
MAX_COUNT: Final = 999

ANSWERED, SKIPPED, BARRED = "answered", "skipped", "barred"

type Part = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class Hold:
    """A live claim as a reader is told of it."""

    item: UUID
    kind: str
    project: UUID
    name: str
    mine: bool
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """How many open items there are for one reader, by project and kind; of each no more than
    MAX_COUNT and one are counted."""

    waiting: Mapping[Part, int]
    others: int
    skipped: int

    @property
    def total(self) -> int:
        return sum(self.waiting.values())

    def of_kind(self, name: str) -> int:
        return sum(count for (_, kind), count in self.waiting.items() if kind == name)

    def of_project(self, project_id: UUID) -> int:
        return sum(count for (project, _), count in self.waiting.items() if project == project_id)


def tell_number(waiting: int, besides: int = 0) -> str:
    """How many wait, with so many besides that are counted in full: "999+" for all that is more."""
    more = "+" if waiting > MAX_COUNT else ""
    return f"{besides + min(waiting, MAX_COUNT):,}{more}"


def person_name(user: Any) -> str:
    return str(user.get_full_name() or user.get_username())


class _Number(Subquery):
    """How many rows a query has, and no row of it read beyond its own limit."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def read_counts(actor: Actor, reviewer: int) -> Counts:
    """Two queries: open items by project and kind, less those that are not for the reader. Of one
    project and kind no more than MAX_COUNT and one are counted, so that their number costs nothing."""
    parts = {(project, kind) for project, kinds in wanted_parts(actor, Wanted()) for kind in kinds}
    seen: dict[UUID, tuple[UUID, str, str]] = {}
    for item, project, kind, why in _put_aside(reviewer):
        if (project, kind) in parts:
            seen.setdefault(item, (project, kind, why))
    aside = Counter((project, kind) for project, kind, _ in seen.values())
    most = MAX_COUNT + 1
    waiting = {
        part: min(number - aside[part], most)
        for part, number in _count_open(parts, most + max(aside.values(), default=0))
        if number > aside[part]
    }
    whys = Counter(why for _, _, why in seen.values())
    return Counts(waiting, whys[ANSWERED], whys[SKIPPED])


def _count_open(parts: Collection[tuple[UUID, str]], most: int) -> Iterator[tuple[Part, int]]:
    names = sorted({kind for _, kind in parts})
    same = Item.objects.filter(project_id=OuterRef("pk"), state=OPEN).order_by()
    numbers = {f"of_{name}": _Number(same.filter(kind=name).values("pk")[:most]) for name in names}
    projects = Project.objects.filter(pk__in={project for project, _ in parts}).order_by()
    for project, *counted in projects.annotate(**numbers).values_list("pk", *numbers):
        for name, number in zip(names, counted, strict=True):
            if (project, name) in parts:
                yield (project, name), number


def _put_aside(reviewer: int) -> Iterable[tuple[UUID, UUID, str, str]]:
    """Open items that are not for the reviewer: (item, project, kind, why)."""
    fields = ("item_id", "item__project_id", "item__kind")
    answered = Decision.objects.filter(reviewer_id=reviewer, undone_at=None, item__state=OPEN)
    absent = Absence.objects.filter(reviewer_id=reviewer, item__state=OPEN)
    told = answered.values_list(*fields, Value(ANSWERED))
    skipped = absent.filter(barred=False).values_list(*fields, Value(SKIPPED))
    barred = absent.filter(barred=True).values_list(*fields, Value(BARRED))
    return told.union(skipped, barred, all=True).order_by()


def read_holds(actor: Actor, reviewer: int) -> list[Hold]:
    live = Claim.objects.filter(
        expires_at__gt=timezone.now(), item__project_id__in=actor.projects, item__state=OPEN
    )
    return [
        Hold(
            claim.item_id,
            claim.item.kind,
            claim.item.project_id,
            person_name(claim.reviewer),
            claim.reviewer_id == reviewer,
            claim.expires_at,
        )
        for claim in live.select_related("item", "reviewer").order_by("expires_at")
    ]


@dataclass(frozen=True, slots=True)
class Look:
    """Which rows, in which order, and after which one."""

    wanted: Wanted
    view: str = "review"
    newest: bool = False
    after: tuple[datetime, UUID] | None = None

    @property
    def one_kind(self) -> bool:
        return len(self.wanted.kinds) == 1

    @property
    def rows(self) -> int:
        return ONE_KIND_ROWS if self.one_kind else MIXED_ROWS


def read_groups(actor: Actor, reviewer: int, look: Look) -> list[tuple[Kind, list[Item]]]:
    """One query: for each kind the first `look.rows` of its items and one more, if there is."""
    chosen = Q(pk__in=[])
    for project_id, kinds in wanted_parts(actor, look.wanted):
        for kind in kinds:
            rows = Item.objects.filter(project_id=project_id, kind=kind)
            rows = narrow(_in_view(rows, reviewer, look.view), look.wanted, reviewer)
            rows = _ordered(_after(rows, look), look)
            chosen |= Q(pk__in=rows.values("pk")[: look.rows + 1])
    found: dict[str, list[Item]] = {}
    ordered = _ordered(Item.objects.filter(chosen).select_related("assignee"), look)
    for item in ordered:
        found.setdefault(item.kind, []).append(item)
    return [(kind, found[kind.name]) for kind in all_kinds() if kind.name in found]


def _in_view(rows: QuerySet[Item], reviewer: int, view: str) -> QuerySet[Item]:
    if view == "others":
        mine = Decision.objects.filter(reviewer_id=reviewer, undone_at=None, item__state=OPEN)
        return rows.filter(state=OPEN, pk__in=mine.values("item_id"))
    if view == "skipped":
        skipped = Absence.objects.filter(reviewer_id=reviewer, barred=False)
        return rows.filter(state=OPEN, pk__in=skipped.values("item_id"))
    return waiting_for(rows, reviewer)


def _after(rows: QuerySet[Item], look: Look) -> QuerySet[Item]:
    if look.after is None:
        return rows
    at, pk = look.after
    beyond = Q(created_at__lt=at) if look.newest else Q(created_at__gt=at)
    return rows.filter(beyond | Q(created_at=at, pk__gt=pk))


def _ordered(rows: QuerySet[Item], look: Look) -> QuerySet[Item]:
    # Pages of one kind go by age alone, so that a cursor is one moment.
    if look.newest:
        return rows.order_by("-created_at", "pk")
    if look.one_kind:
        return rows.order_by("created_at", "pk")
    return rows.order_by("-priority", "created_at", "pk")


@dataclass(frozen=True, slots=True)
class Mark:
    """One of the last decisions: its glyph, its words, and where it stands."""

    decision: UUID
    item: UUID
    glyph: str
    words: str
    undone: bool


def read_today(reviewer: int, *, limit: int = LAST_TEN) -> tuple[int, list[Decision]]:
    """How many answers of this person stand since their midnight, and the newest of them."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = Decision.objects.filter(reviewer_id=reviewer, undone_at=None, created_at__gte=midnight)
    counted = rows.annotate(total=Window(Count("pk"))).select_related("item")
    found = list(counted.order_by("-created_at", "pk")[:limit])
    return (int(found[0].total) if found else 0), [*found]


def tell_decision(decision: Decision) -> Mark:
    kind = find_kind(decision.item.kind)
    word = kind.answer_words.get(decision.answer, decision.answer)
    return Mark(
        decision=decision.pk,
        item=decision.item_id,
        glyph=kind.marks.get(decision.answer, "pass"),
        words=f"{word}: {decision.item.title}",
        undone=decision.undone_at is not None,
    )


def badge_items(actor: Actor) -> QuerySet[Item]:
    """What waits for this person, one more than MAX_BADGE at most; to be counted."""
    projects: dict[tuple[str, ...], list[UUID]] = {}
    for project_id, kinds in wanted_parts(actor, Wanted()):
        projects.setdefault(tuple(kinds), []).append(project_id)
    if actor.user_id is None or not projects:
        return Item.objects.none()
    wanted = Q()
    # As many parts as there are roles, and not as there are projects.
    for names, ids in projects.items():
        wanted |= Q(project_id__in=ids, kind__in=names)
    rows = waiting_for(Item.objects.filter(wanted), actor.user_id)
    return rows.order_by()[: MAX_BADGE + 1]


def frees_in(hold_until: datetime, now: datetime) -> str:
    seconds = max(0, round((hold_until - now) / timedelta(seconds=1)))
    return f"{seconds // 60}:{seconds % 60:02}"
