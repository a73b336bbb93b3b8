"""Episodes: agent steps, projected from the journal by a cursor.

A step is a tool's result with the call that it answers, or the end of a run. Everything in the row
comes from events up to the one that ended it, so that dropping all rows and following the journal
again makes the same ones, however the journal is cut into batches.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from branches.domain import terms
from branches.domain.telling import one_line
from branches.models import Branch, Event
from branches.selectors.events import payload_of
from branches.selectors.search import newer_events
from branches.storage.codec import Unreadable
from branches.storage.payloads import UnreadableEvent
from memory.domain.salience import surprise
from memory.domain.terms import Outcome
from memory.models import Episode, MemoryCursor
from verel_site.access.models import Project
from verel_site.kit.strict_json import encode_sorted

CURSOR: Final = "episodes"
BATCH: Final = 500
STEPS: Final = (terms.TOOL_RESULT, terms.RUN_FINISHED)
LOOKED_BACK: Final = 200
MAX_SAYS: Final = 400
# What differs between two sightings of one fault: addresses, numbers, quoted texts, paths' roots.
_VARIES: Final = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?|'[^']*'|\"[^\"]*\"|/\S*/", re.IGNORECASE)
_FAILED: Final = re.compile(r"\b(?:error|failed|failure|exception|traceback)\b", re.IGNORECASE)


def follow_episodes() -> bool:
    """One batch for each project that is behind; says whether there may be more right away."""
    newer = Branch.objects.filter(
        project=OuterRef("project"), head_position__gt=OuterRef("position")
    )
    cursors = MemoryCursor.objects.filter(Exists(newer), name=CURSOR)
    behind = list(cursors.values_list("project_id", flat=True))
    known = MemoryCursor.objects.filter(project=OuterRef("pk"), name=CURSOR)
    unseen = Project.objects.filter(
        ~Exists(known), Exists(Branch.objects.filter(project=OuterRef("pk")))
    )
    behind += unseen.values_list("pk", flat=True)
    # Each gets its turn: one with much to follow holds back no other.
    return any([project_batch(project_id=project_id) for project_id in behind])  # noqa: C419


def project_batch(*, project_id: UUID, batch: int = BATCH) -> bool:
    """The next events of a project; says whether there may be more. Of two at once one counts."""
    cursor, _ = MemoryCursor.objects.get_or_create(project_id=project_id, name=CURSOR)
    events = list(
        newer_events(project_id, cursor.position).select_related("run").order_by("position")[:batch]
    )
    if not events:
        return False
    with transaction.atomic():
        moved = MemoryCursor.objects.filter(pk=cursor.pk, position=cursor.position).update(
            position=events[-1].position
        )
        if moved:
            _project(events)
    return len(events) == batch


def rebuild_episodes(*, project_id: UUID, batch: int = BATCH) -> int:
    """Drops a project's episodes and follows its journal from the beginning."""
    with transaction.atomic():
        Episode.objects.filter(project_id=project_id).delete()
        MemoryCursor.objects.filter(project_id=project_id, name=CURSOR).update(position=0)
    while project_batch(project_id=project_id, batch=batch):
        pass
    return Episode.objects.filter(project_id=project_id).count()


def _project(events: list[Event]) -> None:
    for event in events:
        if event.type in STEPS:
            _make_episode(event).save(force_insert=True)


@dataclass(frozen=True)
class _Seen:
    tool: str
    args_digest: str
    says: str
    failed: bool
    tokens: int


def _make_episode(event: Event) -> Episode:
    seen = _see(event)
    before = _last_on(event)
    signature = sign_fault(seen.says) if seen.failed else ""
    last = before.signature if before is not None else ""
    return Episode(
        project_id=event.project_id,
        position=event.position,
        event_id=event.event_id,
        run_id=event.run_id,
        branch_id=event.branch_id,
        seq=event.seq,
        agent=event.source,
        goal=event.run.goal,
        tool=seen.tool[:200],
        args_digest=seen.args_digest,
        signature=signature,
        says=seen.says,
        outcome=_outcome(event, signature, last).value,
        surprise=surprise({last: 1} if last else {}, {signature: 1} if signature else {}),
        tokens=seen.tokens,
        at=event.ts,
    )


def _outcome(event: Event, signature: str, last: str) -> Outcome:
    if event.type == terms.RUN_FINISHED:
        return Outcome.DONE
    if not signature:
        return Outcome.PROGRESSED
    return Outcome.STUCK if signature == last else Outcome.REGRESSED


def _last_on(event: Event) -> Episode | None:
    rows = Episode.objects.filter(branch_id=event.branch_id, seq__lt=event.seq)
    return rows.order_by("-seq").first()


def _see(event: Event) -> _Seen:
    payload = _payload(event)
    says = one_line(_text(payload), MAX_SAYS)
    if event.type == terms.RUN_FINISHED:
        return _Seen("", "", one_line(str(payload.get("outcome", "")), MAX_SAYS), False, 0)
    call = _call_of(event, payload)
    args = call.get("arguments", call.get("args", {}))
    tool = str(payload.get("name") or call.get("name") or "")
    failed = payload.get("is_error") is True or (
        payload.get("is_error") is None and _FAILED.search(says[:120]) is not None
    )
    digest = hashlib.sha256(encode_sorted(args)).hexdigest() if args else ""
    return _Seen(tool, digest, says, failed, _tokens(payload))


def _payload(event: Event) -> Mapping[str, Any]:
    try:
        return payload_of(event)
    except (Unreadable, UnreadableEvent):
        return {}


def _text(payload: Mapping[str, Any]) -> str:
    content = payload.get("content", "")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _tokens(payload: Mapping[str, Any]) -> int:
    usage = payload.get("usage")
    output = usage.get("output") if isinstance(usage, Mapping) else None
    return output if isinstance(output, int) and 0 <= output < 2**40 else 0


def _call_of(event: Event, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The call that the result answers, if it is among the events just before it."""
    call_id = payload.get("call_id")
    if not isinstance(call_id, str):
        return {}
    rows = Event.objects.filter(
        branch_id=event.branch_id, type=terms.TOOL_CALL, seq__lt=event.seq
    ).order_by("-seq")[:LOOKED_BACK]
    found = (told for row in rows if (told := _payload(row)).get("call_id") == call_id)
    return next(found, {})


def sign_fault(text: str) -> str:
    """The same for two sightings of one fault: what varies between them does not count."""
    scrubbed = _VARIES.sub("#", text.casefold())
    return hashlib.sha256(" ".join(scrubbed.split()).encode()).hexdigest()
