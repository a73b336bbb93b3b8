"""Ordering a consolidation, driving it, and calling it off.

A project has one open at a time, and whoever takes it has it alone, under an epoch. Each window of
work is one transaction with the job's row: it names the epoch and moves the cursor. Taken over or
called off, the transaction of a worker that lives on changes nothing.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.utils import timezone

from memory.consolidation import extracting, gating, merging, weighing, writing
from memory.consolidation.windows import Stage, Window
from memory.consolidation_models import Candidate, Consolidation, SalientEpisode
from memory.curve_fits import fit_curves
from memory.domain.consolidation import Fate, JobState, Step, Trigger
from memory.domain.terms import Outcome
from memory.models import Episode
from memory.ports.failures import PortFailed
from memory.querysets import ConsolidationQuerySet
from memory.storage.recall_index import tidy_words
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal

logger = logging.getLogger(__name__)

HOLD_SECONDS: Final = 60
MAX_ATTEMPTS: Final = 5
RETRY_SECONDS: Final = 10
MAX_FAULT: Final = 500
# What the standing job does in one go before it lets itself be stopped.
SLICE_SECONDS: Final = 2.0
DUE_SECONDS: Final = 30.0
# When one is ordered by itself: so many new episodes; a session that ended, but no sooner after
# the last; or anything that waits, so long after it. A project's first one counts from its making.
DUE_EPISODES: Final = 500
SESSION_PAUSE: Final = timedelta(minutes=10)
SCHEDULE_PAUSE: Final = timedelta(days=1)

STAGES: Final[dict[Step, Stage]] = {
    Step.SALIENCE: weighing.STAGE,
    Step.EXTRACT: extracting.EXTRACT,
    Step.INDUCE: extracting.INDUCE,
    Step.ENTAIL: gating.STAGE,
    Step.MERGE: merging.MERGE,
    Step.CONFLICT: merging.CONFLICT,
    Step.WRITE: writing.WRITE,
    Step.DECAY: writing.DECAY,
}

type Report = Callable[[Consolidation], None]


class ConsolidationOpen(Refusal):
    code = "consolidation_open"
    title = "One is under way"


class ConsolidationOver(Refusal):
    code = "consolidation_over"
    title = "It is over already"


class LeaseLost(Exception):
    """Another worker has the job, or somebody called it off."""


@transaction.atomic
def order_consolidation(
    *, project_id: UUID, actor: Actor, trigger: Trigger = Trigger.HAND
) -> Consolidation:
    """What the next free worker goes through: the episodes since the last one that was done.
    Raises Forbidden, or ConsolidationOpen."""
    actor.demand(project_id, Right.CURATE)
    lock_project(project_id=project_id)
    mine = Consolidation.objects.filter(project_id=project_id)
    last = mine.aggregate(last=Max("number"))["last"] or 0
    newest = Episode.objects.filter(project_id=project_id).aggregate(last=Max("position"))["last"]
    after = consolidated_position(project_id)
    try:
        with transaction.atomic():
            job = Consolidation.objects.create(
                project_id=project_id,
                number=last + 1,
                trigger=trigger.value,
                after_position=after,
                upto_position=max(after, newest or 0),
                by_kind=actor.kind,
                by_id=actor.id,
                by_name=actor.name,
            )
    except IntegrityError as error:
        raise ConsolidationOpen("Let it end, or cancel it first.") from error
    _note(job, actor, "consolidation.order")
    return job


def consolidated_position(project_id: UUID) -> int:
    """Up to where a project's episodes have been consolidated."""
    rows = Consolidation.objects.filter(project_id=project_id, state=JobState.DONE.value)
    return int(rows.aggregate(last=Max("upto_position"))["last"] or 0)


@transaction.atomic
def cancel_consolidation(*, job_id: UUID, actor: Actor) -> Consolidation:
    """At once, whoever works at it: what it has written stays, and what it has not is dropped.
    The episodes are for the next one."""
    job = find_consolidation(actor=actor, job_id=job_id)
    actor.demand(job.project_id, Right.CURATE)
    done = (
        _open()
        .filter(pk=job_id)
        .update(
            state=JobState.CANCELLED.value,
            epoch=F("epoch") + 1,
            held_until=None,
            closed_at=timezone.now(),
            closed_by=actor.name,
        )
    )
    if done != 1:
        raise ConsolidationOver(f"It is {job.state}.")
    job.refresh_from_db()
    _clear(job)
    _note(job, actor, "consolidation.cancel")
    return job


def find_consolidation(*, actor: Actor, job_id: UUID) -> Consolidation:
    rows = Consolidation.objects.visible_to(actor).select_related("project")
    job = rows.filter(pk=job_id).first()
    if job is None:
        raise NotFound(f"There is no consolidation {job_id} that you may see.")
    return job


def _open() -> ConsolidationQuerySet:
    return Consolidation.objects.filter(state__in=[JobState.WAITING.value, JobState.WORKING.value])


def order_due(*, now: datetime | None = None) -> int:
    """Orders one for each project that has enough new; answers how many."""
    at = now or timezone.now()
    busy = _open().values("project_id")
    ordered = 0
    for project in Project.objects.exclude(pk__in=busy).only("pk", "created_at"):
        trigger = _trigger_of(project, at)
        if trigger is None:
            continue
        try:
            order_consolidation(project_id=project.pk, actor=SYSTEM, trigger=trigger)
        except ConsolidationOpen:
            continue
        ordered += 1
    return ordered


def _trigger_of(project: Project, now: datetime) -> Trigger | None:
    """Episodes count as new once: those of one that was cancelled or given up wait for the schedule,
    or whatever was called off would be back at once."""
    episodes = Episode.objects.filter(project_id=project.pk)
    last = Consolidation.objects.filter(project_id=project.pk).order_by("-number").first()
    since = now - (last.created_at if last else project.created_at)
    fresh = episodes.filter(position__gt=last.upto_position if last else 0)
    if fresh.order_by("position")[:DUE_EPISODES].count() == DUE_EPISODES:
        return Trigger.EPISODES
    if since >= SESSION_PAUSE and fresh.filter(outcome=Outcome.DONE.value).exists():
        return Trigger.SESSION
    waiting = episodes.filter(position__gt=consolidated_position(project.pk))
    return Trigger.SCHEDULE if since >= SCHEDULE_PAUSE and waiting.exists() else None


def resume_consolidation(*, project_id: UUID) -> Consolidation | None:
    """The project's open one, whoever works at it."""
    return _open().filter(project_id=project_id).first()


def take_consolidation(*, job_id: UUID | None = None) -> Consolidation | None:
    """The open one that nobody holds and that was taken the least often, so that a huge one keeps no
    other project waiting; or the one that is named. Held by the caller now."""
    now = timezone.now()
    free = _open().filter(Q(held_until=None) | Q(held_until__lt=now))
    if job_id is not None:
        free = free.filter(pk=job_id)
    job = free.order_by("epoch", "created_at").select_related("project").first()
    if job is None:
        return None
    if job.attempts >= MAX_ATTEMPTS:
        _fail(job, f"It stood still {job.attempts} times at {job.step}. {job.fault}".strip())
        return None
    taken = free.filter(pk=job.pk, epoch=job.epoch).update(
        state=JobState.WORKING.value,
        epoch=F("epoch") + 1,
        held_until=now + timedelta(seconds=HOLD_SECONDS),
        attempts=F("attempts") + 1,
    )
    if taken != 1:
        return None
    job.refresh_from_db()
    return job


def sweep_consolidations() -> bool:
    """One slice of the work that waits; whether there may be more right away."""
    job = take_consolidation()
    if job is None:
        return False
    until = time.monotonic() + SLICE_SECONDS
    try:
        while job.is_open and time.monotonic() < until:
            job = advance(job)
    except LeaseLost:
        logger.info("consolidation %s was taken over or called off", job.pk)
        return True
    except Exception as error:
        _put_off(job, error)
        raise
    release(job)
    return True


def drive(job: Consolidation, report: Report) -> Consolidation:
    """Works a job that the caller holds to its end; `report` hears of each window. Raises
    LeaseLost."""
    while job.is_open:
        job = advance(job)
        report(job)
    return job


def release(job: Consolidation) -> None:
    _held(job).update(held_until=None)


def _put_off(job: Consolidation, error: Exception) -> None:
    """Tried again, later each time: a scorer that is away comes back."""
    told = str(error) if isinstance(error, PortFailed) else "A window failed; see the log."
    later = timezone.now() + timedelta(seconds=RETRY_SECONDS * 2**job.attempts)
    _held(job).update(state=JobState.WAITING.value, held_until=later, fault=told[:MAX_FAULT])


def advance(job: Consolidation) -> Consolidation:
    """One window of the job's step, or the change to the next step. Raises LeaseLost."""
    if job.started_at is None:
        return _begin(job, Step(job.step))
    window = STAGES[Step(job.step)].look(job)
    if window.cursor is None:
        following = Step(job.step).next
        return _begin(job, following) if following else _finish(job)
    return _commit(job, window)


@transaction.atomic
def _commit(job: Consolidation, window: Window) -> Consolidation:
    held = _hold(job)
    counts = window.counts + window.write()
    held.counts = {**held.counts, **{n: held.count(n) + c for n, c in counts.items()}}
    held.cursor = window.cursor or 0
    held.done += window.looked
    held.attempts, held.fault = 0, ""
    held.save(update_fields=["counts", "cursor", "done", "attempts", "fault"])
    return held


@transaction.atomic
def _begin(job: Consolidation, step: Step) -> Consolidation:
    held = _hold(job)
    held.step, held.cursor, held.done = step.value, 0, 0
    held.started_at = held.started_at or timezone.now()
    held.total = STAGES[step].size(held)
    held.save(update_fields=["step", "cursor", "done", "started_at", "total"])
    return held


def _finish(job: Consolidation) -> Consolidation:
    """With the curves fitted anew to the contexts that there were since, and the words of recall
    tidied, as single writes leave them in pieces."""
    fit_curves(project_id=job.project_id)
    tidy_words()
    return _close(job)


@transaction.atomic
def _close(job: Consolidation) -> Consolidation:
    held = _hold(job)
    held.state, held.closed_at, held.held_until = JobState.DONE.value, timezone.now(), None
    held.save(update_fields=["state", "closed_at", "held_until"])
    _clear(held)
    _note(held, SYSTEM, "consolidation.finish")
    return held


def _hold(job: Consolidation) -> Consolidation:
    """The row, as of now and locked until the transaction ends. Raises LeaseLost."""
    until = timezone.now() + timedelta(seconds=HOLD_SECONDS)
    if _held(job).update(held_until=until) != 1:
        raise LeaseLost(job.pk)
    return Consolidation.objects.select_related("project").get(pk=job.pk)


def _held(job: Consolidation) -> ConsolidationQuerySet:
    return Consolidation.objects.filter(pk=job.pk, epoch=job.epoch, state=JobState.WORKING.value)


@transaction.atomic
def _fail(job: Consolidation, fault: str) -> None:
    failed = (
        _open()
        .filter(pk=job.pk, epoch=job.epoch)
        .update(state=JobState.FAILED.value, fault=fault, held_until=None, closed_at=timezone.now())
    )
    if failed:
        _clear(job)
        job.refresh_from_db()
        _note(job, SYSTEM, "consolidation.fail")


def _clear(job: Consolidation) -> None:
    """What was on its way only: claims that others have taken in and, of one that came to no end,
    the kept episodes, which are for the next one."""
    if job.state != JobState.DONE.value:
        SalientEpisode.objects.filter(consolidation=job).delete()
    ended = [Fate.DROPPED.value, Fate.WRITTEN.value, Fate.REFUSED.value]
    rows = Candidate.objects.filter(consolidation=job)
    rows.exclude(fate__in=ended).delete()
    rows.filter(fate=Fate.DROPPED.value, why=gating.LONE).delete()


def _note(job: Consolidation, actor: Actor, action: str) -> None:
    record_act(
        project_id=job.project_id,
        actor=actor,
        action=action,
        subject=f"consolidation:{job.pk}",
        after={"number": job.number, "upto": job.upto_position, "counts": job.counts},
        reason=job.fault,
    )
