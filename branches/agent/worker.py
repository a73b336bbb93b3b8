"""The worker: claims a fork, asks a mind for the next step, appends it under its lease."""

import logging
import threading
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

from django.utils import timezone

from branches.agent.steps import Mind, MindFailed, Step
from branches.domain import terms
from branches.domain.context import render_context
from branches.domain.terms import Status
from branches.journal import BranchEnded, Draft, SeqMoved, StaleLease, append_events
from branches.leases import Lease, claim_branch, extend_lease, release_lease
from branches.models import Branch
from branches.selectors.lineage import iter_lineage
from branches.steering import MoveRefused, complete_branch
from verel_site.access.actors import Actor
from verel_site.access.rights import Right

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 120
MAX_STEPS: Final = 200


@dataclass
class Worker:
    """One claimed branch at a time. `pause_seconds` between steps lets a person watch."""

    project_id: UUID
    mind: Mind
    name: str
    pause_seconds: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        rights = frozenset({Right.READ, Right.WRITE_EVENTS, Right.RUN_BRANCHES})
        self.actor = Actor(
            kind="key", id=self.name[:64], name=self.name, rights={self.project_id: rights}
        )

    def run_once(self) -> bool:
        """Continues one fork as far as it goes; False when none waits."""
        lease = claim_branch(
            project_id=self.project_id,
            actor=self.actor,
            worker=self.name,
            seconds=LEASE_SECONDS,
        )
        if lease is None:
            return False
        try:
            self._continue(lease)
        except (StaleLease, BranchEnded, MoveRefused, SeqMoved) as refusal:
            # Somebody stopped, merged or took over the branch: it is not ours any more. Or, while
            # a failure was to be told, somebody spoke: the lease runs out, and another try reads it.
            logger.info("branch %s: %s", lease.branch, refusal.detail)
        return True

    def _continue(self, lease: Lease) -> None:
        for _ in range(MAX_STEPS):
            branch = Branch.objects.get(pk=lease.branch)
            if self.stop.is_set() or branch.status != Status.RUNNING:
                release_lease(branch_id=branch.pk, actor=self.actor, epoch=lease.epoch)
                return
            try:
                step = self._think(branch)
            except MindFailed as failure:
                # The lease is left to run out: that is the pause before the next try.
                self._tell(branch, lease, Step(((terms.ERROR, {"message": str(failure)}),)))
                return
            try:
                self._tell(branch, lease, step)
            except SeqMoved:
                # Something was said in between, by a person perhaps; think again with it in mind.
                continue
            if step.last:
                self._finish(branch, lease)
                return
            extend_lease(
                branch_id=branch.pk, actor=self.actor, epoch=lease.epoch, seconds=LEASE_SECONDS
            )
            self.stop.wait(self.pause_seconds)
        self._finish(branch, lease)

    def _think(self, branch: Branch) -> Step:
        events = list(iter_lineage(branch, inline=True))
        return self.mind.next_step(events, render_context(events, format="openai"))

    def _tell(self, branch: Branch, lease: Lease, step: Step) -> None:
        """Conditional on the head that the mind saw: what came in between is read first."""
        drafts = [self._draft(event_type, payload) for event_type, payload in step.events]
        if drafts:
            append_events(
                branch_id=branch.pk,
                actor=self.actor,
                drafts=drafts,
                expected_seq=branch.head_seq,
                lease_epoch=lease.epoch,
            )

    def _draft(self, event_type: str, payload: dict[str, Any]) -> Draft:
        return Draft(event_type, self.mind.name, timezone.now(), payload, uuid4())

    def _finish(self, branch: Branch, lease: Lease) -> None:
        append_events(
            branch_id=branch.pk,
            actor=self.actor,
            drafts=[self._draft(terms.RUN_FINISHED, {"outcome": "the agent says it is done"})],
            lease_epoch=lease.epoch,
        )
        complete_branch(branch_id=branch.pk, actor=self.actor, lease_epoch=lease.epoch)
