"""The page of a project's consolidations: all of them, and one with its funnel, live."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from memory.consolidation.jobs import MAX_ATTEMPTS
from memory.consolidation_models import Candidate, Consolidation
from memory.domain.consolidation import Fate, JobState, Step
from memory.funnel_chart import draw_funnel
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.kit.cursors import read_int
from verel_site.kit.refusals import BadInput, NotFound

SHOWN: Final = 40
ENDS: Final = (Fate.WRITTEN, Fate.REFUSED, Fate.DROPPED)
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
# What a claim came to, as a glyph and a word.
END_WORDS: Final = {
    "new": ("pass", "Written"),
    "support": ("pass", "Support"),
    "held": ("warn", "Held"),
    "suppressed": ("skip", "Suppressed"),
    Fate.REFUSED.value: ("fail", "Refused"),
    Fate.DROPPED.value: ("skip", "Dropped"),
}
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
    glyph: str
    word: str
    told: str
    label: str
    href: str


@dataclass(frozen=True, slots=True)
class ClaimTab:
    """Claims of one end: how many, and where they are listed."""

    fate: str
    count: int
    href: str
    current: bool


@dataclass(frozen=True)
class Shown:
    """One consolidation, as of now, with a part of the claims of one end. `here` is its address
    with that part."""

    job: Consolidation
    glyph: str
    trigger: str
    funnel: SafeString
    steps: tuple[StepLine, ...]
    drop: float | None
    took: timedelta | None
    tabs: tuple[ClaimTab, ...]
    claims: tuple[ClaimLine, ...]
    more_href: str
    href: str
    here: str
    told: str
    retry_in: int
    tries: int = MAX_ATTEMPTS

    @property
    def is_open(self) -> bool:
        return self.job.is_open

    @property
    def at(self) -> int:
        return list(Step).index(Step(self.job.step)) + 1

    @property
    def step_word(self) -> str:
        return STEP_WORDS[Step(self.job.step)].lower()

    @property
    def has_claims(self) -> bool:
        return any(tab.count for tab in self.tabs)

    @property
    def duration(self) -> str:
        """5.2 s, 3 min 20 s, 1 h 10 min."""
        seconds = self.took.total_seconds() if self.took else 0.0
        minutes = int(seconds) // 60
        if minutes < 1:
            return f"{seconds:.1f} s"
        if minutes < 60:
            return f"{minutes} min {int(seconds) % 60} s"
        return f"{minutes // 60:,} h {minutes % 60} min"


@dataclass(frozen=True)
class ConsolidationPage:
    project: Project
    jobs: tuple[JobLine, ...]
    older_href: str
    shown: Shown | None
    under_way: JobLine | None
    may_order: bool
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
    query: Mapping[str, str] | None = None,
    fault: str = "",
) -> ConsolidationPage:
    """The newest ones, and the one that is named, or the newest. A constant number of queries.
    Raises NotFound, or BadInput."""
    actor.demand(project.pk, Right.READ)
    told = query or {}
    mine = Consolidation.objects.visible_to(actor).filter(project=project).order_by("-number")
    before = read_int(told, "older", 0, low=0, high=2**31)
    rows = list((mine.filter(number__lt=before) if before else mine)[: SHOWN + 1])
    chosen = _choose(rows, mine.filter(number=number).first() if number else None, number)
    # There is one at most, and none is ordered beside it: it is the newest.
    newest = mine.first() if before else next(iter(rows), None)
    root = reverse("memory-consolidations", args=[project.slug])
    return ConsolidationPage(
        project=project,
        jobs=tuple(_line(row, project.slug, chosen) for row in rows[:SHOWN]),
        older_href=f"{root}?older={rows[SHOWN - 1].number}" if len(rows) > SHOWN else "",
        shown=_show(chosen, project.slug, told) if chosen else None,
        under_way=_line(newest, project.slug, chosen) if newest and newest.is_open else None,
        may_order=actor.may(project.pk, Right.CURATE),
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
    """What does not change from one look to the next: an open one tells how far it is elsewhere."""
    told = f"{_many(row.count('episodes'), 'episode')}, {row.count('written'):,} written"
    return JobLine(
        number=row.number,
        href=reverse("memory-consolidation", args=[slug, row.number]),
        state=row.state,
        glyph=GLYPHS[row.state],
        note="under way" if row.is_open else f"{row.state}: {told}",
        at=row.created_at,
        current=chosen is not None and row.pk == chosen.pk,
    )


def _show(job: Consolidation, slug: str, query: Mapping[str, str]) -> Shown:
    episodes = job.count("episodes")
    end = job.closed_at or timezone.now()
    href = reverse("memory-consolidation", args=[slug, job.number])
    fate, after = _read_part(job, query)
    rows = _claims_of(job, fate, after)
    part = f"{href}?fate={fate.value}"
    last = rows[SHOWN_CLAIMS - 1] if len(rows) > SHOWN_CLAIMS else None
    return Shown(
        job=job,
        glyph=GLYPHS[job.state],
        trigger=TRIGGER_WORDS[job.trigger],
        funnel=draw_funnel(
            [(name, job.count(name)) for name in FUNNEL], over=job.state == JobState.DONE.value
        ),
        steps=tuple(_step(job, step) for step in Step),
        drop=1 - job.count("salient") / episodes if episodes else None,
        took=end - job.started_at if job.started_at else None,
        tabs=tuple(
            ClaimTab(one.value, job.count(one.value), f"{href}?fate={one.value}", one is fate)
            for one in ENDS
        ),
        claims=tuple(_claim(row, slug) for row in rows[:SHOWN_CLAIMS]),
        more_href=f"{part}&after={last.turn}.{last.pk}" if last else "",
        href=href,
        here=f"{part}&after={after[0]}.{after[1]}" if any(after) else part,
        told=_tell_little(job),
        retry_in=_seconds_until(job.held_until) if job.state == JobState.WAITING.value else 0,
    )


def _seconds_until(moment: datetime | None) -> int:
    return max(0, round((moment - timezone.now()).total_seconds())) if moment else 0


def _tell_little(job: Consolidation) -> str:
    """Why there is little to be seen, where there is."""
    if job.state != JobState.DONE.value:
        return ""
    if not job.count("episodes"):
        return "No episode was new since the last one that was done. What had faded was looked at."
    if not job.count("candidates"):
        return "No episode that was kept tells of a fault or of an issue, so nothing was claimed."
    return "" if job.count("merged") else "None of its claims was borne out by its own episode."


def _read_part(job: Consolidation, query: Mapping[str, str]) -> tuple[Fate, tuple[int, int]]:
    """Which claims are looked at: those of the end that is asked for, else of the first that any
    came to; and after which of them, by turn and key. Raises BadInput."""
    asked = query.get("fate", "")
    if asked and asked not in list(ENDS):
        raise BadInput(f"fate is one of {', '.join(ENDS)}.", parameter="fate")
    told = next((one for one in ENDS if job.count(one.value)), Fate.WRITTEN)
    turn, _, key = query.get("after", "0.0").partition(".")
    places = {"turn": turn, "key": key}
    try:
        after = tuple(read_int(places, name, 0, low=0, high=2**63 - 1) for name in places)
    except BadInput as error:
        raise BadInput(
            "after is what a page of claims leads on with.", parameter="after"
        ) from error
    return Fate(asked) if asked else told, (after[0], after[1])


def _claims_of(job: Consolidation, fate: Fate, after: tuple[int, int]) -> list[Candidate]:
    """One more than are shown, in the order in which they are stored by their ends."""
    turn, key = after
    rows = Candidate.objects.filter(consolidation=job, fate=fate.value)
    rows = rows.filter(Q(turn__gt=turn) | Q(turn=turn, pk__gt=key), turn__gte=turn)
    return list(rows.select_related("record").order_by("turn", "pk")[: SHOWN_CLAIMS + 1])


def _step(job: Consolidation, step: Step) -> StepLine:
    steps, at = list(Step), list(Step).index(Step(job.step))
    place = steps.index(step)
    if job.state == JobState.DONE.value or place < at:
        return StepLine(STEP_WORDS[step], "done", _tell(job, step))
    if place > at or job.state == JobState.WAITING.value:
        return StepLine(STEP_WORDS[step], "ahead", "")
    how_far = f"{job.done:,} of {job.total:,}"
    if not job.is_open:
        return StepLine(STEP_WORDS[step], "stopped", f"stopped after {how_far}")
    return StepLine(STEP_WORDS[step], "now", how_far)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _tell(job: Consolidation, step: Step) -> str:
    count = job.count
    return {
        Step.SALIENCE: f"{count('salient'):,} of {count('episodes'):,} kept, {count('hard'):,} for surprise",
        Step.EXTRACT: f"{_many(count('candidates') - count('rules'), 'claim')} of single episodes",
        Step.INDUCE: (
            f"{_many(count('rules'), 'rule')} of issues of one kind, component and width, seen twice"
        ),
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
    glyph, word = END_WORDS.get(row.became or row.fate, ("pass", "Written"))
    return ClaimLine(
        kind=row.kind,
        text=row.text,
        episodes=row.episodes,
        runs=len({one["run"] for one in row.sources}),
        score=row.score,
        scorer=row.scorer,
        precise=row.precise,
        glyph=glyph,
        word=word,
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
