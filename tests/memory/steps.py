"""Runs whose steps are worth remembering, for tests of what is made of them."""

from datetime import timedelta
from typing import Any, Final

from django.utils import timezone

from branches.journal import Draft
from branches.models import Branch
from memory.consolidation import extracting, gating, merging, weighing, writing
from memory.consolidation.jobs import advance, order_consolidation, take_consolidation
from memory.consolidation_models import Consolidation
from memory.domain.terms import ItemType
from memory.episodes import project_batch
from memory.models import Record
from tests.make import append, make_draft, make_run
from tests.memory.make import make_fact
from tests.verdicts.make import make_issue, push
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project

# The sizes of windows; that of salience is the batch of its percentile too.
BATCH: Final = (weighing, "WINDOW")
WINDOWS: Final = (
    (extracting, "EXTRACTED"),
    (extracting, "WINDOW"),
    (gating, "GATED"),
    (merging, "MERGED"),
    (merging, "WINDOW"),
    (writing, "WRITTEN"),
    (writing, "WINDOW"),
)
OVERFLOW: dict[str, Any] = {
    "kind": "overflow",
    "source": "dom",
    "message": "The data table overflows by 41 px",
    "locator": "table.doses",
    "detail": {"component": "data-table", "viewport": 375},
}


def call(number: int, **args: Any) -> Draft:
    payload = {"call_id": f"c{number}", "name": "pytest", "arguments": args or {"n": number}}
    return make_draft("data.tool.call", payload)


def result(number: int, text: str, *, bad: bool = False) -> Draft:
    return make_draft(
        "data.tool.result",
        {"call_id": f"c{number}", "name": "pytest", "content": text, "is_error": bad},
    )


def fail_once(
    project: Project, text: str, *, looks: bool = False, repo: str = "", agent: str = ""
) -> Branch:
    """A run with one failing step, which a test grader bears out; `looks` adds a table that the
    DOM grader found overflowing."""
    named = {"repo": repo, "agent": agent}
    spec = {name: value for name, value in named.items() if value}
    trunk = make_run(project, goal="Cap the dose", spec=spec)[1]
    append(trunk, call(1), result(1, text, bad=True))
    push(trunk, issues=[make_issue(message=text, locator="test_caps.py")])
    if looks:
        push(trunk, "dom", issues=[make_issue(**OVERFLOW)])
    append(trunk, call(2), result(2, "12 passed"))
    return trunk


def tell_runs(project: Project) -> None:
    """Three runs with one fault, two of them with one overflow too; a fourth with a fault of its
    own; something that faded long ago."""
    for number in range(3):
        fail_once(project, f"FAILED test_cap: 45 != {50 + number}", looks=number < 2)
    fail_once(project, "ERROR the pump does not answer")
    tip = make_fact(project, "Nurses call it the push", item_type=ItemType.COSMETIC_TIP)
    make_fact(project, "The push is green", item_type=ItemType.COSMETIC_TIP)
    long_ago = timezone.now() - timedelta(days=400)
    Record.objects.filter(pk=tip.pk).update(created_at=long_ago, asserted_at=long_ago)
    follow(project)


def follow(project: Project) -> None:
    while project_batch(project_id=project.pk):
        pass


def order(project: Project) -> Consolidation:
    return order_consolidation(project_id=project.pk, actor=SYSTEM)


def take(job: Consolidation) -> Consolidation:
    taken = take_consolidation(job_id=job.pk)
    assert taken is not None
    return taken


def consolidate(project: Project) -> Consolidation:
    follow(project)
    job = take(order(project))
    while job.is_open:
        job = advance(job)
    return job
