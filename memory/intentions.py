"""Intentions: what is to happen once an event matches a cue, at most once, and in time.

A cue is met by inserting the intention's one fire, so of many followers of the journal one wins.
A worker claims what is due for a while; a claim that runs out may be taken over, and the epoch
tells the late one apart. What no event met in its time has failed, and a person hears of it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from branches.models import Branch, Event
from branches.selectors.events import payload_of
from branches.selectors.search import newer_events
from branches.storage.codec import Unreadable
from branches.storage.payloads import UnreadableEvent
from memory.domain.content import is_scope
from memory.domain.expression import (
    BadExpression,
    Condition,
    Value,
    evaluate,
    parse_condition,
    write_condition,
)
from memory.domain.screening import screen
from memory.domain.terms import IntentionState
from memory.models import Intention, IntentionFire, MemoryCursor
from verdicts.escalations import Cause, escalate
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable
from verel_site.kit.strict_json import encode_sorted

CURSOR: Final = "intentions"
BATCH: Final = 200
MAX_TTL_SECONDS: Final = 366 * 86_400
MAX_CLAIM_SECONDS: Final = 3_600
MAX_ACTION_BYTES: Final = 16 * 1024
MAX_KEY: Final = 200
MAX_DEPTH: Final = 3
WAITING, CLAIMED = IntentionState.WAITING.value, IntentionState.CLAIMED.value


class BadIntention(Unprocessable):
    code = "bad_intention"
    title = "This is no intention"


class IntentionTaken(Refusal):
    code = "intention_taken"
    title = "This key stands for another intention"


class FireLost(Refusal):
    code = "fire_lost"
    title = "The claim is not yours any more"


@dataclass(frozen=True)
class Due:
    """A cue that was met, claimed by one worker until `until`."""

    intention: Intention
    fire: IntentionFire


@transaction.atomic
def propose_intention(
    *,
    project_id: UUID,
    actor: Actor,
    cue: str,
    action: Mapping[str, Any],
    idempotency_key: str,
    ttl_seconds: int,
    scope: str = "team",
) -> Intention:
    """Doing it twice under one key is one. Only events that are stored from now on may fire it."""
    actor.demand(project_id, Right.PROPOSE)
    written = _read_cue(cue)
    _check(action, idempotency_key, ttl_seconds, scope)
    lock_project(project_id=project_id)
    same = Intention.objects.filter(project_id=project_id, idempotency_key=idempotency_key).first()
    if same is not None:
        if (same.cue, same.action) != (written, dict(action)):
            raise IntentionTaken(f"i-{same.number} has it.", pointer="/idempotency_key")
        return same
    last = Intention.objects.filter(project_id=project_id).aggregate(n=Max("number"))["n"] or 0
    head = Branch.objects.filter(project_id=project_id).aggregate(p=Max("head_position"))["p"]
    return Intention.objects.create(
        project_id=project_id,
        number=last + 1,
        scope=scope,
        cue=written,
        action=dict(action),
        idempotency_key=idempotency_key,
        after_position=head or 0,
        expires_at=timezone.now() + timedelta(seconds=ttl_seconds),
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
    )


def _read_cue(cue: str) -> str:
    try:
        return write_condition(parse_condition(cue))
    except BadExpression as error:
        raise BadIntention(
            f"{error.says} Line {error.line}, column {error.column}.",
            pointer="/cue",
            line=error.line,
            column=error.column,
        ) from error


def _check(action: Mapping[str, Any], key: str, ttl_seconds: int, scope: str) -> None:
    if not is_scope(scope):
        raise BadIntention("A scope is team, global, repo:NAME or agent:NAME.", pointer="/scope")
    if not action or len(encode_sorted(dict(action))) > MAX_ACTION_BYTES:
        raise BadIntention(
            f"An action is an object of at most {MAX_ACTION_BYTES:,} bytes.", pointer="/action"
        )
    if not 0 < len(key) <= MAX_KEY:
        raise BadIntention(f"A key has 1 to {MAX_KEY} characters.", pointer="/idempotency_key")
    if not 0 < ttl_seconds <= MAX_TTL_SECONDS:
        raise BadIntention(f"1 to {MAX_TTL_SECONDS:,} seconds.", pointer="/ttl_seconds")
    suspicions = screen([encode_sorted(dict(action)).decode()])
    if suspicions:
        raise BadIntention(f"The action is not taken. {suspicions[0].says}", pointer="/action")


def follow_intentions() -> bool:
    """Meets cues with what is new in each journal, and lets expire what was not met; says whether
    there may be more right away."""
    expire_intentions()
    waiting = Intention.objects.filter(state=WAITING, fire=None)
    projects = list(waiting.values_list("project_id", flat=True).distinct())
    # Each gets its turn: one with much to follow holds back no other.
    return any([meet_cues(project_id=project_id) for project_id in projects])  # noqa: C419


def meet_cues(*, project_id: UUID) -> bool:
    """One batch of the journal after the saved cursor."""
    rows = Intention.objects.filter(project_id=project_id, state=WAITING, fire=None)
    waiting = [(row, parse_condition(row.cue)) for row in rows]
    if not waiting:
        return False
    cursor, _ = MemoryCursor.objects.get_or_create(project_id=project_id, name=CURSOR)
    # What came before the oldest of them can meet none.
    start = max(cursor.position, min(row.after_position for row, _ in waiting))
    events = list(newer_events(project_id, start).order_by("position")[:BATCH])
    if not events:
        return False
    with transaction.atomic():
        for event in events:
            for intention, condition in waiting:
                _meet(intention, condition, event)
        MemoryCursor.objects.filter(pk=cursor.pk, position=cursor.position).update(
            position=events[-1].position
        )
    return len(events) == BATCH


def _meet(intention: Intention, condition: Condition, event: Event) -> None:
    if event.position <= intention.after_position or event.received_at > intention.expires_at:
        return
    if evaluate(condition, facts_of(event)) is not True:
        return
    try:
        with transaction.atomic():
            IntentionFire.objects.create(
                intention=intention, event_id=event.event_id, position=event.position
            )
    except IntegrityError:
        # An earlier event, or another follower, has met it.
        return


def facts_of(event: Event) -> dict[str, Value]:
    """What a cue may ask of an event: type, source, run, branch, seq, and the payload's plain
    values by their dotted names."""
    facts: dict[str, Value] = {
        "type": event.type,
        "source": event.source,
        "run": str(event.run_id),
        "branch": str(event.branch_id),
        "seq": float(event.seq),
    }
    with suppress(Unreadable, UnreadableEvent):
        facts.update(_flatten(payload_of(event), "payload", 1))
    return facts


def _flatten(value: Mapping[str, Any], before: str, depth: int) -> Iterator[tuple[str, Value]]:
    for key, item in value.items():
        name = f"{before}.{key}"
        if isinstance(item, str | bool):
            yield name, item
        elif isinstance(item, int | float):
            yield name, float(item)
        elif isinstance(item, Mapping) and depth < MAX_DEPTH:
            yield from _flatten(item, name, depth + 1)


@transaction.atomic
def claim_due(*, project_id: UUID, actor: Actor, worker: str, seconds: int) -> Due | None:
    """The oldest cue that was met and that nobody holds, for one worker; None where there is none.
    A claim that ran out before it was reported is taken over."""
    actor.demand(project_id, Right.PROPOSE)
    now = timezone.now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=now)
    fires = IntentionFire.objects.filter(free, intention__project_id=project_id, fired_at=None)
    open_states = [WAITING, CLAIMED]
    for fire in fires.filter(intention__state__in=open_states).order_by("position")[:20]:
        won = IntentionFire.objects.filter(free, pk=fire.pk, epoch=fire.epoch, fired_at=None)
        if won.update(
            worker=worker,
            epoch=F("epoch") + 1,
            claimed_until=now + timedelta(seconds=min(seconds, MAX_CLAIM_SECONDS)),
        ):
            Intention.objects.filter(pk=fire.intention_id).update(state=CLAIMED)
            fire.refresh_from_db()
            return Due(Intention.objects.get(pk=fire.intention_id), fire)
    return None


@transaction.atomic
def report_fired(*, intention_id: UUID, actor: Actor, epoch: int) -> Intention:
    """The action was carried out under this claim. Raises FireLost if the claim was taken over."""
    intention = find_intention(actor=actor, intention_id=intention_id)
    actor.demand(intention.project_id, Right.PROPOSE)
    fires = IntentionFire.objects.filter(intention=intention, epoch=epoch)
    if fires.exclude(fired_at=None).exists():
        return intention
    if epoch < 1 or fires.filter(fired_at=None).update(fired_at=timezone.now()) != 1:
        raise FireLost("Another worker has claimed it since.", pointer="/epoch")
    _close(intention, IntentionState.FIRED)
    return intention


@transaction.atomic
def cancel_intention(*, intention_id: UUID, actor: Actor) -> Intention:
    intention = find_intention(actor=actor, intention_id=intention_id)
    actor.demand(intention.project_id, Right.PROPOSE)
    if intention.state in (WAITING, CLAIMED):
        _close(intention, IntentionState.CANCELLED)
    return intention


def _close(intention: Intention, state: IntentionState) -> None:
    intention.state, intention.closed_at = state.value, timezone.now()
    intention.save(update_fields=["state", "closed_at"])


def expire_intentions() -> int:
    """What no event met in its time is a failure; a person is told, once."""
    now = timezone.now()
    late = Intention.objects.filter(state=WAITING, fire=None, expires_at__lt=now)
    expired = 0
    for intention in late.order_by("expires_at")[:BATCH]:
        # The journal may hold an event of its time that was not looked at yet.
        if _is_behind(intention):
            continue
        with transaction.atomic():
            rows = Intention.objects.filter(pk=intention.pk, state=WAITING, fire=None)
            if rows.update(state=IntentionState.EXPIRED.value, closed_at=now) != 1:
                continue
            escalate(
                project_id=intention.project_id,
                subject_id=intention.pk,
                cause=Cause.EXPIRED,
                digest=hashlib.sha256(intention.cue.encode()).digest(),
                title=f"An intention was never fired: {intention.cue}",
                reasons=[
                    f"No event met its cue before {intention.expires_at:%Y-%m-%d %H:%M} UTC.",
                    f"{intention.by_name} asked for it.",
                ],
                actor=SYSTEM,
            )
            expired += 1
    return expired


def _is_behind(intention: Intention) -> bool:
    cursor = MemoryCursor.objects.filter(project_id=intention.project_id, name=CURSOR).first()
    start = max(cursor.position if cursor else 0, intention.after_position)
    rows = newer_events(intention.project_id, start)
    return rows.filter(received_at__lte=intention.expires_at).exists()


def find_intention(*, actor: Actor, intention_id: UUID) -> Intention:
    found = Intention.objects.visible_to(actor).filter(pk=intention_id).first()
    if found is None:
        raise NotFound(f"There is no intention {intention_id} that you may see.")
    return found
