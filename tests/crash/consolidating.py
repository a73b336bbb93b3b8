"""Consolidations that are killed, each in a child of this process, and then gone on with.

Prints one JSON object: what came of the one that nobody killed, and of each that was.
"""

import json
import os
import signal
import sys
from collections import Counter
from typing import Any, Final

import django
from django.db import connection, connections

django.setup()

from memory.consolidation.jobs import drive, take_consolidation  # noqa: E402
from memory.consolidation_models import Candidate, Consolidation, SalientEpisode  # noqa: E402
from memory.domain.consolidation import Fate, Step  # noqa: E402
from memory.models import Evidence, PromotionRequest, Record  # noqa: E402
from tests.make import make_project  # noqa: E402
from tests.memory.steps import BATCH, WINDOWS, order, take, tell_runs  # noqa: E402
from verel_site.access.models import Project  # noqa: E402
from verel_site.audit.models import AuditEntry  # noqa: E402

# Killed first after a window was committed, then within the next one's transaction, when all of it
# is written and nothing committed.
MOMENTS: Final = ("between", "within")


def main() -> None:
    make_small_windows()
    told = {"whole": tell(finish(make_story()))}
    for step in Step:
        job = make_story()
        for moment in MOMENTS:
            kill_at(job, step, moment)
            outlive(job)
        told[step.value] = tell(finish(job))
    json.dump(told, sys.stdout)


def make_small_windows() -> None:
    for module, name in WINDOWS:
        setattr(module, name, 2)
    setattr(*BATCH, 3)
    setattr(*WINDOWS[-1], 1)


def make_story() -> Consolidation:
    project = make_project()
    tell_runs(project)
    return order(project)


def kill_at(job: Consolidation, step: Step, moment: str) -> None:
    """Works in a child until it ends itself at that moment by SIGKILL."""
    # What is shared by a fork is closed by both, and so nobody's.
    connections.close_all()
    getattr(connection, "close_pool", lambda: None)()
    child = os.fork()
    if child == 0:
        work_until(job, step, moment)
        os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{step} {moment}: it ended by itself"
    assert os.WTERMSIG(status) == signal.SIGKILL


def work_until(job: Consolidation, step: Step, moment: str) -> None:
    def is_there(now: Consolidation) -> bool:
        return now.step == step.value and now.done > 0

    def report(now: Consolidation) -> None:
        if moment == "between" and is_there(now):
            os.kill(os.getpid(), signal.SIGKILL)

    save = Consolidation.save

    def save_and_die(now: Consolidation, **more: Any) -> None:
        save(now, **more)
        if moment == "within" and is_there(now):
            os.kill(os.getpid(), signal.SIGKILL)

    Consolidation.save = save_and_die  # type: ignore[method-assign,assignment]  # in the child alone
    drive(take(job), report)


def outlive(job: Consolidation) -> None:
    """Nobody else has it while the dead one's lease runs; it runs out here at once."""
    assert Consolidation.objects.get(pk=job.pk).is_open
    assert take_consolidation(job_id=job.pk) is None
    Consolidation.objects.filter(pk=job.pk).update(held_until=None)


def finish(job: Consolidation) -> Consolidation:
    return drive(take(job), lambda now: None)


def tell(job: Consolidation) -> dict[str, Any]:
    project = Project.objects.get(pk=job.project_id)
    records = Record.objects.filter(project=project).order_by("position")
    rows = Candidate.objects.filter(consolidation=job)
    written = set(rows.filter(fate=Fate.WRITTEN.value).values_list("record_id", flat=True))
    mine = {record.pk for record in records if record.by_id == str(job.pk)}
    return {
        "state": job.state,
        "counts": job.counts,
        "records": [
            [row.text, row.kind, row.standing, row.trust, row.support_count, row.confidence]
            for row in records
        ],
        "evidence": sorted(
            Evidence.objects.filter(project=project).values_list("quote", flat=True)
        ),
        "requests": PromotionRequest.objects.filter(project=project).count(),
        "acts": Counter(
            AuditEntry.objects.filter(project=project).values_list("action", flat=True)
        ),
        "orphans": [
            # Each is kept once, and stays with the consolidation.
            SalientEpisode.objects.filter(consolidation=job).count() - job.count("salient"),
            rows.filter(fate__in=[Fate.READY, Fate.ENTAILED, Fate.EXTRACTED]).count(),
            len(mine - written),
        ],
    }


if __name__ == "__main__":
    main()
