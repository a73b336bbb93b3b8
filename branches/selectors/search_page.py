"""The page of a project's search: hits by run, places that the words may name, and how fresh it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Q, prefetch_related_objects
from django.urls import reverse

from branches.domain.search_query import (
    Filter,
    Piece,
    Query,
    begin_words,
    make_snippet,
    parse_query,
)
from branches.domain.telling import Telling, tell_event
from branches.models import Branch, Event, Run
from branches.selectors.events import stored_event
from branches.selectors.search import (
    OFF,
    Freshness,
    Hits,
    event_texts,
    find_branches,
    find_events,
    id_span,
    is_search_on,
)
from branches.storage.codec import Unreadable
from branches.storage.payloads import UnreadableEvent
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project
from verel_site.access.rights import Right

PAGE: Final = 50
_JUMPS: Final = 5
_KINDS: Final = (
    ("message", "Messages", "message-square"),
    ("thoughts", "Thoughts", "message-circle-dashed"),
    ("calls", "Tool calls", "terminal"),
    ("results", "Results", "corner-down-right"),
    ("overrides", "Overrides", "pencil-line"),
    ("approvals", "Approvals", "hand"),
    ("errors", "Errors", "triangle-alert"),
)


@dataclass(frozen=True)
class Place:
    """Somewhere that the words may name: a run, a branch or an event."""

    icon: str
    name: str
    note: str
    href: str


@dataclass(frozen=True)
class HitRow:
    id: UUID
    href: str
    telling: Telling
    step: int
    branch: str
    number: int
    pieces: tuple[Piece, ...]
    ts: datetime


@dataclass(frozen=True)
class HitGroup:
    """The page's hits in one run, newest first."""

    run: UUID
    number: int
    goal: str
    href: str
    rows: tuple[HitRow, ...]


@dataclass(frozen=True)
class Facet:
    name: str
    icon: str
    href: str
    current: bool


@dataclass(frozen=True)
class SearchPage:
    """`off` says why nothing is searched; `begun_href` widens the last word to its beginnings."""

    project: Project
    query: str
    groups: tuple[HitGroup, ...]
    places: tuple[Place, ...]
    kinds: tuple[Facet, ...]
    notes: tuple[str, ...]
    freshness: Freshness
    first: bool
    older_href: str
    newest_href: str
    begun_href: str
    runs_href: str
    off: str = ""
    screen: str = "search"
    nav: str = "search"
    title: str = "Search"

    @property
    def count(self) -> int:
        return sum(len(group.rows) for group in self.groups)


def read_search_page(*, actor: Actor, slug: str, text: str, before: int | None) -> SearchPage:
    """One page of hits, newest first: a constant number of queries, whatever is stored."""
    project = get_project(actor=actor, slug=slug)
    actor.demand(project.pk, Right.READ)
    query = parse_query(text)
    on = is_search_on()
    hits = (
        find_events(project=project, query=query, before=before, limit=PAGE)
        if on
        else Hits((), False, Freshness(0, None))
    )
    here = reverse("search", args=[project.slug])
    begun = begin_words(query.text)
    last = hits.rows[-1].position if hits.more else None
    return SearchPage(
        project=project,
        query=query.text,
        groups=_group(_with_places(hits.rows), query),
        places=_find_places(project, query.text) if before is None else (),
        kinds=_kind_facets(here, query),
        notes=hits.notes,
        freshness=hits.freshness,
        first=before is None,
        older_href=_href(here, query.text, last) if last else "",
        newest_href=_href(here, query.text) if before is not None else "",
        begun_href=_href(here, begun) if begun else "",
        runs_href=f"{reverse('run-list', args=[project.slug])}?{urlencode({'q': query.text[:200]})}",
        off="" if on else OFF,
    )


def find_exact(*, actor: Actor, slug: str, text: str) -> str:
    """The address of what has this very id in the project: an event, a branch or a run; or ""."""
    project = get_project(actor=actor, slug=slug)
    try:
        key = UUID(text.strip())
    except ValueError:
        return ""
    event = Event.objects.filter(project=project, event_id=key).only("run_id").first()
    if event is not None:
        return _event_href(event.run_id, key)
    branch = Branch.objects.filter(project=project, pk=key).first()
    if branch is not None:
        return f"{reverse('run', args=[branch.run_id])}?branch={key}"
    if Run.objects.filter(project=project, pk=key).exists():
        return reverse("run", args=[key])
    return ""


def _href(here: str, text: str, before: int | None = None) -> str:
    pairs: list[tuple[str, str | int]] = [("q", text)]
    pairs += [("before", before)] if before is not None else []
    return f"{here}?{urlencode(pairs)}"


def _event_href(run: UUID, event: UUID, text: str = "") -> str:
    pairs = [("event", str(event)), *([("q", text)] if text else [])]
    return f"{reverse('run', args=[run])}?{urlencode(pairs)}"


def _with_places(rows: Sequence[Event]) -> Sequence[Event]:
    """Each run and branch is read once, however many hits it has."""
    prefetch_related_objects(rows, "run", "branch")
    return rows


def _group(rows: Iterable[Event], query: Query) -> tuple[HitGroup, ...]:
    groups: dict[UUID, tuple[Run, list[HitRow]]] = {}
    for row in rows:
        groups.setdefault(row.run_id, (row.run, []))[1].append(_tell(row, query))
    return tuple(
        HitGroup(
            run=run.pk,
            number=run.number,
            goal=run.goal,
            href=f"{reverse('run', args=[run.pk])}?{urlencode({'q': query.text})}",
            rows=tuple(found),
        )
        for run, found in groups.values()
    )


def _tell(row: Event, query: Query) -> HitRow:
    try:
        pieces = make_snippet(query.wanted, event_texts(row))
        telling = tell_event(stored_event(row))
    except (Unreadable, UnreadableEvent):
        pieces = (Piece("The payload cannot be read here."),)
        telling = Telling("system", "unlink", row.type, "")
    return HitRow(
        id=row.event_id,
        href=_event_href(row.run_id, row.event_id, query.text),
        telling=telling,
        step=row.branch.base + row.seq,
        branch=row.branch.label,
        number=row.branch.number,
        pieces=pieces,
        ts=row.ts,
    )


def _kind_facets(here: str, query: Query) -> tuple[Facet, ...]:
    """Each adds its filter to the query, or takes it away."""
    set_kind = next((f for f in query.filters if f.name == "type" and not f.negated), None)
    rest = _without(query.text, set_kind) if set_kind else query.text
    return tuple(
        Facet(
            name=name,
            icon=icon,
            href=_href(here, rest if _is(set_kind, key) else f"{rest} type:{key}".strip()),
            current=_is(set_kind, key),
        )
        for key, name, icon in _KINDS
    )


def _is(one: Filter | None, key: str) -> bool:
    return one is not None and one.value.lower().removesuffix("s") == key.removesuffix("s")


def _without(text: str, one: Filter) -> str:
    kept = [word for word in text.split(" ") if word.lower() != f"type:{one.value}".lower()]
    return " ".join(kept).strip()


def _find_places(project: Project, text: str) -> tuple[Place, ...]:
    if not text:
        return ()
    places = [*_find_runs(project, text)]
    word = text.lower()
    span = id_span(word)
    if span is not None:
        places += [
            Place(
                "git-branch",
                branch.label,
                f"r-{branch.run.number}, {str(branch.pk)[:8]}, head {bytes(branch.head_digest).hex()[:8]}",
                f"{reverse('run', args=[branch.run_id])}?branch={branch.pk}",
            )
            for branch in find_branches(project, word)[:_JUMPS]
        ]
        events = Event.objects.filter(project=project, event_id__range=span)
        places += [
            Place(
                "hash",
                f"Event {event.event_id}",
                event.type,
                _event_href(event.run_id, event.event_id),
            )
            for event in events.only("event_id", "run_id", "type")[:_JUMPS]
        ]
    return tuple(places)


def _find_runs(project: Project, text: str) -> Iterable[Place]:
    number = text.lower().removeprefix("r-")
    named = Q(goal__icontains=text)
    if number.isascii() and number.isdecimal() and len(number) < 10:
        named |= Q(number=int(number))
    rows = Run.objects.filter(named, project=project).order_by("-touched_at")[:_JUMPS]
    for run in rows:
        yield Place("play", run.goal, f"r-{run.number}", reverse("run", args=[run.pk]))
