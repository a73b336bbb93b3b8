"""Rows as the JSON objects that clients get; `serializers` describes the same shapes."""

from typing import Any

from branches.domain.digest import cached_prefix_id
from branches.domain.terms import Status
from branches.forks import Fork
from branches.journal import Appended
from branches.leases import Lease
from branches.models import Approval, Branch, Directive, Event, Run
from branches.selectors.events import payload_of

type Json = dict[str, Any]


def head_json(branch: Branch) -> Json:
    return {"seq": branch.head_seq, "digest": bytes(branch.head_digest).hex()}


def run_json(run: Run) -> Json:
    """A run that was read `with_counts`."""
    counted: Any = run
    return {
        "run": str(run.pk),
        "project": str(run.project_id),
        "number": run.number,
        "goal": run.goal,
        "agent": run.agent,
        "model": run.model,
        "origin": run.origin,
        "metadata": run.metadata,
        "counts": {
            "branches": counted.branch_count,
            "events": counted.event_count,
            "tokens": counted.token_count,
        },
        "created_at": run.created_at.isoformat(),
        "touched_at": run.touched_at.isoformat(),
    }


def node_json(branch: Branch) -> Json:
    """A branch as a node of its run's tree."""
    return {
        "branch": str(branch.pk),
        "number": branch.number,
        "name": branch.label,
        "parent": str(branch.parent_id) if branch.parent_id else None,
        "fork_seq": branch.fork_seq,
        "base": branch.base,
        "status": branch.status,
        "head": head_json(branch),
        "counts": {
            "events": branch.head_seq,
            "lineage": branch.base + branch.head_seq,
            "tokens": branch.tokens,
        },
    }


def branch_json(branch: Branch) -> Json:
    return {
        **node_json(branch),
        "run": str(branch.run_id),
        "project": str(branch.project_id),
        "override": branch.override,
        "note": branch.note,
        "forked_by": branch.forked_by,
        "cached_prefix_id": cached_prefix_id(bytes(branch.fork_digest)),
        "claimable": branch.claimable and branch.status == Status.RUNNING,
        "lease": _held_json(branch),
        "created_at": branch.created_at.isoformat(),
        "touched_at": branch.touched_at.isoformat(),
    }


def _held_json(branch: Branch) -> Json | None:
    if branch.lease_expires_at is None:
        return None
    return {
        "epoch": branch.lease_epoch,
        "worker": branch.lease_worker,
        "expires_at": branch.lease_expires_at.isoformat(),
    }


def event_json(row: Event) -> Json:
    return {
        "event_id": str(row.event_id),
        "branch": str(row.branch_id),
        "run": str(row.run_id),
        "type": row.type,
        "source": row.source,
        "ts": row.ts.isoformat(),
        "received_at": row.received_at.isoformat(),
        "task_id": str(row.task_id) if row.task_id else None,
        "parent_id": str(row.parent_id) if row.parent_id else None,
        "payload": payload_of(row),
        "schema_version": row.schema_version,
        "seq": row.seq,
        "position": row.position,
        "digest": bytes(row.digest).hex(),
        "seal": bytes(row.seal).hex(),
    }


def appended_json(appended: Appended) -> Json:
    return {
        "results": [
            {
                "event_id": str(receipt.event_id),
                "seq": receipt.seq,
                "position": receipt.position,
                "digest": receipt.digest.hex(),
                "duplicate": receipt.duplicate,
            }
            for receipt in appended.results
        ],
        "head": {"seq": appended.head_seq, "digest": appended.head_digest.hex()},
    }


def fork_json(fork: Fork) -> Json:
    return {
        "branch": str(fork.branch.pk),
        "run": str(fork.branch.run_id),
        "parent": str(fork.branch.parent_id),
        "fork_seq": fork.branch.fork_seq,
        "patches": [patch.payload() for patch in fork.override.patches],
        "unread": [{"line": line, "text": text} for line, text in fork.override.unread],
        "cached_prefix_id": fork.cached_prefix_id,
        "cache_key": fork.cache_key,
        "head": head_json(fork.branch),
    }


def lease_json(lease: Lease) -> Json:
    return {
        "branch": str(lease.branch),
        "lease": {"epoch": lease.epoch, "expires_at": lease.expires_at.isoformat()},
    }


def directive_json(directive: Directive) -> Json:
    return {
        "id": directive.pk,
        "kind": directive.kind,
        "branch": str(directive.branch_id),
        "body": directive.body,
        "created_at": directive.created_at.isoformat(),
    }


def approval_json(approval: Approval) -> Json:
    return {
        "id": str(approval.pk),
        "project": str(approval.project_id),
        "run": str(approval.branch.run_id),
        "branch": str(approval.branch_id),
        "action": approval.action,
        "args": approval.args,
        "allow": approval.allow,
        "description": approval.description,
        "request_seq": approval.request_seq,
        "request_digest": bytes(approval.request_digest).hex(),
        "expires_at": approval.expires_at.isoformat() if approval.expires_at else None,
        "created_at": approval.created_at.isoformat(),
        "answer": approval.answer or None,
        "answer_args": approval.answer_args,
        "answer_text": approval.answer_text,
        "answered_by": approval.answered_by,
        "answered_at": approval.answered_at.isoformat() if approval.answered_at else None,
    }
