"""Looking through a run's events for a text, or for the next thing that went wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from branches.domain import terms
from branches.models import Event, Run
from branches.selectors.events import payload_of
from branches.selectors.run_lines import Lines
from branches.storage.payloads import BOUND_COLUMNS, payload_bytes
from verel_site.kit.strict_json import encode

BATCH: Final = 1000
MAX_LOOKED: Final = 20_000
MAX_HITS: Final = 200


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
    """Events whose payload has the text in one of its strings, in any case.

    Looks at MAX_LOOKED events and stops at MAX_HITS hits, and says so.
    """
    needle = text.casefold()
    # As the text would stand in stored JSON: what is not in there need not be decoded.
    stored = encode(text)[1:-1].decode().casefold()
    hits: list[UUID] = []
    for looked, event in enumerate(_iter_events(run, lines, Q()), start=1):
        raw = payload_bytes(event).decode().casefold()
        if stored in raw and _has_text(payload_of(event), needle):
            hits.append(event.event_id)
        if len(hits) >= MAX_HITS:
            return Found(tuple(hits), f"stopped at {MAX_HITS} hits")
        if looked >= MAX_LOOKED:
            return Found(tuple(hits), f"looked at the first {MAX_LOOKED:,} events")
    return Found(tuple(hits))


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
    ends = {segment.branch: segment.upto for segment in lines.segments}
    rows = Event.objects.filter(where, run=run).order_by("position")
    rows = rows.only("position", *BOUND_COLUMNS)
    after = 0
    while batch := list(rows.filter(position__gt=after)[:BATCH]):
        for event in batch:
            if not ends or event.seq <= ends.get(event.branch_id, 0):
                yield event
        if len(batch) < BATCH:
            return
        after = batch[-1].position


def _has_text(value: Any, needle: str) -> bool:
    """Whether a string in it has the text. Keys are the format's words and do not count."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            if needle in node.casefold():
                return True
        elif isinstance(node, dict):
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, int | float) and not isinstance(node, bool) and needle == str(node):
            return True
    return False
