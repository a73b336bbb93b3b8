"""Runs, branches and events as values."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from branches.blobs import inline_blobs
from branches.domain.events import StoredEvent
from branches.domain.lineage import Segment
from branches.domain.terms import INTERVENTIONS, SERVER_SOURCE
from branches.models import Branch, Event, Run
from branches.querysets import read_segments
from branches.storage.payloads import payload_bytes
from verel_site.access.actors import Actor
from verel_site.kit.refusals import BadInput, NotFound

# Filters of events: the same names and meaning for every store and surface.
FILTERS: Final = ("event_id", "branch", "run", "task_id", "parent_id", "type", "source")
UUID_FILTERS: Final = frozenset({"event_id", "branch", "run", "task_id", "parent_id"})
PAGING: Final = frozenset({"after", "limit", "format"})


def read_run(*, actor: Actor, run_id: UUID) -> Run:
    run = Run.objects.visible_to(actor).select_related("project").filter(pk=run_id).first()
    if run is None:
        raise NotFound(f"There is no run {run_id} that you may see.")
    return run


def read_branch(*, actor: Actor, branch_id: UUID) -> Branch:
    found = Branch.objects.visible_to(actor).select_related("run", "project")
    branch = found.filter(pk=branch_id).first()
    if branch is None:
        raise NotFound(f"There is no branch {branch_id} that you may see.")
    return branch


def read_event(*, actor: Actor, event_id: UUID) -> Event:
    found = Event.objects.visible_to(actor).select_related("branch", "run", "project")
    event = found.filter(event_id=event_id).first()
    if event is None:
        raise NotFound(f"There is no event {event_id} that you may see.")
    return event


def payload_of(row: Event) -> dict[str, Any]:
    value = json.loads(payload_bytes(row))
    assert isinstance(value, dict)
    return value


def stored_event(row: Event, *, inline: bool = False) -> StoredEvent:
    """The row as a value. `inline` puts large binary parts back, for a model to see."""
    payload = payload_of(row)
    return StoredEvent(
        event_id=row.event_id,
        branch=row.branch_id,
        seq=row.seq,
        type=row.type,
        source=row.source,
        ts=row.ts,
        payload=inline_blobs(row.project_id, payload) if inline else payload,
        digest=bytes(row.digest),
        position=row.position,
        parent_id=row.parent_id,
        task_id=row.task_id,
    )


def read_lineage(branch: Branch, *, upto: int | None = None) -> list[Segment]:
    """The segments of a branch's lineage, root first; `upto` cuts its own suffix."""
    cut = branch.head_seq if upto is None else upto
    return [Segment(*row) for row in read_segments(branch, upto=cut)]


def iter_lineage(
    branch: Branch, *, upto: int | None = None, after_step: int = 0, inline: bool = False
) -> Iterator[StoredEvent]:
    """The lineage's events in order: one query, one at a time.

    An intervention (override, patch, answer) that a client wrote is left out: only Verel tells
    those, and an agent that could tell them would speak with a person's authority.
    """
    cut = branch.head_seq if upto is None else upto
    rows: Iterable[Event] = Event.objects.of_lineage(branch, upto=cut, after_step=after_step)
    for row in rows:
        if row.type not in INTERVENTIONS or row.source == SERVER_SOURCE:
            yield stored_event(row, inline=inline)


def read_filters(query: Mapping[str, str]) -> dict[str, Any]:
    """Lookups of an event query. `null` means absent; an unknown name is refused."""
    lookups: dict[str, Any] = {}
    for name, text in query.items():
        if name in PAGING:
            continue
        if name not in FILTERS:
            allowed = ", ".join(FILTERS)
            raise BadInput(f"Unknown filter {name!r}; allowed are {allowed}.", parameter=name)
        column = f"{name}_id" if name in {"branch", "run"} else name
        if text == "null":
            lookups[f"{column}__isnull"] = True
        else:
            lookups[column] = _read_uuid(name, text) if name in UUID_FILTERS else text
    return lookups


def _read_uuid(name: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise BadInput(f"{name} takes a UUID or null.", parameter=name) from error


def read_events(*, actor: Actor, query: Mapping[str, str], after: int, limit: int) -> list[Event]:
    """Events that the actor may see and every filter matches, ascending by position."""
    rows = Event.objects.visible_to(actor).filter(**read_filters(query), position__gt=after)
    return list(rows.order_by("position")[:limit])
