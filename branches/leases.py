"""Claims: a worker takes a claimable branch for a while, under an epoch that only rises."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from branches.domain.terms import Status
from branches.journal import StaleLease, lock_branch
from branches.models import Branch
from verel_site.access.actors import Actor
from verel_site.access.rights import Right

MIN_SECONDS, MAX_SECONDS = 1, 3600


@dataclass(frozen=True, slots=True)
class Lease:
    branch: UUID
    epoch: int
    worker: str
    expires_at: datetime


@transaction.atomic
def claim_branch(*, project_id: UUID, actor: Actor, worker: str, seconds: int) -> Lease | None:
    """The oldest claimable branch without a live lease, or None."""
    actor.demand(project_id, Right.RUN_BRANCHES)
    now = timezone.now()
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lte=now)
    waiting = Branch.objects.filter(
        free, project_id=project_id, claimable=True, status=Status.RUNNING.value
    )
    branch = (
        waiting.select_for_update(of=("self",), no_key=True, skip_locked=True)
        .order_by("created_at")
        .first()
    )
    if branch is None:
        return None
    branch.lease_epoch += 1
    branch.lease_worker = worker
    branch.lease_expires_at = now + timedelta(seconds=seconds)
    branch.save(update_fields=["lease_epoch", "lease_worker", "lease_expires_at"])
    return Lease(branch.pk, branch.lease_epoch, worker, branch.lease_expires_at)


@transaction.atomic
def extend_lease(*, branch_id: UUID, actor: Actor, epoch: int, seconds: int) -> Lease:
    """A heartbeat. An expired lease cannot be extended: another may have claimed in between."""
    branch = _held(branch_id, actor, epoch)
    branch.lease_expires_at = timezone.now() + timedelta(seconds=seconds)
    branch.save(update_fields=["lease_expires_at"])
    return Lease(branch.pk, epoch, branch.lease_worker, branch.lease_expires_at)


@transaction.atomic
def release_lease(*, branch_id: UUID, actor: Actor, epoch: int) -> None:
    """Gives the branch back; it is claimable again unless it has been completed."""
    branch = _held(branch_id, actor, epoch)
    branch.lease_expires_at = None
    branch.save(update_fields=["lease_expires_at"])


def _held(branch_id: UUID, actor: Actor, epoch: int) -> Branch:
    branch = lock_branch(branch_id=branch_id)
    actor.demand(branch.project_id, Right.RUN_BRANCHES)
    live = branch.lease_expires_at is not None and branch.lease_expires_at > timezone.now()
    if epoch != branch.lease_epoch or not live:
        raise StaleLease(
            f"Epoch {epoch} is over; the branch is at {branch.lease_epoch}.",
            pointer="/epoch",
            current_epoch=branch.lease_epoch,
        )
    return branch
