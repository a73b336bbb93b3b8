"""A branch's progress, read anew from its stored reports each time it is asked for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from branches.models import Branch
from verdicts.admission import report_facts
from verdicts.counting import read_counting
from verdicts.domain.progress import (
    Advice,
    Iteration,
    Limits,
    advise,
    find_proofs,
    name_rung,
)
from verdicts.models import Failure, Policy, Report
from verdicts.policies import current_policy, limits_json, limits_of
from verel_site.access.actors import Actor


@dataclass(frozen=True, slots=True)
class Progress:
    """The advice, and what it was given under. `heads` are the graded ones, oldest first."""

    branch: Branch
    advice: Advice
    limits: Limits
    policy_version: int
    heads: tuple[bytes, ...]

    def as_json(self) -> dict[str, Any]:
        """The answer of `GET branches/{b}/progress`."""
        return {
            "branch": str(self.branch.pk),
            **asdict(self.advice),
            "limits": limits_json(self.limits),
            "policy_version": self.policy_version,
        }


def read_progress(*, actor: Actor, branch: Branch, policy: Policy | None = None) -> Progress:
    """What a loop on this branch should do next: a constant number of queries.

    An iteration is one graded head, in the order in which heads were first graded. The cost is
    what reports told so far. The model is the rung of whatever wrote the head; where no message
    names it, of the run's own model. `policy` is the project's present one unless it is named.
    """
    policy = policy or current_policy(project_id=branch.project_id)
    rows = Report.objects.visible_to(actor).filter(branch=branch).order_by("order")
    told = list(rows.select_related("runner").prefetch_related("issues"))
    return weigh_progress(branch=branch, told=told, policy=policy)


def weigh_progress(*, branch: Branch, told: Sequence[Report], policy: Policy) -> Progress:
    """`told` are all reports of the branch in order, with runners and issues."""
    limits = limits_of(policy)
    history = _iterate(told, branch.run.model, limits.ladder)
    maybe = {proof.fingerprint for proof in find_proofs(history, limits)}
    counting = read_counting(policy=policy, fingerprints=maybe, reports=told)
    return Progress(
        branch=branch,
        advice=advise(history, limits, _held(branch), counting),
        limits=limits,
        policy_version=policy.version,
        heads=tuple(bytes.fromhex(one.head) for one in history),
    )


def _held(branch: Branch) -> frozenset[str]:
    held = Failure.objects.held().filter(project_id=branch.project_id)
    return frozenset(held.values_list("fingerprint", flat=True))


def _iterate(told: Sequence[Report], run_model: str, ladder: Sequence[str]) -> list[Iteration]:
    heads: dict[bytes, list[Report]] = {}
    for row in told:
        heads.setdefault(bytes(row.head_digest), []).append(row)
    history, cost, known = [], 0.0, False
    for digest, reports in heads.items():
        costs = [float(row.cost_usd) for row in reports if row.cost_usd is not None]
        cost, known = cost + sum(costs), known or bool(costs)
        history.append(
            Iteration(
                head=digest.hex(),
                reports=tuple(report_facts(row) for row in reports),
                model=name_rung(reports[0].author_model or run_model, ladder),
                cost=cost if known else None,
            )
        )
    return history
