"""Design rules: a condition, and what it asks for; read by `domain.expression`, never executed."""

import hashlib
from collections.abc import Sequence
from typing import Final

from memory.domain.content import fold
from memory.domain.expression import BadExpression, parse_rule, write_condition, write_rule
from memory.domain.terms import ItemType, Kind
from memory.evidence import Cited
from memory.records import BadRecord, Proposal

MAX_TEXT: Final = 2_000


class BadRule(BadRecord):
    code = "bad_rule"
    title = "The rule cannot be read"


def make_rule(
    *,
    expression: str,
    scope: str = "team",
    text: str = "",
    item_type: ItemType = ItemType.UI_FIX,
    source: str = "",
    entailment: float | None = None,
    evidence: Sequence[Cited] = (),
) -> Proposal:
    """A rule as it may be proposed; two that ask for different things under one condition contradict
    each other. Raises BadRule with the place of the fault."""
    try:
        rule = parse_rule(expression)
    except BadExpression as error:
        raise BadRule(
            f"{error.says} Line {error.line}, column {error.column}.",
            pointer="/expression",
            offset=error.at,
            line=error.line,
            column=error.column,
        ) from error
    written = write_rule(rule)
    said = " ".join(text.split()) or written
    if len(said) > MAX_TEXT:
        raise BadRecord(f"A rule says it in {MAX_TEXT:,} characters.", pointer="/text")
    # What is asked for, and when, is the key; whether it is required or forbidden is the object.
    about = f"{write_condition(rule.condition)} => {fold(rule.subject)}"
    return Proposal(
        kind=Kind.RULE,
        scope=scope,
        text=said,
        parts=(("text", said), ("expression", written)),
        key=f"rule|{hashlib.sha256(about.encode()).hexdigest()[:32]}",
        object=rule.demand,
        item_type=item_type,
        expression=written,
        source=source,
        entailment=entailment,
        cited=tuple(evidence),
    )
