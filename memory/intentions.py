"""Intentions: what is to happen once an event matches a cue, at most once, and in time.

A cue is met by inserting the intention's one fire, so of many followers of the journal one wins.
A worker claims what is due for a while; a claim that runs out may be taken over, and the epoch
tells the late one apart. What no event met in its time has failed, and so has what was met and
nobody carried out; a person hears of either.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max, Min, Q
from django.utils import timezone

from branches.models import Branch, Event
from branches.selectors.search import newer_events
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
from memory.steps import read_payload
from memory.turns import give_turns
from verdicts.escalations import Cause, escalate
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable
from verel_site.kit.strict_json import encode_sorted

CURSOR: Final = "intentions"
BATCH: Final = 200
MAX_TTL_SECONDS: Final = 366 * 86_400
MAX_CLAIM_SECONDS: Final = 3_600
MAX_ACTION_BYTES: Final = 16 * 1024
MAX_KEY: Final = 200
MAX_DEPTH: Final = 3
# Each is held against every new event of its project.
MAX_OPEN: Final = 2_000
# A cue that was met in the last moment leaves a worker so long to carry it out.
GRACE: Final = timedelta(seconds=MAX_CLAIM_SECONDS)
WAITING, CLAIMED = IntentionState.WAITING.value, IntentionState.CLAIMED.value
OPEN: Final = (WAITING, CLAIMED)


class BadIntention(Unprocessable):
    code = "bad_intention"
    title = "This is no intention"


class IntentionTaken(Refusal):
    code = "intention_taken"
    title = "This key stands for another intention"


class TooManyIntentions(Refusal):
    code = "too_many_intentions"
    title = "Too many intentions wait"


class IntentionClosed(Refusal):
    code = "intention_closed"
    title = "The intention is closed"


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
    """Doing it twice under one key is one. Only events that are stored from now on may fire it.
    Raises BadIntention, IntentionTaken, or TooManyIntentions."""
    actor.demand(project_id, Right.PROPOSE)
    written = _read_cue(cue)
    _check(action, idempotency_key, ttl_seconds, scope)
    lock_project(project_id=project_id)
    rows = Intention.objects.filter(project_id=project_id)
    same = rows.filter(idempotency_key=idempotency_key).first()
    if same is not None:
        asked = (written, dict(action), scope, ttl_seconds)
        if (same.cue, same.action, same.scope, same.ttl_seconds) != asked:
            raise IntentionTaken(f"i-{same.number} has it.", pointer="/idempotency_key")
        return same
    if rows.filter(state__in=OPEN).count() >= MAX_OPEN:
        raise TooManyIntentions(f"{MAX_OPEN:,} of a project at once: cancel some of them first.")
    last = rows.aggregate(n=Max("number"))["n"] or 0
    head = Branch.objects.filter(project_id=project_id).aggregate(p=Max("head_position"))["p"]
    now = timezone.now()
    return Intention.objects.create(
        project_id=project_id,
        number=last + 1,
        scope=scope,
        cue=written,
        action=dict(action),
        idempotency_key=idempotency_key,
        after_position=head or 0,
        created_at=now,
        expires_at=now + timedelta(seconds=ttl_seconds),
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
            offset=error.at,
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
    return give_turns(projects, lambda project_id: meet_cues(project_id=project_id))


def meet_cues(*, project_id: UUID) -> bool:
    """One batch of the journal after the saved cursor."""
    waiting = Intention.objects.filter(project_id=project_id, state=WAITING, fire=None)
    oldest = waiting.aggregate(p=Min("after_position"))["p"]
    if oldest is None:
        return False
    cursor, _ = MemoryCursor.objects.get_or_create(project_id=project_id, name=CURSOR)
    # What came before the oldest of them can meet none.
    start = max(cursor.position, oldest)
    events = list(newer_events(project_id, start).order_by("position")[:BATCH])
    if not events:
        return False
    told = [(event, facts_of(event)) for event in events]
    with transaction.atomic():
        # Whoever asks for an intention holds this lock from the head that it looks at until it is
        # stored: one that is not seen below asked behind all of these events.
        lock_project(project_id=project_id)
        for intention in waiting.all():
            _meet(intention, told)
        MemoryCursor.objects.filter(pk=cursor.pk, position__lt=events[-1].position).update(
            position=events[-1].position
        )
    return len(events) == BATCH


def _meet(intention: Intention, told: Sequence[tuple[Event, dict[str, Value]]]) -> None:
    """The first event that meets the cue fires it; of several followers one inserts the fire."""
    condition = _condition_of(intention)
    if condition is None:
        return
    for event, facts in told:
        if event.position <= intention.after_position or event.received_at > intention.expires_at:
            continue
        if evaluate(condition, facts) is True:
            fire = IntentionFire(
                intention=intention, event_id=event.event_id, position=event.position
            )
            IntentionFire.objects.bulk_create([fire], ignore_conflicts=True)
            return


def _condition_of(intention: Intention) -> Condition | None:
    """None of a cue that cannot be read any more: no event meets it, and it expires."""
    try:
        return parse_condition(intention.cue)
    except BadExpression:
        return None


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
    facts.update(_flatten(read_payload(event), "payload", 1))
    return facts


def _flatten(value: Mapping[str, Any], before: str, depth: int) -> Iterator[tuple[str, Value]]:
    for key, item in value.items():
        name = f"{before}.{key}"
        if isinstance(item, str | bool):
            yield name, item
        elif isinstance(item, int | float):
            # A whole number of JSON may have more digits than a float holds: then it is not known.
            with suppress(OverflowError):
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
    for fire in fires.filter(intention__state__in=OPEN).order_by("position", "pk")[:20]:
        # First the intention: whoever closes it takes it in the same order.
        still = Intention.objects.filter(pk=fire.intention_id, state__in=OPEN)
        if still.update(state=CLAIMED) != 1:
            continue
        won = IntentionFire.objects.filter(free, pk=fire.pk, epoch=fire.epoch, fired_at=None)
        if won.update(
            worker=worker,
            epoch=F("epoch") + 1,
            claimed_until=now + timedelta(seconds=min(seconds, MAX_CLAIM_SECONDS)),
        ):
            fire.refresh_from_db()
            return Due(Intention.objects.select_related("fire").get(pk=fire.intention_id), fire)
    return None


@transaction.atomic
def report_fired(*, intention_id: UUID, actor: Actor, epoch: int) -> Intention:
    """The action was carried out under this claim; told twice is once. Raises FireLost if the claim
    was taken over, and IntentionClosed if the intention was cancelled or expired meanwhile."""
    intention = find_intention(actor=actor, intention_id=intention_id)
    actor.demand(intention.project_id, Right.PROPOSE)
    fires = IntentionFire.objects.filter(intention=intention, epoch=epoch)
    if epoch < 1 or not fires.exists():
        raise FireLost("Another worker has claimed it since.", pointer="/epoch")
    if not _close(intention, IntentionState.FIRED):
        if fires.exclude(fired_at=None).exists():
            return find_intention(actor=actor, intention_id=intention_id)
        raise IntentionClosed(f"It was {_state_of(intention)} before this report.")
    if fires.filter(fired_at=None).update(fired_at=timezone.now()) != 1:
        raise FireLost("Another worker has claimed it since.", pointer="/epoch")
    return find_intention(actor=actor, intention_id=intention_id)


@transaction.atomic
def cancel_intention(*, intention_id: UUID, actor: Actor) -> Intention:
    """Nobody is given it any more; what was fired or has expired stays so."""
    intention = find_intention(actor=actor, intention_id=intention_id)
    actor.demand(intention.project_id, Right.PROPOSE)
    if _close(intention, IntentionState.CANCELLED):
        _record(intention, IntentionState.CANCELLED, actor, "")
    return find_intention(actor=actor, intention_id=intention_id)


def _close(intention: Intention, state: IntentionState) -> bool:
    """Whether it was open until now."""
    rows = Intention.objects.filter(pk=intention.pk, state__in=OPEN)
    return rows.update(state=state.value, closed_at=timezone.now()) == 1


def _state_of(intention: Intention) -> str:
    return str(Intention.objects.values_list("state", flat=True).get(pk=intention.pk))


def _record(intention: Intention, state: IntentionState, actor: Actor, reason: str) -> None:
    record_act(
        project_id=intention.project_id,
        actor=actor,
        action=f"memory.intention_{state.value}",
        subject=f"intention:{intention.pk}",
        digest=_cue_digest(intention),
        before={"state": intention.state},
        after={"state": state.value},
        reason=reason,
    )


def _cue_digest(intention: Intention) -> bytes:
    return hashlib.sha256(intention.cue.encode()).digest()


def expire_intentions() -> int:
    """What no event met in its time, and what was met and nobody carried out, is a failure: it is
    logged, and a person is told, once."""
    now = timezone.now()
    late = Intention.objects.filter(_is_late(now)).select_related("fire").order_by("expires_at")
    return sum(_expire(intention, now) for intention in late[:BATCH])


def _is_late(now: datetime) -> Q:
    free = Q(fire__claimed_until=None) | Q(fire__claimed_until__lt=now)
    left_lying = Q(free, fire__fired_at=None, fire__created_at__lt=now - GRACE)
    return Q(Q(fire=None) | left_lying, state__in=OPEN, expires_at__lt=now)


@transaction.atomic
def _expire(intention: Intention, now: datetime) -> bool:
    lock_project(project_id=intention.project_id)
    # The journal may hold an event of its time that was not looked at yet.
    if not Intention.objects.filter(_is_late(now), pk=intention.pk).exists() or (
        not hasattr(intention, "fire") and _is_behind(intention)
    ):
        return False
    if not _close(intention, IntentionState.EXPIRED):
        return False
    why = _tell_failure(intention)
    _record(intention, IntentionState.EXPIRED, SYSTEM, why)
    escalate(
        project_id=intention.project_id,
        subject_id=intention.pk,
        cause=Cause.EXPIRED,
        digest=_cue_digest(intention),
        title=f"An intention was never fired: {intention.cue}",
        reasons=[why, f"{intention.by_name} asked for it."],
        actor=SYSTEM,
    )
    return True


def _tell_failure(intention: Intention) -> str:
    fire = getattr(intention, "fire", None)
    if fire is None:
        return f"No event met its cue before {intention.expires_at:%Y-%m-%d %H:%M} UTC."
    met = f"Event {fire.event_id} met its cue at {fire.created_at:%Y-%m-%d %H:%M} UTC"
    if not fire.epoch:
        return f"{met}, and no worker claimed it."
    times = "once" if fire.epoch == 1 else f"{fire.epoch} times"
    return f"{met}; it was claimed {times}, last by {fire.worker}, and never reported."


def _is_behind(intention: Intention) -> bool:
    cursor = MemoryCursor.objects.filter(project_id=intention.project_id, name=CURSOR).first()
    start = max(cursor.position if cursor else 0, intention.after_position)
    rows = newer_events(intention.project_id, start)
    return rows.filter(received_at__lte=intention.expires_at).exists()


def find_intention(*, actor: Actor, intention_id: UUID) -> Intention:
    rows = Intention.objects.visible_to(actor).select_related("fire")
    found = rows.filter(pk=intention_id).first()
    if found is None:
        raise NotFound(f"There is no intention {intention_id} that you may see.")
    return found
