"""Reading a pushed batch: every fault has a pointer, and one fault refuses the whole batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from branches.domain.terms import PREFIXES, SERVER_SOURCE
from branches.journal import Draft
from verel_site.kit.refusals import BadInput, Refusal
from verel_site.kit.strict_json import MAX_DEPTH, check, encode, escape_pointer

MAX_EVENTS = 5000
MAX_EVENT_BYTES = 1024 * 1024
MAX_TYPE, MAX_SOURCE = 120, 200
FIELDS = frozenset(
    {"event_id", "branch", "type", "source", "ts", "task_id", "parent_id", "payload",
     "schema_version"}
)  # fmt: skip


class BadEvent(BadInput):
    code = "bad_event"
    title = "An event breaks a rule"


class BatchTooLarge(Refusal):
    status = 413
    code = "too_large"
    title = "The batch is too large"


@dataclass(frozen=True)
class Batch:
    drafts: tuple[Draft, ...]
    expected_seq: int | None
    lease_epoch: int | None


def read_batch(body: Any, *, branch_id: UUID) -> Batch:
    """`{events, expected_seq?, lease_epoch?}` as drafts for that branch."""
    if not isinstance(body, Mapping):
        raise BadEvent("The body is an object with a list of events.", pointer="")
    events = body.get("events")
    if not isinstance(events, list) or not events:
        raise BadEvent("events is a list of at least one event.", pointer="/events")
    if len(events) > MAX_EVENTS:
        raise BatchTooLarge(f"A batch takes at most {MAX_EVENTS} events.", pointer="/events")
    drafts = tuple(
        read_event(event, branch_id=branch_id, at=f"/events/{index}")
        for index, event in enumerate(events)
    )
    return Batch(drafts, _read_count(body, "expected_seq"), _read_count(body, "lease_epoch"))


def read_event(event: Any, *, branch_id: UUID, at: str) -> Draft:
    """One event on the wire; raises BadEvent with a pointer that starts with `at`."""
    if not isinstance(event, Mapping):
        raise BadEvent("An event is an object.", pointer=at)
    unknown = next((name for name in event if name not in FIELDS), None)
    if unknown is not None:
        name = str(unknown)[:MAX_TYPE]
        raise BadEvent(f"Unknown field {name!r}.", pointer=f"{at}/{escape_pointer(name)}")
    if _read_id(event, "branch", at) not in (None, branch_id):
        raise BadEvent("The event names another branch than the address.", pointer=f"{at}/branch")
    event_id = _read_id(event, "event_id", at)
    if event_id is None:
        raise BadEvent("event_id is a UUID.", pointer=f"{at}/event_id")
    if event.get("schema_version", 1) != 1 or isinstance(event.get("schema_version"), bool):
        raise BadEvent("schema_version is 1.", pointer=f"{at}/schema_version")
    return Draft(
        event_id=event_id,
        type=_read_type(event, at),
        source=_read_source(event, at),
        ts=_read_time(event, at),
        payload=_read_payload(event, at),
        task_id=_read_id(event, "task_id", at),
        parent_id=_read_id(event, "parent_id", at),
    )


def _read_id(event: Mapping[str, Any], name: str, at: str) -> UUID | None:
    value = event.get(name)
    if value is None:
        return None
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise BadEvent(f"{name} is a UUID.", pointer=f"{at}/{name}") from error


def _read_type(event: Mapping[str, Any], at: str) -> str:
    value = event.get("type")
    if not isinstance(value, str) or not value.startswith(PREFIXES) or len(value) > MAX_TYPE:
        raise BadEvent("type starts with harness. or data.", pointer=f"{at}/type")
    return value


def _read_source(event: Mapping[str, Any], at: str) -> str:
    value = event.get("source")
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_SOURCE:
        raise BadEvent(f"source is a text of 1 to {MAX_SOURCE}.", pointer=f"{at}/source")
    if value.strip().casefold() == SERVER_SOURCE:
        raise BadEvent(f"Only Verel writes as {SERVER_SOURCE!r}.", pointer=f"{at}/source")
    return value


def _read_time(event: Mapping[str, Any], at: str) -> datetime:
    value = event.get("ts")
    try:
        moment = parse_datetime(value) if isinstance(value, str) else None
        naive = moment is None or timezone.is_naive(moment)
        if moment is not None and not naive:
            return moment.astimezone(timezone.get_default_timezone())
    except (ValueError, OverflowError):
        pass
    raise BadEvent("ts is an aware ISO 8601 time, with an offset or Z.", pointer=f"{at}/ts")


def _read_payload(event: Mapping[str, Any], at: str) -> dict[str, Any]:
    value = event.get("payload")
    pointer = f"{at}/payload"
    if not isinstance(value, dict):
        raise BadEvent("payload is an object.", pointer=pointer)
    check(value, max_depth=MAX_DEPTH, at=pointer)
    if len(encode(value)) > MAX_EVENT_BYTES:
        raise BatchTooLarge(f"An event takes at most {MAX_EVENT_BYTES} bytes.", pointer=at)
    return value


def _read_count(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise BadEvent(f"{name} is a whole number.", pointer=f"/{name}")
    return value
