"""Facts: one sentence, and where it has them a subject, a predicate and an object."""

from collections.abc import Sequence
from typing import Any, Final

from memory.domain.content import BadKey, make_key
from memory.domain.terms import ItemType, Kind
from memory.evidence import Cited
from memory.records import BadRecord, Proposal

MAX_TEXT: Final = 2_000
MAX_OBJECT: Final = 1_000


def make_fact(
    *,
    text: str,
    scope: str = "team",
    subject: str = "",
    predicate: str = "",
    object: str = "",
    item_type: ItemType = ItemType.API_CONTRACT,
    entities: Sequence[str] = (),
    relations: Sequence[Any] = (),
    source: str = "",
    entailment: float | None = None,
    evidence: Sequence[Cited] = (),
) -> Proposal:
    """A fact as it may be proposed. `source` is who observed it, such as "vision"; `entailment` how
    far its own evidence supports it, from 0 to 1. Raises BadRecord for half a key, or an object
    without one."""
    said = " ".join(text.split())
    if not said or len(said) > MAX_TEXT:
        raise BadRecord(f"A fact says something, in {MAX_TEXT:,} characters.", pointer="/text")
    try:
        key = make_key(subject, predicate)
    except BadKey as error:
        raise BadRecord(str(error), pointer="/subject") from error
    if bool(key) != bool(object.strip()) or len(object) > MAX_OBJECT:
        raise BadRecord("Subject, predicate and object stand together.", pointer="/object")
    parts = (
        ("text", said),
        ("subject", subject.strip()),
        ("predicate", predicate.strip()),
        ("object", object.strip()),
        ("item_type", item_type.value),
    )
    return Proposal(
        kind=Kind.FACT,
        scope=scope,
        text=said,
        parts=parts,
        key=key,
        subject=subject.strip(),
        predicate=predicate.strip(),
        object=object.strip(),
        item_type=item_type,
        entities=tuple(entities),
        relations=tuple(relations),
        source=source,
        entailment=entailment,
        cited=tuple(evidence),
    )
