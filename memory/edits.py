"""An edited record: what a person changed, and everything else as it was."""

from memory.domain.terms import ItemType, Kind
from memory.facts import make_fact
from memory.models import Record
from memory.records import Proposal
from memory.rules import make_rule


def make_edit(
    record: Record, *, text: str = "", object: str = "", expression: str = ""
) -> Proposal:
    """Empty fields stay as they are. Raises BadRecord, or BadRule, like a proposal."""
    item_type = ItemType(record.item_type)
    # A global record is edited within the team, and goes global by the promotion.
    scope = "team" if record.scope == "global" else record.scope
    if record.kind == Kind.RULE.value:
        return make_rule(
            expression=expression or record.expression,
            text=text or record.text,
            scope=scope,
            item_type=item_type,
        )
    return make_fact(
        text=text or record.text,
        scope=scope,
        subject=record.subject,
        predicate=record.predicate,
        object=object or record.object,
        item_type=item_type,
        entities=record.entities,
        relations=record.relations,
        source=record.source,
    )
