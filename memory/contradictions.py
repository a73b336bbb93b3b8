"""Settling a contradiction: which of two records under one key stays, said by a person.

It is done by the answers that every promotion takes, and so stands in the same history.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from memory.domain.content import fold
from memory.domain.terms import Answer, Standing
from memory.models import Record
from memory.promotion import Decided, ReasonNeeded, Said, decide_record
from memory.requests import CannotAnswer, PromotionVoid, find_record
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project


@dataclass(frozen=True)
class Side:
    """A record of a contradiction, with the content that the person looked at."""

    record_id: UUID
    content_digest: bytes


@transaction.atomic
def settle_contradiction(*, actor: Actor, keep: Side, against: Side, reason: str) -> Decided:
    """`keep` stays. One that does not speak yet is promoted, and takes the floor; one that speaks
    and is challenged stays as it is while the challenger is buried; one that a rule let speak is
    promoted, so that no rule turns it any more.

    Raises PromotionVoid where either side moved, CannotAnswer where they do not contradict, and
    what the answers themselves raise.
    """
    kept, other = (find_record(actor=actor, record_id=one.record_id) for one in (keep, against))
    lock_project(project_id=kept.project_id)
    for record, side in ((kept, keep), (other, against)):
        record.refresh_from_db()
        if bytes(record.digest) != side.content_digest:
            raise PromotionVoid(f"{record.label} does not say what you looked at any more.")
    if not contradict(kept, other):
        raise CannotAnswer(f"{kept.label} and {other.label} do not contradict each other.")
    if not reason.strip():
        raise ReasonNeeded("Which of two stays takes a reason.", pointer="/reason")
    told = f"Against {other.label}: {reason.strip()}"
    if kept.standing == Standing.LIVE.value and other.standing == Standing.HELD.value:
        told = f"{kept.label} stays: {reason.strip()}"
        said = Said(Answer.BURY, against.content_digest, reason=told)
        return decide_record(record_id=other.record_id, actor=actor, said=said)
    said = Said(Answer.PROMOTE, keep.content_digest, reason=told)
    return decide_record(record_id=kept.record_id, actor=actor, said=said)


def contradict(one: Record, other: Record) -> bool:
    """Both under one key of one project, saying different things, and neither out of the question."""
    over = {Standing.BURIED.value, Standing.REFUSED.value}
    return (
        bool(one.key)
        and (one.project_id, one.key, one.kind) == (other.project_id, other.key, other.kind)
        and fold(one.object) != fold(other.object)
        and not {one.standing, other.standing} & over
    )
