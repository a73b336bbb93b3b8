"""Consolidation of many episodes: its time, which grows with their number alone, and its memory,
which does not.

The limit of the time is reading each episode once. A third of the episodes failed, with faults that
grow in number too; each run has one event that its episodes cite.
"""

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from branches.models import Branch, Event
from memory.consolidation.jobs import drive, order_consolidation, take_consolidation
from memory.domain.terms import Outcome
from memory.models import Episode
from memory.steps import sign_fault
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.bench.figures import AtMost, Case, Measure
from verel_site.bench.load import NOON, make_ground, make_trunk

RUNS: Final = 100
CHUNK: Final = 2_000
# Of so many episodes one shows a fault that no other one has shown.
EACH_FAULT: Final = 400
MEGABYTES: Final = 64
FAILING: Final = 0.3
GOALS: Final = ("Cap the paediatric bolus", "Convert the rate table", "Silence the alarm")
STATUS: Final = Path("/proc/self/status")
PEAK: Final = Path("/proc/self/clear_refs")


def measure_consolidation(size: int) -> Iterator[Measure]:
    project = make_ground("consolidation").project
    _fill(project, size)
    raw = _read_each(project)
    job = take_consolidation(job_id=order_consolidation(project_id=project.pk, actor=SYSTEM).pk)
    assert job is not None
    resting = _forget_peak()
    began = time.perf_counter()
    done = drive(job, lambda now: None)
    taken = time.perf_counter() - began
    assert done.count("episodes") == size, done.counts
    yield Measure("memory.consolidation", taken, "s", raw, growth=AtMost(11))
    kept = done.count("salient") / size
    yield Measure("memory.consolidation.kept", kept, "of 1", 1)
    yield Measure("memory.consolidation.written", max(1, done.count("written")), "records", size)
    grown = max(0.1, _megabytes("VmHWM") - resting)
    yield Measure("memory.consolidation.grown", grown, "MB", MEGABYTES, AtMost(1))


def _fill(project: Project, size: int) -> None:
    dice = random.Random(11)  # noqa: S311 - texts of a benchmark
    trunks = [make_trunk(project) for _ in range(RUNS)]
    branches = [trunk.pk for trunk in trunks]
    rows = Event.objects.filter(branch__in=branches, seq=1)
    events = dict(rows.values_list("branch_id", "event_id"))
    first = max(rows.values_list("position", flat=True)) + 1
    for start in range(0, size, CHUNK):
        Episode.objects.bulk_create(
            _episode(trunks[number % RUNS], events, first + number, number, dice)
            for number in range(start, min(start + CHUNK, size))
        )


def _episode(
    trunk: Branch, events: dict[UUID, UUID], position: int, number: int, dice: random.Random
) -> Episode:
    failed = dice.random() < FAILING
    fault = int(dice.random() ** 2 * (number // EACH_FAULT + 1))
    says = (
        f"FAILED test_{_letters(fault)}: the dose is {number} mg" if failed else f"{number} passed"
    )
    return Episode(
        project_id=trunk.project_id,
        position=position,
        event_id=events[trunk.pk],
        run_id=trunk.run_id,
        branch_id=trunk.pk,
        seq=2 + number // RUNS,
        agent="bench",
        goal=GOALS[number % len(GOALS)],
        tool="pytest",
        signature=sign_fault(says) if failed else "",
        says=says,
        outcome=(Outcome.REGRESSED if failed else Outcome.PROGRESSED).value,
        surprise=dice.random() * 0.25 if failed else 0.0,
        tokens=dice.randrange(2_000),
        at=NOON + timedelta(seconds=number),
    )


def _letters(number: int) -> str:
    """A name without a number in it, since numbers do not tell faults apart."""
    text = ""
    while True:
        number, letter = divmod(number, 26)
        text += chr(97 + letter)
        if not number:
            return text


def _read_each(project: Project) -> float:
    began = time.perf_counter()
    rows = Episode.objects.filter(project=project).order_by("position")
    for _ in rows.values_list("position", "goal", "says", "signature").iterator(chunk_size=CHUNK):
        pass
    return time.perf_counter() - began


def _forget_peak() -> float:
    """What the process holds now, in MB; its peak is counted from here on."""
    PEAK.write_text("5")
    return _megabytes("VmRSS")


def _megabytes(name: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


CASES: Final = (
    Case("memory.consolidation", measure_consolidation, sizes=(10_000, 100_000), tiny=(200, 400)),
)
