"""Merges: one branch wins over others, through an open gate, and can be taken back."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from branches.directives import post_directive
from branches.domain import terms
from branches.domain.admission import Admission
from branches.domain.terms import ENDED, DirectiveKind, Granularity, Status
from branches.domain.triplet import Refused
from branches.journal import server_draft, write_events
from branches.models import Branch, Merge, MergeLoser
from branches.triplets import Preview, emit_triplets, preview_triplets, withdraw_triplets
from verel_site.access.actors import Actor
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable

UNDO_SECONDS: Final = 10


class WinnerAmongLosers(Unprocessable):
    code = "winner_among_losers"
    title = "A branch cannot win over itself"


class OtherRun(Unprocessable):
    code = "other_run"
    title = "The branches belong to different runs"


class AlreadyEnded(Refusal):
    code = "already_ended"
    title = "A branch has ended already"


class GateShut(Refusal):
    code = "gate_shut"
    title = "The gate is shut"


class GateStale(Refusal):
    code = "gate_stale"
    title = "The gate was read for another head"


class HeadMoved(Refusal):
    code = "head_moved"
    title = "A branch moved while you looked"


class AlreadyReverted(Refusal):
    code = "already_reverted"
    title = "The merge has been taken back"


class ReasonMissing(Unprocessable):
    code = "reason_missing"
    title = "A reason is needed"


@transaction.atomic
def merge_branches(
    *,
    winner_id: UUID,
    loser_ids: Sequence[UUID],
    actor: Actor,
    admission: Admission,
    note: str = "",
    granularity: Granularity = Granularity.DECISION,
    expected_heads: Mapping[UUID, bytes] | None = None,
) -> Merge:
    """Ends the winner as merged and the losers as abandoned, and emits the triplets.

    Raises, in this order: WinnerAmongLosers; NotFound; OtherRun; AlreadyEnded; GateShut or
    GateStale; HeadMoved. A loser that gives no triplet keeps the reason on its row. Nothing
    leaves for UNDO_SECONDS.
    """
    branches = _lock_all(winner_id, loser_ids, actor)
    winner, losers = branches[winner_id], [branches[loser_id] for loser_id in loser_ids]
    _check_same_run(winner, losers)
    _check_open([winner, *losers])
    _check_gate(winner, admission)
    _check_heads([winner, *losers], expected_heads or {})
    previews = preview_triplets(winner=winner, losers=losers, granularity=granularity)
    merge = _write_merge(winner, previews, actor, admission, note, granularity)
    emit_triplets(merge=merge, previews=previews)
    _end(winner, Status.MERGED, merge, actor)
    for loser in losers:
        _end(loser, Status.ABANDONED, merge, actor)
    record_act(
        project_id=merge.project_id,
        actor=actor,
        action="branch.merge" if admission.open else "branch.merge_past_shut_gate",
        subject=f"merge:{merge.pk}",
        digest=bytes(merge.winner_digest),
        after={
            "winner": str(winner.pk),
            "losers": {str(loser.pk): bytes(loser.head_digest).hex() for loser in losers},
            "admission": admission.as_json(),
        },
        reason=admission.bypass_reason or note,
    )
    return merge


def _lock_all(winner_id: UUID, loser_ids: Sequence[UUID], actor: Actor) -> dict[UUID, Branch]:
    if winner_id in loser_ids:
        raise WinnerAmongLosers("The winner is among the losers.", pointer="/losers")
    if not loser_ids or len(set(loser_ids)) != len(loser_ids):
        raise Unprocessable("losers names each losing branch once.", pointer="/losers")
    rows = Branch.objects.visible_to(actor).select_related("project", "run")
    # Locked in the order of their ids, so that two merges never wait for each other.
    locked = rows.select_for_update(of=("self",), no_key=True).filter(
        pk__in=[winner_id, *loser_ids]
    )
    found = {branch.pk: branch for branch in locked.order_by("pk")}
    for at, branch_id in [("/winner", winner_id), *(("/losers", pk) for pk in loser_ids)]:
        if branch_id not in found:
            raise NotFound(f"There is no branch {branch_id} that you may see.", pointer=at)
    actor.demand(found[winner_id].project_id, Right.MERGE)
    return found


def _check_same_run(winner: Branch, losers: Sequence[Branch]) -> None:
    for loser in losers:
        if loser.run_id != winner.run_id:
            raise OtherRun(f"{loser.label} belongs to another run.", pointer="/losers")


def _check_open(branches: Sequence[Branch]) -> None:
    for branch in branches:
        if Status(branch.status) in ENDED:
            raise AlreadyEnded(f"{branch.label} is {branch.status}.", branch=str(branch.pk))


def _check_gate(winner: Branch, admission: Admission) -> None:
    if admission.branch != winner.pk or admission.head_digest != bytes(winner.head_digest):
        raise GateStale(f"{winner.label} has grown since its gate was read; grade it again.")
    if not admission.admits:
        why = " ".join(admission.reasons) or "Nothing opened it."
        raise GateShut(why, verdict=admission.verdict, reasons=list(admission.reasons))


def _check_heads(branches: Sequence[Branch], expected: Mapping[UUID, bytes]) -> None:
    moved = [
        {
            "branch": str(branch.pk),
            "expected": expected[branch.pk].hex(),
            "head": {"seq": branch.head_seq, "digest": bytes(branch.head_digest).hex()},
        }
        for branch in branches
        if branch.pk in expected and expected[branch.pk] != bytes(branch.head_digest)
    ]
    if moved:
        raise HeadMoved("Look at what is new, then decide again.", moved=moved)


def _write_merge(
    winner: Branch,
    previews: Sequence[Preview],
    actor: Actor,
    admission: Admission,
    note: str,
    granularity: Granularity,
) -> Merge:
    now = timezone.now()
    merge = Merge.objects.create(
        project=winner.project,
        run=winner.run,
        winner=winner,
        winner_status=winner.status,
        winner_digest=winner.head_digest,
        granularity=granularity.value,
        note=note,
        bypass_reason="" if admission.open else admission.bypass_reason or "",
        admission=admission.as_json(),
        by_kind=actor.kind,
        by_id=actor.id,
        by_name=actor.name,
        created_at=now,
        undo_until=now + timedelta(seconds=UNDO_SECONDS),
    )
    MergeLoser.objects.bulk_create(
        MergeLoser(
            merge=merge,
            branch=preview.loser,
            status=preview.loser.status,
            digest=preview.loser.head_digest,
            refused=preview.outcome.reason.value if isinstance(preview.outcome, Refused) else "",
        )
        for preview in previews
    )
    return merge


def _end(branch: Branch, status: Status, merge: Merge, actor: Actor) -> None:
    event_type = terms.MERGED if status == Status.MERGED else terms.ABANDONED
    payload = {"by": actor.as_json(), "merge": str(merge.pk), "winner": str(merge.winner_id)}
    write_events(branch=branch, drafts=[server_draft(event_type, payload)])
    # `claimable` is left: only running branches are handed out, and a revert reopens this one.
    branch.status, branch.lease_expires_at = status.value, None
    branch.save(update_fields=["status", "lease_expires_at"])
    post_directive(branch=branch, kind=DirectiveKind.STOP, body=payload)


@transaction.atomic
def revert_merge(*, merge_id: UUID, actor: Actor, reason: str) -> Merge:
    """Reopens both sides as they were, and withdraws the triplets. History stays.

    Agents, who were told to stop, are told how their branches stand again.
    """
    row = Merge.objects.filter(pk=merge_id).first()
    if row is None:
        raise NotFound(f"There is no merge {merge_id} that you may see.")
    actor.demand(row.project_id, Right.MERGE)
    if not reason.strip():
        raise ReasonMissing("Say why the merge is taken back.", pointer="/reason")
    reverted = Merge.objects.filter(pk=merge_id, reverted_at=None).update(
        reverted_at=timezone.now(), reverted_by=actor.name, revert_reason=reason
    )
    if reverted != 1:
        raise AlreadyReverted(f"{row.reverted_by} took it back: {row.revert_reason}")
    merge = Merge.objects.select_related("project", "winner").get(pk=merge_id)
    before = {merge.winner_id: merge.winner_status}
    before |= {loser.branch_id: loser.status for loser in merge.losers.all()}
    branches = Branch.objects.select_for_update(no_key=True).filter(pk__in=before)
    for branch in branches.order_by("pk"):
        _reopen(branch, Status(before[branch.pk]), merge, actor)
    withdrawn = withdraw_triplets(merge=merge)
    record_act(
        project_id=merge.project_id,
        actor=actor,
        action="merge.revert",
        subject=f"merge:{merge.pk}",
        digest=bytes(merge.winner_digest),
        after={"triplets_withdrawn": withdrawn},
        reason=reason,
    )
    return merge


def _reopen(branch: Branch, status: Status, merge: Merge, actor: Actor) -> None:
    payload = {"by": actor.as_json(), "merge": str(merge.pk), "reason": merge.revert_reason}
    write_events(branch=branch, drafts=[server_draft(terms.REOPENED, payload)])
    branch.status = status.value
    branch.save(update_fields=["status"])
    if status == Status.PAUSED:
        post_directive(branch=branch, kind=DirectiveKind.PAUSE, body=payload)
    elif status == Status.RUNNING and branch.claimable:
        post_directive(branch=branch, kind=DirectiveKind.FORK_CLAIMABLE, body=payload)
    elif status == Status.RUNNING:
        post_directive(branch=branch, kind=DirectiveKind.RESUME, body=payload)
