"""Starting a run: its row, its trunk, and the first event, in one transaction."""

from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Max

from branches.domain import terms
from branches.journal import server_draft, write_events
from branches.models import Branch, Run
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.kit.refusals import Refusal

MAX_NAME = 120


class RunTaken(Refusal):
    code = "run_taken"
    title = "This run id is taken"


@transaction.atomic
def start_run(
    *,
    project_id: UUID,
    actor: Actor,
    goal: str,
    run_id: UUID | None = None,
    spec: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    agent: str = "",
    model: str = "",
    origin: str = "",
    right: Right = Right.WRITE_EVENTS,
) -> tuple[Run, Branch]:
    """The run and its trunk. `spec` may carry `tools` (OpenAI tool objects) for the context."""
    actor.demand(project_id, right)
    # Two starts at once would take the same number.
    lock_project(project_id=project_id)
    if run_id is not None and Run.objects.filter(pk=run_id).exists():
        raise RunTaken(f"There is a run {run_id} already.", pointer="/run")
    spec = spec or {}
    last = Run.objects.filter(project_id=project_id).aggregate(last=Max("number"))["last"] or 0
    run = Run.objects.create(
        id=run_id or uuid4(),
        project_id=project_id,
        number=last + 1,
        goal=goal,
        agent=(agent or str(spec.get("agent") or ""))[:MAX_NAME],
        model=(model or str(spec.get("model") or ""))[:MAX_NAME],
        spec=spec,
        metadata=metadata or {},
        origin=origin,
    )
    trunk = Branch.objects.create(project_id=project_id, run=run, number=0, name="main")
    tools = spec.get("tools")
    payload = {"goal": goal, **({"tools": tools} if isinstance(tools, list) else {})}
    write_events(branch=trunk, drafts=[server_draft(terms.RUN_STARTED, payload)])
    return run, trunk
