"""Runs, branches and events as values."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from branches.blobs import inline_blobs
from branches.domain.events import StoredEvent
from branches.models import Branch, Event, Run
from branches.selectors.lineage import decode_json
from branches.storage.payloads import payload_bytes
from verel_site.access.actors import Actor
from verel_site.access.projects import settled_projects
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


def read_project_id(*, actor: Actor, branch_id: UUID) -> UUID:
    """The project of a branch that the actor may read; raises NotFound."""
    found = Branch.objects.visible_to(actor).filter(pk=branch_id)
    project_id = found.values_list("project_id", flat=True).first()
    if project_id is None:
        raise NotFound(f"There is no branch {branch_id} that you may see.")
    return project_id


def read_event(*, actor: Actor, event_id: UUID) -> Event:
    found = Event.objects.visible_to(actor).select_related("branch", "run", "project")
    event = found.filter(event_id=event_id).first()
    if event is None:
        raise NotFound(f"There is no event {event_id} that you may see.")
    return event


def payload_of(row: Event) -> dict[str, Any]:
    value = decode_json(payload_bytes(row))
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
    page = rows.order_by("position")[:limit]
    if len(actor.projects) < 2 or not query.keys().isdisjoint({"branch", "run", "event_id"}):
        return list(page)
    with settled_projects(actor.projects):
        return list(page)
