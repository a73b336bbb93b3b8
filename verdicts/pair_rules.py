"""The rules by which a project proposes pairs: versioned like the gate's policy, each change said."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from branches.models import Branch
from verdicts.domain.pairing import MAX_REVIEWERS, PairRule
from verdicts.models import PairCursor, PairRules
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Unprocessable

BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "sample_percent": (1, 100),
    "reviewers": (1, MAX_REVIEWERS),
    "overlap_percent": (0, 100),
}


class BadPairRules(Unprocessable):
    code = "bad_pair_rules"
    title = "The rules are not well-formed"


class PairReasonMissing(Unprocessable):
    code = "reason_missing"
    title = "A change of the rules needs a reason"


def current_rules(project_id: UUID) -> tuple[int, PairRule]:
    """The version that holds and what it says; version 0, with nothing proposed, before any."""
    row = PairRules.objects.filter(project_id=project_id).order_by("-version").first()
    return (row.version, rule_of(row)) if row else (0, PairRule())


def rule_of(row: PairRules) -> PairRule:
    return PairRule(**{field.name: getattr(row, field.name) for field in fields(PairRule)})


def check_rule(rule: PairRule) -> None:
    """Raises BadPairRules with a pointer."""
    for name, (low, high) in BOUNDS.items():
        value = getattr(rule, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            words = name.replace("_", " ")
            raise BadPairRules(f"{words} is from {low} to {high}.", pointer=f"/{name}")


@transaction.atomic
def change_pair_rules(
    *, project_id: UUID, actor: Actor, rule: PairRule, reason: str = ""
) -> PairRules:
    """The next version. Pairs that are proposed already stay; of finished branches only those count
    that finish from now on."""
    actor.demand(project_id, Right.ADMINISTER)
    check_rule(rule)
    if actor.kind == "person" and not reason.strip():
        raise PairReasonMissing("Say why they change.", pointer="/reason")
    lock_project(project_id=project_id)
    version, before = current_rules(project_id)
    row = PairRules.objects.create(
        project_id=project_id, version=version + 1, created_by=actor.name, **asdict(rule)
    )
    _move_cursor(project_id, before, rule)
    record_act(
        project_id=project_id,
        actor=actor,
        action="pairs.change_rules",
        subject=f"pair_rules:{row.version}",
        before=rules_json(version, before),
        after=rules_json(row.version, rule),
        reason=reason.strip(),
    )
    return row


def _move_cursor(project_id: UUID, before: PairRule, rule: PairRule) -> None:
    if not rule.active:
        PairCursor.objects.filter(project_id=project_id).delete()
    elif not before.active:
        last = Branch.objects.filter(project_id=project_id).aggregate(last=Max("head_position"))
        PairCursor.objects.update_or_create(
            project_id=project_id, defaults={"position": last["last"] or 0}
        )


def rules_json(version: int, rule: PairRule) -> dict[str, Any]:
    return {"version": version, **asdict(rule)}
