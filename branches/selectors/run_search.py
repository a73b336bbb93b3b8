"""Looking through a run's events for a text, or for the next thing that went wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final
from uuid import UUID

from django.db.models import Q

from branches.domain import terms
from branches.domain.search_query import Clause, Term, matches, parse_query, scope_word
from branches.domain.words import Document, make_document, payload_texts
from branches.models import Event, Run, SearchCursor
from branches.selectors.events import payload_of
from branches.selectors.run_lines import Lines
from branches.selectors.search import event_scope, is_search_on, resolve_query
from branches.storage.payloads import BOUND_COLUMNS, UnreadableEvent, payload_bytes
from branches.storage.search_index import find_positions

BATCH: Final = 1000
MAX_LOOKED: Final = 20_000
MAX_HITS: Final = 200
# A lineage of more branches than this is not named to the index: its hits are sifted here.
MAX_NAMED: Final = 100


@dataclass(frozen=True)
class Found:
    """Events with the text, in order. `stopped` says in words where the search ended early."""

    hits: tuple[UUID, ...] = ()
    stopped: str = ""

    def place(self, event: UUID | None) -> int:
        """The event's number among the hits, from 1; 0 if it is none."""
        return self.hits.index(event) + 1 if event in self.hits else 0

    def beside(self, event: UUID | None, by: int) -> UUID | None:
        """The hit before or after that event, round the ends; the first where it is no hit."""
        if not self.hits:
            return None
        place = self.place(event)
        return self.hits[(place - 1 + by) % len(self.hits)] if place else self.hits[0]


def search_run(run: Run, lines: Lines, text: str) -> Found:
    """Events of the lanes that are shown which match, in order; MAX_HITS of them at most.

    The index answers for what it has seen. What came after that is read directly, up to
    MAX_LOOKED events, and so is everything where payloads are encrypted. `stopped` says so.
    """
    query = parse_query(text)
    if query.is_empty:
        return Found(stopped="; ".join(query.notes))
    clauses, notes = resolve_query(run.project, query, run=run)
    clauses += _lanes_clause(lines)
    on = is_search_on()
    indexed = SearchCursor.objects.filter(project=run.project_id).first() if on else None
    seen = indexed.position if indexed else 0
    hits = list(islice(_find_indexed(run, lines, clauses, seen), MAX_HITS + 1))
    stopped = ""
    for looked, event in enumerate(_iter_events(run, lines, Q(position__gt=seen)), start=1):
        if len(hits) > MAX_HITS:
            break
        if looked > MAX_LOOKED:
            stopped = f"looked at {MAX_LOOKED:,} events{'' if on else ' without an index'}"
            break
        if _row_matches(event, clauses):
            hits.append(event.event_id)
    if len(hits) > MAX_HITS:
        stopped = f"stopped at {MAX_HITS} hits"
    return Found(tuple(hits[:MAX_HITS]), "; ".join(filter(None, [stopped, *notes])))


def _lanes_clause(lines: Lines) -> list[Clause]:
    """Names the branches of a lineage to the index, where they are few enough to be named."""
    keys = [segment.branch for segment in lines.segments]
    if not 0 < len(keys) <= MAX_NAMED:
        return []
    return [Clause(tuple(Term((scope_word("b", key.hex),)) for key in keys))]


def _find_indexed(run: Run, lines: Lines, clauses: Sequence[Clause], seen: int) -> Iterator[UUID]:
    """Hits up to a position, in batches; two queries a batch."""
    ends = _ends(lines)
    after = 0
    for _ in range(MAX_LOOKED // BATCH):
        if after >= seen:
            return
        found = find_positions(
            run.project_id, clauses, after=after, before=seen + 1, limit=BATCH, ascending=True
        )
        rows = Event.objects.filter(run=run, position__in=found).order_by("position")
        for event_id, branch, seq in rows.values_list("event_id", "branch_id", "seq"):
            if not ends or seq <= ends.get(branch, 0):
                yield event_id
        if len(found) < BATCH:
            return
        after = found[-1]


def _row_matches(row: Event, clauses: Sequence[Clause]) -> bool:
    try:
        document = make_document(payload_texts(payload_of(row)))
    except UnreadableEvent:
        document = Document((), whole=False)
    return matches(clauses, document, event_scope(row))


def _ends(lines: Lines) -> Mapping[UUID, int]:
    """The last event of each branch that one lineage shows; empty where all lanes are shown."""
    return {segment.branch: segment.upto for segment in lines.segments}


def find_error(run: Run, lines: Lines, *, after: int) -> UUID | None:
    """The next error or failed result after a position, within MAX_LOOKED events of those kinds."""
    where = Q(type__in=(terms.ERROR, terms.TOOL_RESULT), position__gt=after)
    for number, event in enumerate(_iter_events(run, lines, where)):
        failed = b'"is_error":true' in payload_bytes(event)
        if event.type == terms.ERROR or (failed and payload_of(event).get("is_error") is True):
            return event.event_id
        if number >= MAX_LOOKED:
            break
    return None


def _iter_events(run: Run, lines: Lines, where: Q) -> Iterator[Event]:
    """Events of the lanes that are shown, in batches; one query a batch."""
    ends = _ends(lines)
    rows = Event.objects.filter(where, run=run).order_by("position")
    rows = rows.only("position", "project_id", "run_id", *BOUND_COLUMNS)
    after = 0
    while batch := list(rows.filter(position__gt=after)[:BATCH]):
        for event in batch:
            if not ends or event.seq <= ends.get(event.branch_id, 0):
                yield event
        if len(batch) < BATCH:
            return
        after = batch[-1].position
