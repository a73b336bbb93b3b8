"""A project's gate policy: which graders are required, which suite each, and what may merge."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from verdicts.domain.terms import Grader
from verdicts.models import Policy, Suite
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Unprocessable

MAX_WINDOW: Final = 99


class PolicyReasonMissing(Unprocessable):
    code = "reason_missing"
    title = "A change of the policy needs a reason"


class BadPolicy(Unprocessable):
    code = "bad_policy"
    title = "The policy is not well-formed"


def default_policy(project_id: UUID) -> Policy:
    """Version 0, never stored: nothing required, warnings merge, what nobody graded does not."""
    return Policy(project_id=project_id, version=0)


def current_policy(*, project_id: UUID) -> Policy:
    newest = Policy.objects.filter(project_id=project_id).order_by("-version").first()
    return newest or default_policy(project_id)


@transaction.atomic
def change_policy(
    *,
    project_id: UUID,
    actor: Actor,
    required: Sequence[str | Mapping[str, Any]],
    receipts_required: bool = True,
    warn_may_merge: bool = True,
    advisory_window: int = 1,
    reason: str = "",
) -> Policy:
    """The next version. Decisions made under an older one keep its number.

    `required` has grader names, or `{"grader": name, "suite": hex digest or null}`: a named suite
    must be frozen for that grader, and is then the only one that counts.
    """
    actor.demand(project_id, Right.ADMINISTER)
    if actor.kind == "person" and not reason.strip():
        raise PolicyReasonMissing("Say why it changes.", pointer="/reason")
    lock_project(project_id=project_id)
    before = current_policy(project_id=project_id)
    policy = draft_policy(
        project_id=project_id,
        required=required,
        receipts_required=receipts_required,
        warn_may_merge=warn_may_merge,
        advisory_window=advisory_window,
    )
    policy.version, policy.created_by = before.version + 1, actor.name
    policy.save(force_insert=True)
    record_act(
        project_id=project_id,
        actor=actor,
        action="policy.change",
        subject=f"policy:{policy.version}",
        before=policy_json(before),
        after=policy_json(policy),
        reason=reason,
    )
    return policy


def follow_suite(*, project_id: UUID, grader: str, old: str, new: str, reason: str) -> bool:
    """The next version, in which a rotated suite's digest takes the place of the one before it;
    False where the policy does not name that. Call inside the rotation, with the project locked.

    Nothing else of the policy is looked at: what a person wrote stays as it is.
    """
    before = current_policy(project_id=project_id)
    named = [(row["grader"], row.get("suite")) == (grader, old) for row in before.required]
    if not any(named):
        return False
    policy = Policy.objects.create(
        project_id=project_id,
        version=before.version + 1,
        required=[
            {**row, "suite": new} if its else row
            for row, its in zip(before.required, named, strict=True)
        ],
        receipts_required=before.receipts_required,
        warn_may_merge=before.warn_may_merge,
        advisory_window=before.advisory_window,
        created_by=SYSTEM.name,
    )
    record_act(
        project_id=project_id,
        actor=SYSTEM,
        action="policy.change",
        subject=f"policy:{policy.version}",
        before=policy_json(before),
        after=policy_json(policy),
        reason=reason,
    )
    return True


def draft_policy(
    *,
    project_id: UUID,
    required: Sequence[str | Mapping[str, Any]],
    receipts_required: bool = True,
    warn_may_merge: bool = True,
    advisory_window: int = 1,
) -> Policy:
    """A policy that was checked and is not stored: what a change would be. Raises BadPolicy."""
    if not 1 <= advisory_window <= MAX_WINDOW:
        raise BadPolicy(f"A window is from 1 to {MAX_WINDOW} runs.", pointer="/advisory_window")
    return Policy(
        project_id=project_id,
        required=_read_required(project_id, required),
        receipts_required=receipts_required,
        warn_may_merge=warn_may_merge,
        advisory_window=advisory_window,
    )


def policy_json(policy: Policy) -> dict[str, Any]:
    return {
        "version": policy.version,
        "required": policy.required,
        "receipts_required": policy.receipts_required,
        "warn_may_merge": policy.warn_may_merge,
        "advisory_window": policy.advisory_window,
    }


def _read_required(
    project_id: UUID, required: Sequence[str | Mapping[str, Any]]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for index, item in enumerate(required):
        at = f"/required/{index}"
        body = item if isinstance(item, Mapping) else {"grader": item}
        grader, suite = body.get("grader"), body.get("suite")
        if grader not in {known.value for known in Grader}:
            raise BadPolicy(f"There is no grader {grader!r}.", pointer=f"{at}/grader")
        if any(row["grader"] == grader for row in rows):
            raise BadPolicy(f"{grader} stands twice.", pointer=at)
        if suite is not None and not _is_frozen(project_id, str(grader), suite):
            raise BadPolicy(f"This is no frozen suite of {grader}.", pointer=f"{at}/suite")
        rows.append({"grader": str(grader), "suite": suite})
    return rows


def _is_frozen(project_id: UUID, grader: str, digest: object) -> bool:
    found = Suite.objects.frozen().filter(project_id=project_id, grader=grader)
    return isinstance(digest, str) and found.filter(digest=digest).exists()
