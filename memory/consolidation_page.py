"""The page of a project's consolidations: all of them, and one with its funnel, live."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from memory.consolidation_models import Candidate, Consolidation
from memory.domain.consolidation import Fate, JobState, Step
from memory.funnel_chart import draw_funnel
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.kit.cursors import read_int
from verel_site.kit.refusals import NotFound

SHOWN: Final = 40
SHOWN_CLAIMS: Final = 60
FUNNEL: Final = ("episodes", "salient", "candidates", "entailed", "merged", "written")
STEP_WORDS: Final = {
    Step.SALIENCE: "Salience",
    Step.EXTRACT: "Extraction",
    Step.INDUCE: "Induction",
    Step.ENTAIL: "Entailment",
    Step.MERGE: "Merging",
    Step.CONFLICT: "Conflicts",
    Step.WRITE: "Writing",
    Step.DECAY: "Decay",
}
TRIGGER_WORDS: Final = {
    "hand": "by hand",
    "session": "a session ended",
    "episodes": "enough new episodes",
    "schedule": "the day's schedule",
}
GLYPHS: Final = {
    JobState.WAITING.value: "pending",
    JobState.WORKING.value: "pending",
    JobState.DONE.value: "pass",
    JobState.CANCELLED.value: "skip",
    JobState.FAILED.value: "fail",
}
# How loud a claim's end is: what was refused or dropped first wants to be read.
BECAME_WORDS: Final = {
    "new": "new record",
    "support": "support for one that says it already",
    "held": "held for a person",
    "suppressed": "suppressed by one that stands",
}


@dataclass(frozen=True, slots=True)
class JobLine:
    number: int
    href: str
    state: str
    glyph: str
    note: str
    at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class StepLine:
    word: str
    state: str
    told: str


@dataclass(frozen=True, slots=True)
class ClaimLine:
    kind: str
    text: str
    episodes: int
    runs: int
    score: float | None
    scorer: str
    precise: bool
    fate: str
    told: str
    label: str
    href: str


@dataclass(frozen=True)
class Shown:
    """One consolidation, as of now."""

    job: Consolidation
    glyph: str
    trigger: str
    funnel: SafeString
    steps: tuple[StepLine, ...]
    drop: float | None
    took: timedelta | None
    claims: tuple[ClaimLine, ...]
    more_claims: int
    href: str

    @property
    def is_open(self) -> bool:
        return self.job.is_open

    @property
    def seconds(self) -> float:
        return self.took.total_seconds() if self.took else 0.0


@dataclass(frozen=True)
class ConsolidationPage:
    project: Project
    jobs: tuple[JobLine, ...]
    older_href: str
    shown: Shown | None
    may_order: bool
    is_busy: bool
    fault: str = ""

    screen: str = "memory"
    nav: str = "memory"
    tab: str = "consolidation"

    @property
    def title(self) -> str:
        return f"Consolidation {self.shown.job.number}" if self.shown else "Consolidation"


def read_consolidation_page(
    *,
    actor: Actor,
    project: Project,
    number: int | None = None,
    older: str = "",
    fault: str = "",
) -> ConsolidationPage:
    """The newest ones, and the one that is named, or the newest. A constant number of queries."""
    actor.demand(project.pk, Right.READ)
    mine = Consolidation.objects.visible_to(actor).filter(project=project).order_by("-number")
    before = read_int({"older": older}, "older", 0, low=0, high=2**31)
    rows = list((mine.filter(number__lt=before) if before else mine)[: SHOWN + 1])
    chosen = _choose(rows, mine.filter(number=number).first() if number else None, number)
    root = reverse("memory-consolidations", args=[project.slug])
    return ConsolidationPage(
        project=project,
        jobs=tuple(_line(row, project.slug, chosen) for row in rows[:SHOWN]),
        older_href=f"{root}?older={rows[SHOWN - 1].number}" if len(rows) > SHOWN else "",
        shown=_show(chosen, project.slug) if chosen else None,
        may_order=actor.may(project.pk, Right.CURATE),
        is_busy=any(row.is_open for row in rows),
        fault=fault,
    )


def _choose(
    rows: Sequence[Consolidation], named: Consolidation | None, number: int | None
) -> Consolidation | None:
    if number is None:
        return rows[0] if rows else None
    if named is None:
        raise NotFound(f"There is no consolidation {number} in this project.")
    return named


def _line(row: Consolidation, slug: str, chosen: Consolidation | None) -> JobLine:
    told = f"{_many(row.count('episodes'), 'episode')}, {row.count('written'):,} written"
    return JobLine(
        number=row.number,
        href=reverse("memory-consolidation", args=[slug, row.number]),
        state=row.state,
        glyph=GLYPHS[row.state],
        note=f"{STEP_WORDS[Step(row.step)]}, {row.done:,} of {row.total:,}"
        if row.is_open
        else told,
        at=row.created_at,
        current=chosen is not None and row.pk == chosen.pk,
    )


def _show(job: Consolidation, slug: str) -> Shown:
    episodes = job.count("episodes")
    end = job.closed_at or timezone.now()
    claims = Candidate.objects.filter(consolidation=job).select_related("record")
    heads = claims.filter(fate__in=[Fate.WRITTEN, Fate.REFUSED, Fate.DROPPED])
    listed = list(heads.order_by("-fate", "pk")[:SHOWN_CLAIMS])
    return Shown(
        job=job,
        glyph=GLYPHS[job.state],
        trigger=TRIGGER_WORDS[job.trigger],
        funnel=draw_funnel([(name, job.count(name)) for name in FUNNEL]),
        steps=tuple(_step(job, step) for step in Step),
        drop=1 - job.count("salient") / episodes if episodes else None,
        took=end - job.started_at if job.started_at else None,
        claims=tuple(_claim(row, slug) for row in listed),
        more_claims=max(0, _ended(job) - len(listed)),
        href=reverse("memory-consolidation", args=[slug, job.number]),
    )


def _ended(job: Consolidation) -> int:
    return sum(job.count(name) for name in ("written", "refused", "dropped"))


def _step(job: Consolidation, step: Step) -> StepLine:
    steps, at = list(Step), list(Step).index(Step(job.step))
    place = steps.index(step)
    if job.state == JobState.DONE.value or place < at:
        return StepLine(STEP_WORDS[step], "done", _tell(job, step))
    if place > at or job.state == JobState.WAITING.value:
        return StepLine(STEP_WORDS[step], "ahead", "")
    return StepLine(STEP_WORDS[step], "now", f"{job.done:,} of {job.total:,}")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _tell(job: Consolidation, step: Step) -> str:
    count = job.count
    return {
        Step.SALIENCE: f"{count('salient'):,} of {count('episodes'):,} kept, {count('hard'):,} for surprise",
        Step.EXTRACT: f"{_many(count('candidates'), 'claim')}, with the rules",
        Step.INDUCE: "issues of one kind, component and width",
        Step.ENTAIL: f"{count('entailed'):,} borne out, {count('precise'):,} precisely, {count('dropped'):,} dropped",
        Step.MERGE: f"{_many(count('merged'), 'claim')} left, each saying another thing",
        Step.CONFLICT: f"{count('conflicts'):,} under a disputed key",
        Step.WRITE: (
            f"{count('new'):,} new, {count('support'):,} support, {count('held'):,} held, "
            f"{count('suppressed'):,} suppressed, {count('refused'):,} refused"
        ),
        Step.DECAY: f"{count('faded'):,} looked at, {count('pruned'):,} buried",
    }[step]


def _claim(row: Candidate, slug: str) -> ClaimLine:
    record = row.record
    return ClaimLine(
        kind=row.kind,
        text=row.text,
        episodes=row.episodes,
        runs=len({one["run"] for one in row.sources}),
        score=row.score,
        scorer=row.scorer,
        precise=row.precise,
        fate=row.fate,
        told=BECAME_WORDS.get(row.became, "") or row.why,
        label=record.label if record else "",
        href=reverse("memory-record", args=[slug, record.number]) if record else "",
    )


def find_number(*, actor: Actor, project: Project, number: int) -> UUID:
    """The id of a project's consolidation of that number. Raises NotFound."""
    rows = Consolidation.objects.visible_to(actor).filter(project=project, number=number)
    found = rows.values_list("pk", flat=True).first()
    if found is None:
        raise NotFound(f"There is no consolidation {number} in this project.")
    return found
