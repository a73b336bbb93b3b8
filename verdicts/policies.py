"""A project's gate policy: which graders are required, which suite each, what may merge, and what
a loop of fixing and grading is allowed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, FilteredRelation, Q, Subquery

from verdicts.domain.corroboration import Families
from verdicts.domain.progress import (
    LIMIT_BOUNDS,
    MAX_FAMILIES,
    MAX_FAMILY_WORDS,
    MAX_RUNG_NAME,
    MAX_RUNGS,
    Limits,
)
from verdicts.domain.terms import Grader
from verdicts.models import Policy, Suite
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Unprocessable
from verel_site.kit.strict_json import escape_pointer

MAX_WINDOW: Final = 99

# The digests of the suites that a receipt may name.
type Suites = Mapping[Grader, frozenset[str]]


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


def read_rules(project_id: UUID) -> tuple[Policy, Suites]:
    """The present policy and the frozen suites, in one query. Version 0 requires nothing, and
    comes without suites."""
    newest = Policy.objects.filter(project_id=project_id).order_by("-version").values("pk")[:1]
    frozen = Q(project__suites__frozen_at__isnull=False, project__suites__retired_at=None)
    rows = list(
        Policy.objects.filter(pk=Subquery(newest)).annotate(
            suite=FilteredRelation("project__suites", condition=frozen),
            suite_grader=F("suite__grader"),
            suite_digest=F("suite__digest"),
        )
    )
    if not rows:
        return default_policy(project_id), {}
    told = ((row.suite_grader, row.suite_digest) for row in rows)
    return rows[0], _by_grader((grader, digest) for grader, digest in told if grader)


def read_suites(project_id: UUID) -> Suites:
    rows = Suite.objects.frozen().filter(project_id=project_id)
    return _by_grader(rows.values_list("grader", "digest"))


def _by_grader(told: Iterable[tuple[str, str]]) -> Suites:
    frozen: dict[Grader, set[str]] = {}
    for grader, digest in told:
        frozen.setdefault(Grader(grader), set()).add(digest)
    return {grader: frozenset(digests) for grader, digests in frozen.items()}


@transaction.atomic
def change_policy(
    *,
    project_id: UUID,
    actor: Actor,
    required: Sequence[str | Mapping[str, Any]],
    receipts_required: bool = True,
    warn_may_merge: bool = True,
    advisory_window: int = 1,
    limits: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Policy:
    """The next version. Decisions made under an older one keep its number.

    `required` has grader names, or `{"grader": name, "suite": hex digest or null}`: a named suite
    must be frozen for that grader, and is then the only one that counts. `limits` names some of
    the fields of `progress.Limits`; None leaves those that hold.
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
        limits=before.limits if limits is None else limits,
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
        limits=before.limits,
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
    limits: Mapping[str, Any] | None = None,
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
        limits=limits_json(read_limits(limits or {})),
    )


def limits_of(policy: Policy) -> Limits:
    """What a loop is allowed under a policy, one of an older release included."""
    return read_limits(policy.limits)


def limits_json(limits: Limits) -> dict[str, Any]:
    return {
        **asdict(limits),
        "ladder": list(limits.ladder),
        "families": {name: list(words) for name, words in limits.families},
    }


def read_limits(told: Mapping[str, Any]) -> Limits:
    """Limits of which those that are not named are the default. Raises BadPolicy."""
    known = {field.name for field in fields(Limits)}
    for name, value in told.items():
        at = f"/limits/{name}"
        if name not in known:
            raise BadPolicy(f"There is no limit {name!r}.", pointer="/limits")
        if name in LIMIT_BOUNDS:
            _check_bound(name, value, at)
    rest = {name: value for name, value in told.items() if name in LIMIT_BOUNDS}
    ladder = _read_ladder(told["ladder"]) if "ladder" in told else Limits().ladder
    families = _read_families(told["families"]) if "families" in told else Limits().families
    return Limits(**rest, ladder=ladder, families=families)


def _check_bound(name: str, value: object, at: str) -> None:
    low, high = LIMIT_BOUNDS[name]
    kinds = (int, float) if name == "epsilon" else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise BadPolicy(f"{name} is a number from {low:g} to {high:g}.", pointer=at)


def _read_ladder(value: object) -> tuple[str, ...]:
    at = "/limits/ladder"
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_RUNGS:
        raise BadPolicy(f"A ladder has 1 to {MAX_RUNGS} models.", pointer=at)
    for place, name in enumerate(value):
        if not isinstance(name, str) or not 1 <= len(name.strip()) <= MAX_RUNG_NAME:
            text = f"A model has a name of at most {MAX_RUNG_NAME} letters."
            raise BadPolicy(text, pointer=f"{at}/{place}")
    names = tuple(name.strip() for name in value)
    if len({name.lower() for name in names}) < len(names):
        raise BadPolicy("A model stands on the ladder once.", pointer=at)
    return names


def _read_families(value: object) -> Families:
    """In the order of names, so that two policies that say the same are equal."""
    at = "/limits/families"
    if not isinstance(value, Mapping) or len(value) > MAX_FAMILIES:
        raise BadPolicy(f"At most {MAX_FAMILIES} families by name.", pointer=at)
    families = []
    for name, words in value.items():
        if not isinstance(name, str) or not 1 <= len(name.strip()) <= MAX_RUNG_NAME:
            raise BadPolicy(f"A family has a name of at most {MAX_RUNG_NAME} letters.", pointer=at)
        here = f"{at}/{escape_pointer(name)}"
        if not isinstance(words, list | tuple) or not 1 <= len(words) <= MAX_FAMILY_WORDS:
            text = f"A family has 1 to {MAX_FAMILY_WORDS} words that its models' names hold."
            raise BadPolicy(text, pointer=here)
        for place, word in enumerate(words):
            if not isinstance(word, str) or not 1 <= len(word.strip()) <= MAX_RUNG_NAME:
                text = f"A word of at most {MAX_RUNG_NAME} letters."
                raise BadPolicy(text, pointer=f"{here}/{place}")
        families.append((name.strip(), tuple(word.strip().lower() for word in words)))
    if len({name.lower() for name, _ in families}) < len(families):
        raise BadPolicy("A family is named once.", pointer=at)
    return tuple(sorted(families))


def policy_json(policy: Policy) -> dict[str, Any]:
    return {
        "version": policy.version,
        "required": policy.required,
        "receipts_required": policy.receipts_required,
        "warn_may_merge": policy.warn_may_merge,
        "advisory_window": policy.advisory_window,
        "limits": limits_json(limits_of(policy)),
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
