"""Rows as the JSON objects that clients get; `serializers` describes the same shapes."""

from typing import Any

from branches.models import Dataset, Export, Merge, Triplet
from branches.storage.pairs import COLUMNS, column_json
from verdicts.models import Issue, Report

type Json = dict[str, Any]


def report_json(report: Report) -> Json:
    """`cost_usd` and `elapsed_ms` are null where the grader did not say."""
    return {
        "report": str(report.pk),
        "branch": str(report.branch_id),
        "order": report.order,
        "head": {"seq": report.head_seq, "digest": bytes(report.head_digest).hex()},
        "grader": report.grader,
        "tool": report.tool,
        "verdict": report.verdict,
        "summary": report.summary,
        "errored": report.errored,
        "model": report.model,
        "cost_usd": float(report.cost_usd) if report.cost_usd is not None else None,
        "elapsed_ms": report.elapsed_ms,
        "capabilities": report.capabilities,
        "artifacts": report.artifacts,
        "trace": report.trace,
        "receipt": _receipt_json(report),
        "result_digest": report.result_digest,
        "raw_sha256": report.raw_sha256,
        "by": {"kind": report.by_kind, "id": report.by_id, "name": report.by_name},
        "received_at": report.received_at.isoformat(),
        "issues": [_issue_json(issue) for issue in report.issues.all()],
    }


def _receipt_json(report: Report) -> Json | None:
    """What checking the receipt came to when it arrived."""
    if not report.receipt:
        return None
    return {
        "standing": report.receipt_standing,
        "fault": report.receipt_fault,
        "runner": report.runner.name if report.runner else None,
    }


def _issue_json(issue: Issue) -> Json:
    return {
        "kind": issue.kind,
        "severity": issue.severity,
        "message": issue.message,
        "locator": issue.locator,
        "locator_precise": issue.locator_precise,
        "confidence": issue.confidence,
        "source": issue.source,
        "fingerprint": issue.fingerprint,
        "detail": issue.detail,
    }


def merge_json(merge: Merge) -> Json:
    return {
        "merge": str(merge.pk),
        "project": str(merge.project_id),
        "run": str(merge.run_id),
        "winner": {"branch": str(merge.winner_id), "digest": bytes(merge.winner_digest).hex()},
        "losers": [
            {
                "branch": str(loser.branch_id),
                "digest": bytes(loser.digest).hex(),
                "refused": loser.refused or None,
            }
            for loser in merge.losers.all()
        ],
        "granularity": merge.granularity,
        "note": merge.note,
        "bypass_reason": merge.bypass_reason or None,
        "admission": merge.admission,
        "by": {"kind": merge.by_kind, "id": merge.by_id, "name": merge.by_name},
        "created_at": merge.created_at.isoformat(),
        "undo_until": merge.undo_until.isoformat(),
        "reverted_at": merge.reverted_at.isoformat() if merge.reverted_at else None,
        "reverted_by": merge.reverted_by,
        "revert_reason": merge.revert_reason,
        "triplets": [triplet_json(triplet) for triplet in merge.triplets.all()],
    }


def triplet_json(triplet: Triplet) -> Json:
    """Messages in OpenAI's shape; the stored bytes, parsed."""
    return {
        "triplet": str(triplet.pk),
        "number": triplet.number,
        "run": str(triplet.run_id),
        "merge": str(triplet.merge_id),
        "granularity": triplet.granularity,
        "chosen_branch": str(triplet.chosen_branch_id),
        "rejected_branch": str(triplet.rejected_branch_id),
        **{column: column_json(triplet, column) for column in COLUMNS},
        "metadata": triplet.metadata,
        "prompt_sha256": triplet.prompt_digest,
        "created_at": triplet.created_at.isoformat(),
        "withdrawn_at": triplet.withdrawn_at.isoformat() if triplet.withdrawn_at else None,
    }


def dataset_json(ordered: Dataset | Export) -> Json:
    """`status` is waiting, working, failed (with `fault`) or ready; files are there when ready."""
    told = _ready_json(ordered) if isinstance(ordered, Dataset) else _export_json(ordered)
    return {
        "dataset": str(ordered.pk),
        "project": str(ordered.project_id),
        "format": ordered.format,
        "filter": ordered.filter,
        **told,
        "created_at": ordered.created_at.isoformat(),
    }


def _ready_json(dataset: Dataset) -> Json:
    looked_at = dataset.manifest.get("looked_at", 0)
    return {
        "status": "ready",
        "fault": None,
        "progress": {"done": looked_at, "total": looked_at},
        "manifest": dataset.manifest,
        "files": sorted(dataset.files),
        "created_by": dataset.created_by,
    }


def _export_json(export: Export) -> Json:
    return {
        "status": export.state,
        "fault": export.fault or None,
        "progress": {"done": export.done, "total": export.total},
        "manifest": {},
        "files": [],
        "created_by": export.by_name,
    }
