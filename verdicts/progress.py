"""A branch's progress, read anew from its stored reports each time it is asked for."""

from branches.models import Branch
from verdicts.admission import report_facts
from verdicts.domain.progress import Advice, Iteration, Limits, advise
from verdicts.models import Report
from verel_site.access.actors import Actor


def read_progress(*, actor: Actor, branch: Branch, limits: Limits | None = None) -> Advice:
    """What a loop on this branch should do next: a constant number of queries.

    An iteration is one graded head, in the order in which heads were first graded. The cost is
    what reports told so far. The model is the rung that the run's own model names.
    """
    limits = limits or Limits()
    rows = Report.objects.visible_to(actor).filter(branch=branch).order_by("order")
    heads: dict[bytes, list[Report]] = {}
    for row in rows.select_related("runner").prefetch_related("issues"):
        heads.setdefault(bytes(row.head_digest), []).append(row)
    told = branch.run.model.lower()
    model = next((name for name in limits.ladder if name.lower() in told), "")
    history, cost, known = [], 0.0, False
    for digest, reports in heads.items():
        costs = [float(row.cost_usd) for row in reports if row.cost_usd is not None]
        cost, known = cost + sum(costs), known or bool(costs)
        history.append(
            Iteration(
                head=digest.hex(),
                reports=tuple(report_facts(row) for row in reports),
                model=model,
                cost=cost if known else None,
            )
        )
    return advise(history, limits)
