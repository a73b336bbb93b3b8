"""Finding events by their words: the index, and what it has not seen yet read directly.

The answer does not depend on how far the index is: events behind its cursor are compared one by
one, up to a bound that the answer names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from branches.domain.search_query import (
    Clause,
    Filter,
    Query,
    Term,
    matches,
    scope_word,
    scope_words,
    types_of,
)
from branches.domain.words import Document, make_document, payload_texts
from branches.models import Branch, Event, Run, SearchCursor
from branches.selectors.events import payload_of
from branches.storage.codec import Unreadable
from branches.storage.payloads import UnreadableEvent
from branches.storage.search_index import find_positions
from verel_site.access.models import Project
from verel_site.kit.cursors import MAX_LIMIT
from verel_site.kit.refusals import Refusal

# So many events that the index has not seen are compared directly.
MAX_TAIL: Final = 500
MAX_POSITION: Final = 2**62
# A project with news in more runs than this is read in the journal's own order.
_FEW_RUNS: Final = 50
_MIN_PREFIX: Final = 4
_ENCRYPTED: Final = frozenset({b"\x02", b"\x03"})


class SearchOff(Refusal):
    code = "search_off"
    title = "Search is off"


OFF: Final = (
    "This installation encrypts event payloads, and an index would keep their words in the clear. "
    "What had been indexed before is dropped. Within a run its events are read directly."
)


def is_search_on() -> bool:
    """Not where payloads are encrypted."""
    return not settings.VEREL_EVENT_KEYS


def event_document(row: Event) -> Document:
    """The words of an event; none of what was encrypted when it was stored, or cannot be read."""
    try:
        return make_document(event_texts(row))
    except (Unreadable, UnreadableEvent):
        # One row that cannot be opened must not keep all later ones from being found.
        return Document((), whole=False)


def event_texts(row: Event) -> Iterable[str]:
    """The texts of an event that may be searched; raises Unreadable."""
    if bytes(row.payload[:1]) in _ENCRYPTED:
        raise Unreadable("it was encrypted when it was stored")
    return payload_texts(payload_of(row))


def event_scope(row: Event) -> tuple[str, ...]:
    return scope_words(
        project=row.project_id.hex,
        run=row.run_id.hex,
        branch=row.branch_id.hex,
        type=row.type,
        source=row.source,
    )


def list_behind() -> list[UUID]:
    """Projects with events that their index has not seen."""
    newer = Branch.objects.filter(
        project=OuterRef("project"), head_position__gt=OuterRef("position")
    )
    behind = SearchCursor.objects.filter(Exists(newer)).values_list("project_id", flat=True)
    # A project without a cursor is behind as soon as it has a run.
    unseen = Project.objects.filter(
        ~Exists(SearchCursor.objects.filter(project=OuterRef("pk"))),
        Exists(Run.objects.filter(project=OuterRef("pk"))),
    )
    return [*behind, *unseen.values_list("pk", flat=True)]


def newer_events(project_id: UUID, position: int) -> QuerySet[Event]:
    """Events of a project after a position; read by way of the runs that have some, if few do."""
    newer = Branch.objects.filter(project_id=project_id, head_position__gt=position)
    runs = list(newer.values_list("run_id", flat=True).distinct()[: _FEW_RUNS + 1])
    rows = Event.objects.filter(project_id=project_id, position__gt=position)
    return rows if len(runs) > _FEW_RUNS else rows.filter(run_id__in=runs)


@dataclass(frozen=True)
class Freshness:
    """`upto` is when the last indexed event was received. `direct` events after it were compared
    one by one; with `gap` there are more of them, and the oldest were not looked at."""

    position: int
    upto: datetime | None
    direct: int = 0
    gap: bool = False
    cut: int = 0


@dataclass(frozen=True)
class Hits:
    """Matching events, newest first; `more` says that older ones follow."""

    rows: tuple[Event, ...]
    more: bool
    freshness: Freshness
    notes: tuple[str, ...] = ()


def find_events(*, project: Project, query: Query, before: int | None, limit: int) -> Hits:
    """One page of a project's events that match; `before` is the position of the last one seen.

    The caller has made sure that the reader may see the project. A constant number of queries.
    Raises SearchOff.
    """
    if not is_search_on():
        raise SearchOff(OFF)
    cursor = SearchCursor.objects.filter(project=project).first() or SearchCursor(project=project)
    fresh = Freshness(cursor.position, cursor.upto, cut=cursor.cut)
    if query.is_empty:
        return Hits((), False, fresh, query.notes)
    clauses, notes = resolve_query(project, query)
    end = MAX_POSITION if before is None else before
    tail, fresh = _compare_tail(project, clauses, fresh, end)
    positions = find_positions(
        project.pk, clauses, before=min(end, cursor.position + 1), limit=limit + 1
    )
    wanted = sorted({*positions, *tail}, reverse=True)[: limit + 1]
    rows = Event.objects.filter(project=project, position__in=wanted[:limit])
    found = rows.defer("seal").order_by("-position")
    return Hits(tuple(found), len(wanted) > limit, fresh, notes)


def _compare_tail(
    project: Project, clauses: Sequence[Clause], fresh: Freshness, end: int
) -> tuple[list[int], Freshness]:
    if end <= fresh.position + 1:
        return [], fresh
    rows = newer_events(project.pk, fresh.position).filter(position__lt=end)
    tail = list(rows.defer("digest", "seal").order_by("-position")[: MAX_TAIL + 1])
    compared = tail[:MAX_TAIL]
    found = [row.position for row in compared if row_matches(row, clauses)]
    return found, replace(fresh, direct=len(compared), gap=len(tail) > MAX_TAIL)


def row_matches(row: Event, clauses: Iterable[Clause]) -> bool:
    return matches(clauses, event_document(row), event_scope(row))


def resolve_query(
    project: Project, query: Query, *, run: Run | None = None
) -> tuple[list[Clause], tuple[str, ...]]:
    """The query within a project, or one run of it, as clauses; and what could not be resolved.

    A filter that names nothing that is there finds nothing.
    """
    scope = [Clause((Term((scope_word("p", project.pk.hex),)),))]
    if run is not None:
        scope.append(Clause((Term((scope_word("r", run.pk.hex),)),)))
    notes = list(query.notes)
    clauses = [*scope, *query.clauses]
    for one in query.filters:
        terms = _RESOLVE[one.name](project, one)
        if not terms:
            notes.append(f"There is no {one.name} “{one.value}” in this project.")
        if terms or not one.negated:
            clauses.append(Clause(terms or (Term((scope_word("b", ""),)),), one.negated))
    return clauses, tuple(notes)


def _resolve_type(project: Project, one: Filter) -> tuple[Term, ...]:
    return tuple(Term((scope_word("y", name),), begun) for name, begun in types_of(one.value))


def _resolve_source(project: Project, one: Filter) -> tuple[Term, ...]:
    return (Term((scope_word("s", one.value),)),)


def _resolve_run(project: Project, one: Filter) -> tuple[Term, ...]:
    number = one.value.lower().removeprefix("r-")
    rows = Run.objects.filter(project=project)
    if number.isdecimal() and number.isascii() and len(number) < 10:
        found = rows.filter(number=int(number))
    else:
        span = id_span(one.value)
        found = rows.filter(pk__range=span) if span else rows.none()
    return _terms("r", found.values_list("pk", flat=True)[:MAX_LIMIT])


def _resolve_branch(project: Project, one: Filter) -> tuple[Term, ...]:
    found = find_branches(project, one.value)
    return _terms("b", found.values_list("pk", flat=True)[:20])


def _terms(kind: str, ids: Iterable[UUID]) -> tuple[Term, ...]:
    return tuple(Term((scope_word(kind, one.hex),)) for one in ids)


_RESOLVE: Final = {
    "type": _resolve_type,
    "source": _resolve_source,
    "run": _resolve_run,
    "branch": _resolve_branch,
}


def id_span(text: str) -> tuple[UUID, UUID] | None:
    """The first and the last id that begin so, or None for what begins no id."""
    digits = text.lower().replace("-", "")
    if not _MIN_PREFIX <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def find_branches(project: Project, text: str) -> QuerySet[Branch]:
    """Branches whose id, or whose head's digest, begins so."""
    rows = Branch.objects.filter(project=project).select_related("run").order_by("-touched_at")
    digits = text.lower()
    span = id_span(digits)
    named = Q(pk__range=span) if span else Q(pk__in=[])
    if _MIN_PREFIX <= len(digits) <= 64 and not set(digits) - set("0123456789abcdef"):
        low, high = bytes.fromhex(digits.ljust(64, "0")), bytes.fromhex(digits.ljust(64, "f"))
        named |= Q(head_digest__gte=low, head_digest__lte=high)
    return rows.filter(named)
