"""A record with everything that it rests on, for whoever asks for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from memory import seals
from memory.domain.terms import Kind, RequestState
from memory.models import Evidence, PromotionRequest, Record, RefusedValue
from memory.requests import find_record
from memory.review import Evaluation, read_evaluation
from memory.skill_uses import Need, Uses, read_needs, read_uses, trigger_of
from verel_site.access.actors import Actor

MAX_REFUSED: Final = 100


@dataclass(frozen=True, slots=True)
class SkillRecord:
    """What a skill has beside its files."""

    trigger: str
    needs: Sequence[Need]
    uses: Uses
    seal_holds: bool


@dataclass(frozen=True, slots=True)
class Told:
    """`refused` are the values that stay rejected under its key; `evaluation` is the last one that
    backed it, and `skill` is None of what is none."""

    record: Record
    provenance: Sequence[Evidence]
    refused: Sequence[RefusedValue]
    evaluation: Evaluation | None
    skill: SkillRecord | None


def read_record(*, actor: Actor, record_id: UUID) -> Told:
    record = find_record(actor=actor, record_id=record_id)
    provenance = list(record.evidence.order_by("position"))
    return Told(
        record=record,
        provenance=provenance,
        refused=_read_refused(record),
        evaluation=_read_last_evaluation(record, provenance),
        skill=_read_skill(record) if record.kind == Kind.SKILL.value else None,
    )


def _read_refused(record: Record) -> list[RefusedValue]:
    rows = RefusedValue.objects.filter(project_id=record.project_id, cleared_at=None)
    rows = rows.filter(key=record.key) if record.key else rows.filter(record=record)
    return list(rows.order_by("created_at", "pk")[:MAX_REFUSED])


def _read_last_evaluation(record: Record, sources: Sequence[Evidence]) -> Evaluation | None:
    rows = PromotionRequest.objects.filter(record=record).exclude(gate={})
    asked = rows.exclude(state=RequestState.VOID.value).order_by("-created_at").first()
    runs = {row.run_id for row in sources if row.agrees}
    return read_evaluation(asked.gate, runs) if asked else None


def _read_skill(record: Record) -> SkillRecord:
    return SkillRecord(
        trigger=trigger_of(record),
        needs=read_needs(record),
        uses=read_uses(record),
        seal_holds=bool(record.seal) and seals.holds(record),
    )
