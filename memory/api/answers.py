"""Rows as the JSON objects that clients get; `serializers` describes the same shapes."""

from datetime import datetime
from typing import Any

from memory.context_page import notes_of
from memory.domain.strength import Curves
from memory.intentions import Due
from memory.models import (
    Assembly,
    Evidence,
    Intention,
    IntentionFire,
    PromotionRequest,
    Record,
    RefusedValue,
)
from memory.promotion import Decided, Row
from memory.record_detail import SkillRecord, Told
from memory.review import Evaluation

type Json = dict[str, Any]


def record_json(record: Record, now: datetime, curves: Curves) -> Json:
    """`curves` are those of the record's project."""
    return {
        "record": str(record.record_id),
        "project": str(record.project_id),
        "label": record.label,
        "number": record.number,
        "kind": record.kind,
        "version": record.version,
        "scope": record.scope,
        "tier": record.tier,
        "text": record.text,
        "subject": record.subject,
        "predicate": record.predicate,
        "object": record.object,
        "subj_pred_key": record.key,
        "entities": record.entities,
        "relations": record.relations,
        "expression": record.expression,
        "details": record.details,
        "item_type": record.item_type,
        "content_digest": bytes(record.digest).hex(),
        "trust": record.trust,
        "standing": record.standing,
        "supersedes": str(record.supersedes.record_id) if record.supersedes else None,
        "held_for": record.held_for,
        "suppressed_by": str(record.suppressed_by.record_id) if record.suppressed_by else None,
        "grounding": record.grounding,
        "source": record.source,
        "epistemic_confidence": round(record.confidence, 6),
        "suite_digest": record.suite_digest or None,
        "seal": record.seal or None,
        "support_count": record.support_count,
        "contradiction_count": record.contradiction_count,
        "retrieval": {
            "count": record.retrieval_count,
            "last": record.retrieved_at.isoformat() if record.retrieved_at else None,
            "strength": round(record.strength(now, curves), 6),
        },
        "by": {"kind": record.by_kind, "id": record.by_id, "name": record.by_name},
        "created_at": record.created_at.isoformat(),
        "asserted_at": record.asserted_at.isoformat(),
    }


def detail_json(told: Told, now: datetime, curves: Curves) -> Json:
    """A record with everything that it rests on."""
    return {
        **record_json(told.record, now, curves),
        "provenance": [provenance_json(row) for row in told.provenance],
        "rejected_values": [refused_json(row) for row in told.refused],
        "evaluation": evaluation_json(told.evaluation) if told.evaluation else None,
        "skill": skill_json(told.skill) if told.skill else None,
    }


def provenance_json(row: Evidence) -> Json:
    return {
        "event": str(row.event_id),
        "run": str(row.run_id),
        "branch": str(row.branch_id),
        "seq": row.seq,
        "source": row.source,
        "score": row.score,
        "agrees": row.agrees,
        "quote": row.quote,
        "corroborator": row.corroborator,
        "by": row.by_name,
        "at": row.created_at.isoformat(),
    }


def refused_json(row: RefusedValue) -> Json:
    return {
        "value": row.value,
        "reason": row.reason,
        "by": row.by_name,
        "at": row.created_at.isoformat(),
    }


def evaluation_json(told: Evaluation) -> Json:
    return {
        "verdict": told.verdict,
        "policy_version": told.policy,
        "at": told.at.isoformat(),
        "suite": told.suite,
        "grader": told.grader,
        "receipt": told.receipt,
        "runner": told.runner,
        "related": told.related,
        "fault": told.fault,
    }


def skill_json(told: SkillRecord) -> Json:
    uses = told.uses
    return {
        "trigger": told.trigger,
        "deps": [
            {"name": need.name, "record": str(need.record) if need.record else None}
            for need in told.needs
        ],
        "runs": uses.runs,
        "decided": uses.decided,
        "succeeded": uses.succeeded,
        "success_rate": uses.success_rate,
        "last_used": uses.last.isoformat() if uses.last else None,
        "seal_holds": told.seal_holds,
    }


def request_json(request: PromotionRequest) -> Json:
    return {
        "promotion": str(request.pk),
        "record": str(request.record.record_id),
        "label": request.record.label,
        "state": request.state,
        "void_reason": request.void_reason,
        "content_digest": bytes(request.content_digest).hex(),
        "evidence_digest": bytes(request.evidence_digest).hex(),
        "evidence": request.evidence,
        "conflicts": request.conflicts,
        "gate": request.gate,
        "by": {"kind": request.by_kind, "id": request.by_id, "name": request.by_name},
        "deferred_until": request.deferred_until.isoformat() if request.deferred_until else None,
        "created_at": request.created_at.isoformat(),
    }


def decided_json(decided: Decided) -> Json:
    return {
        "record": str(decided.record.record_id),
        "answer": decided.decision.answer,
        "trust": decided.record.trust,
        "standing": decided.record.standing,
        "scope": decided.record.scope,
        "other": str(decided.other.record_id) if decided.other else None,
        "by": decided.decision.by_name,
        "reason": decided.decision.reason,
        "at": decided.decision.created_at.isoformat(),
    }


def row_json(row: Row) -> Json:
    return {
        "record": str(row.record_id),
        "decided": decided_json(row.decided) if row.decided else None,
        "problem": row.refusal.as_problem() if row.refusal else None,
    }


def assembly_json(assembly: Assembly) -> Json:
    return {
        "context": str(assembly.pk),
        "project": str(assembly.project_id),
        "role": assembly.role,
        "goal": assembly.goal,
        "scopes": assembly.scopes,
        "tokens": assembly.tokens,
        "policy": assembly.result["policy"],
        "entered": assembly.result["entered"],
        "left_out": assembly.result["left_out"],
        "asked": assembly.result.get("asked", []),
        "branch": assembly.result.get("branch"),
        "trial": bool(assembly.result.get("trial")),
        "notes": notes_of(assembly.result),
        "text": "\n".join(one["text"] for one in assembly.result["entered"]),
        "created_at": assembly.created_at.isoformat(),
    }


def intention_json(intention: Intention) -> Json:
    return {
        "intention": str(intention.pk),
        "project": str(intention.project_id),
        "number": intention.number,
        "scope": intention.scope,
        "cue": intention.cue,
        "action": intention.action,
        "idempotency_key": intention.idempotency_key,
        "state": intention.state,
        "ttl_seconds": intention.ttl_seconds,
        "expires_at": intention.expires_at.isoformat(),
        "fire": fire_json(getattr(intention, "fire", None)),
        "by": {"kind": intention.by_kind, "id": intention.by_id, "name": intention.by_name},
        "created_at": intention.created_at.isoformat(),
        "closed_at": intention.closed_at.isoformat() if intention.closed_at else None,
    }


def fire_json(fire: IntentionFire | None) -> Json | None:
    """The cue that was met, and who has it in hand."""
    if fire is None:
        return None
    return {
        "event": str(fire.event_id),
        "met_at": fire.created_at.isoformat(),
        "worker": fire.worker,
        "epoch": fire.epoch,
        "claimed_until": fire.claimed_until.isoformat() if fire.claimed_until else None,
        "fired_at": fire.fired_at.isoformat() if fire.fired_at else None,
    }


def due_json(due: Due) -> Json:
    assert due.fire.claimed_until is not None
    return {
        "intention": intention_json(due.intention),
        "event": str(due.fire.event_id),
        "epoch": due.fire.epoch,
        "claimed_until": due.fire.claimed_until.isoformat(),
    }
