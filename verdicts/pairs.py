"""Pairs of heads that are put before people: one comparison each, whoever proposes it."""

import hashlib
from typing import Final
from uuid import UUID

from django.db import transaction

from branches.models import Branch
from verdicts.domain.pairing import Cause
from verdicts.models import Comparison
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.inbox.items import post_item
from verel_site.kit.refusals import NotFound, Unprocessable

COMPARISON: Final = "comparison"


class PairRefused(Unprocessable):
    code = "pair_refused"
    title = "These two cannot be compared"


@transaction.atomic
def open_comparison(
    *,
    left: UUID,
    right: UUID,
    actor: Actor,
    required: int = 1,
    cause: Cause = Cause.HAND,
    rules_version: int | None = None,
    about: str = "2 siblings",
) -> Comparison:
    """The comparison of two branches' present heads; the one that there is, if there is one.

    Which is given as left means nothing: sides are drawn for each reviewer. A new one waits in
    the inbox for `required` reviewers; `cause` and `rules_version` say who proposed it, and
    `about` what the inbox says of it beside the run.
    """
    found = {row.pk: row for row in Branch.objects.visible_to(actor).filter(pk__in={left, right})}
    for branch_id in (left, right):
        if branch_id not in found:
            raise NotFound(f"There is no branch {branch_id} that you may see.")
    first, second = (
        sorted(found.values(), key=lambda row: row.pk.bytes)
        if left != right
        else (
            found[left],
            found[left],
        )
    )
    actor.demand(first.project_id, Right.LABEL)
    if first.pk == second.pk or first.run_id != second.run_id:
        raise PairRefused("Compare two branches of one run.", pointer="/right")
    if bytes(first.head_digest) == bytes(second.head_digest):
        raise PairRefused("The two heads have the same content.", pointer="/right")
    comparison, made = Comparison.objects.get_or_create(
        first=first,
        second=second,
        first_digest=bytes(first.head_digest),
        second_digest=bytes(second.head_digest),
        defaults={
            "project_id": first.project_id,
            "run_id": first.run_id,
            "first_seq": first.head_seq,
            "second_seq": second.head_seq,
            "created_by": actor.name,
            "cause": cause.value,
            "rules_version": rules_version,
        },
    )
    if made:
        record_act(
            project_id=comparison.project_id,
            actor=actor,
            action="comparison.open",
            subject=f"comparison:{comparison.pk}",
            after={
                **heads_json(comparison),
                "cause": cause.value,
                **({"rules_version": rules_version} if rules_version is not None else {}),
            },
        )
        post_comparison(comparison, required=required, actor=actor, about=about)
    return comparison


def post_comparison(
    comparison: Comparison, *, required: int = 1, actor: Actor = SYSTEM, about: str = "2 siblings"
) -> None:
    """Puts the pair before people; again is no harm. The item tells nothing that is sealed."""
    pair = bytes(comparison.first_digest) + bytes(comparison.second_digest)
    post_item(
        project_id=comparison.project_id,
        kind=COMPARISON,
        subject_id=comparison.pk,
        subject_digest=hashlib.sha256(pair).digest(),
        title=comparison.run.goal,
        about=f"run {comparison.run.number}, {about}",
        required=required,
        actor=actor,
    )


def heads_json(comparison: Comparison) -> dict[str, str]:
    return {
        str(comparison.first_id): bytes(comparison.first_digest).hex(),
        str(comparison.second_id): bytes(comparison.second_digest).hex(),
    }
