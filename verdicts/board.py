"""The overview of a project as one value: figures, charts with their findings, and the agents."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final
from uuid import UUID

from django.db.models import Count, Exists, F, Max, OuterRef, Sum
from django.utils import timezone
from django.utils.safestring import SafeString

from branches.domain.terms import ENDED
from branches.models import Merge
from branches.selectors.overview import (
    AgentCounts,
    TripletDays,
    count_by,
    count_events,
    count_merges,
    count_runs,
    count_tokens,
    read_agents,
    read_triplets,
    read_waits,
)
from verdicts.agreement import read_agreement
from verdicts.agreement_page import rater_bars, tell_raters
from verdicts.domain.findings import (
    Stretch,
    count,
    duration,
    median,
    tell_budget,
    tell_change,
    tell_pace,
    tell_people,
    tell_spent,
    tell_triplets,
    tell_waits,
)
from verdicts.models import Comparison, Label, Report
from verel_site.access.models import Project
from verel_site.audit.models import AuditEntry
from verel_site.kit.budget_chart import draw_budget, ends_at
from verel_site.kit.charts import (
    Hour,
    Series,
    Share,
    draw_ages,
    draw_counts,
    draw_hours,
    draw_spark,
    draw_steps,
)
from verel_site.kit.interval_chart import draw_intervals

# Acts of a person that move work on or back.
DECISIONS: Final = (
    "branch.fork",
    "branch.abandoned",
    "branch.merge",
    "branch.merge_past_shut_gate",
    "merge.revert",
    "approval.answer",
    "comparison.label",
)
WAITS_READ: Final = 5_000
SPARK_DAYS: Final = 7
# A staircase of one or two days shows nothing: the triplets' days are never fewer.
LEAST_DAYS: Final = 7
PEOPLE_SHOWN: Final = 8
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_AGES: Final = (
    ("under 5 min", 5 * 60),
    ("5 to 15 min", 15 * 60),
    ("15 to 60 min", 3600),
    ("1 to 4 h", 4 * 3600),
    ("4 to 24 h", 24 * 3600),
    ("over 24 h", float("inf")),
)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Range:
    """A span to look at, and how it is cut into bars, in the zone of the time that is given."""

    key: str
    word: str
    span: str
    bars: int
    hours: int

    @property
    def unit(self) -> str:
        """What one bar stands for."""
        return {1: "hour", 24: "day"}.get(self.hours, f"{self.hours} hours")

    def end(self, now: datetime) -> datetime:
        """The end of the bar that is not over yet."""
        return _midnight(now) + (now.hour // self.hours + 1) * self.hours * _HOUR

    def starts(self, now: datetime) -> list[datetime]:
        """As clocks have them: where these are put on or back a bar is shorter or longer."""
        end = self.end(now)
        return [end - (self.bars - at) * self.hours * _HOUR for at in range(self.bars)]


RANGES: Final = {
    "24h": Range("24h", "24 h", "24 hours", bars=24, hours=1),
    "7d": Range("7d", "7 d", "7 days", bars=56, hours=3),
    "30d": Range("30d", "30 d", "30 days", bars=30, hours=24),
}
_TITLES: Final = {"24h": "today", "7d": "this week", "30d": "this month"}


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: str
    note: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class RangeLink:
    word: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing under the sentence that it proves; `empty` says why there is no drawing."""

    finding: str
    note: str
    drawing: SafeString | None = None
    empty: str = ""


@dataclass(frozen=True, slots=True)
class AgentRow:
    counts: AgentCounts
    spark: SafeString

    @property
    def name(self) -> str:
        return self.counts.name or "unnamed"


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """`templates/verdicts/overview.html`."""

    project: Project
    heading: str
    ranges: tuple[RangeLink, ...]
    figures: tuple[Figure, ...]
    pace: Chart
    stretches: tuple[Stretch, ...]
    waits: Chart
    triplets: Chart
    people: Chart
    agreement: Chart
    spent: Chart
    agents: tuple[AgentRow, ...]
    span: str
    time_word: str

    screen: str = "overview"
    nav: str = "overview"
    title: str = "Overview"

    @property
    def more_charts(self) -> tuple[Chart, ...]:
        """Those of one form that stand beside each other."""
        return self.agreement, self.spent, self.people


def read_overview(
    *, project: Project, key: str, now: datetime, reader: int | None = None
) -> OverviewPage:
    """Twenty queries, whatever there is to count. An unknown range is seven days. Days are those of
    the active zone; only a budget's month is UTC, since it is the project's. `reader` is the user
    whose own bars are marked."""
    chosen = RANGES.get(key, RANGES["7d"])
    now = timezone.localtime(now)
    starts = chosen.starts(now)
    since = starts[0]
    decided = _count_decisions(project.pk, since - (now - since))
    stretches = _stretches(
        chosen, starts, count_events(project_id=project.pk, since=since), decided
    )
    asked, pairs = (
        [(now - at).total_seconds() for at in times]
        for times in (read_waits(project_id=project.pk, now=now), _read_unjudged(project.pk))
    )
    days_since = min(since, _midnight(now) - (LEAST_DAYS - 1) * _DAY)
    triplets = read_triplets(project_id=project.pk, days_since=days_since, since=since)
    figures = _figures(
        _Tally(project.pk, chosen, since, now), stretches, decided, triplets, _waiting_figure(asked)
    )
    return OverviewPage(
        project=project,
        heading=f"{project.name} {_TITLES[chosen.key]}",
        ranges=tuple(
            RangeLink(one.word, f"?range={one.key}", one is chosen) for one in RANGES.values()
        ),
        figures=figures,
        pace=_pace_chart(chosen, starts, stretches),
        stretches=tuple(stretches),
        waits=_waits_chart([*asked, *pairs]),
        triplets=_triplets_chart(triplets, days_since, now),
        people=_people_chart(project.pk, since, reader, chosen.span),
        agreement=_agreement_chart(project.pk, since, now, reader),
        spent=_spent_chart(project, days_since, now),
        agents=_agent_rows(project.pk, since, now),
        span=chosen.span,
        time_word="Day" if chosen.hours == 24 else "Time",
    )


def _count_decisions(project_id: UUID, since: datetime) -> dict[datetime, int]:
    rows = AuditEntry.objects.filter(
        project_id=project_id, actor_kind="person", action__in=DECISIONS
    )
    return count_by(rows, "at", since)


def _read_unjudged(project_id: UUID) -> list[datetime]:
    """Since when each pair waits that nobody has judged, of branches that have not ended and still
    stand at what is compared: as the inbox asks for them."""
    ended = [status.value for status in ENDED]
    judged = Label.objects.standing().filter(comparison=OuterRef("pk"))
    pairs = (
        Comparison.objects.filter(
            ~Exists(judged),
            project_id=project_id,
            first__head_digest=F("first_digest"),
            second__head_digest=F("second_digest"),
        )
        .exclude(first__status__in=ended)
        .exclude(second__status__in=ended)
    )
    return list(pairs.order_by("created_at").values_list("created_at", flat=True)[:WAITS_READ])


def _stretches(
    chosen: Range,
    starts: Sequence[datetime],
    events: Mapping[datetime, int],
    decided: Mapping[datetime, int],
) -> list[Stretch]:
    form = {1: "%a %H:%M", 24: "%-d %b"}.get(chosen.hours, "%a %H:%M")
    counted = zip(starts, _by_bar(starts, events), _by_bar(starts, decided), strict=True)
    return [Stretch(f"{start:{form}}", came, done) for start, came, done in counted]


def _by_bar(starts: Sequence[datetime], counted: Mapping[datetime, int]) -> list[int]:
    """What is before the first bar is left out."""
    # Times of one zone are compared as its clocks show them, and an hour comes twice a year.
    edges = [start.astimezone(UTC) for start in starts]
    bars = [0] * len(edges)
    for at, number in counted.items():
        bar = bisect_right(edges, at) - 1
        if bar >= 0:
            bars[bar] += number
    return bars


# Figures


@dataclass(frozen=True, slots=True)
class _Tally:
    """What is counted: whose, and from when to when."""

    project_id: UUID
    chosen: Range
    since: datetime
    now: datetime

    @property
    def before(self) -> datetime:
        """The start of the span before, as long as this one is by now."""
        return self.since - (self.now - self.since)


def _figures(
    tally: _Tally,
    stretches: Sequence[Stretch],
    decided: Mapping[datetime, int],
    triplets: TripletDays,
    waiting: Figure,
) -> tuple[Figure, ...]:
    runs, runs_before = count_runs(
        project_id=tally.project_id, since=tally.since, before=tally.before
    )
    decisions = sum(one.decisions for one in stretches)
    before = sum(decided.values()) - decisions
    made, reverted = count_merges(project_id=tally.project_id, since=tally.since)
    span = tally.chosen.span
    return (
        Figure("Runs", f"{runs:,}", tell_change(runs, runs_before, span)),
        Figure("Decisions", f"{decisions:,}", tell_change(decisions, before, span)),
        waiting,
        _first_gate_figure(tally, made),
        Figure("Taken back", f"{reverted:,}", _withdrawn_note(triplets.withdrawn_now)),
        Figure(
            "Triplets",
            f"{triplets.made_now:,}",
            f"of {count(made, 'merge')}" if made else "no merge yet",
        ),
    )


def _withdrawn_note(withdrawn: int) -> str:
    return f"{count(withdrawn, 'triplet')} withdrawn" if withdrawn else "no triplet withdrawn"


def _waiting_figure(ages: Sequence[float]) -> Figure:
    middle = median(ages)
    note = "nobody is asked" if middle is None else f"median wait {duration(middle)}"
    return Figure("Open approvals", f"{len(ages):,}", note)


def _first_gate_figure(tally: _Tally, made: int) -> Figure:
    """Merges whose winner no grader had seen at an earlier head, and that no bypass let in."""
    earlier = Report.objects.filter(branch_id=OuterRef("winner_id")).exclude(
        head_digest=OuterRef("winner_digest")
    )
    first = Merge.objects.filter(
        ~Exists(earlier),
        project_id=tally.project_id,
        created_at__gte=tally.since,
        bypass_reason="",
    ).count()
    if not made:
        return Figure("Merged at first gate", "–", "no merge yet")
    share = round(100 * first / made)
    return Figure("Merged at first gate", f"{share}", f"{first:,} of {count(made, 'merge')}", "%")


# Charts


def _pace_chart(chosen: Range, starts: Sequence[datetime], stretches: list[Stretch]) -> Chart:
    finding = tell_pace(stretches)
    if not any(one.events or one.decisions for one in stretches):
        return Chart(finding, "", empty=f"No event came and nobody decided in {chosen.span}.")
    last = len(stretches) - 1
    bars = [
        Hour(one.events, one.decisions, _tick(chosen, start), partial=at == last)
        for at, (one, start) in enumerate(zip(stretches, starts, strict=True))
    ]
    return Chart(finding, f"per {chosen.unit}", draw_hours(bars, span=chosen.span))


def _tick(chosen: Range, start: datetime) -> str:
    if chosen.hours == 1:
        return f"{start:%H:%M}" if start.hour % 3 == 0 else ""
    if chosen.hours == 24:
        return f"{start:%-d %b}" if start.toordinal() % 5 == 0 else ""
    return f"{start:%a}" if start.hour == 0 else ""


def _waits_chart(ages: Sequence[float]) -> Chart:
    finding = tell_waits(ages)
    if not ages:
        return Chart(finding, "", empty="No open approval, and no pair that nobody has judged.")
    buckets = [(name, 0) for name, _ in _AGES]
    for age in ages:
        at = next(index for index, (_, limit) in enumerate(_AGES) if age < limit)
        buckets[at] = (buckets[at][0], buckets[at][1] + 1)
    return Chart(finding, "Approvals and unjudged pairs by age, now", draw_ages(buckets))


def _triplets_chart(triplets: TripletDays, since: datetime, now: datetime) -> Chart:
    days = _days(since, now)
    gone = [triplets.withdrawn.get(day, 0) for day in days]
    changes = [triplets.made.get(day, 0) - lost for day, lost in zip(days, gone, strict=True)]
    standing = [triplets.before + change for change in accumulate(changes)]
    withdrawn = sum(triplets.withdrawn.values())
    finding = tell_triplets(standing=standing[-1], withdrawn=withdrawn)
    if not any(standing) and not withdrawn:
        return Chart(finding, "", empty="A merge whose sides differ makes one.")
    ticks = [(0, _day_word(days[0])), (len(days) - 1, _day_word(days[-1]))]
    # The dot stands at the day that lost most. The last day's place is taken by the total's label.
    most = max(range(len(days) - 1), key=lambda at: gone[at])
    note = (most, f"{gone[most]:,} withdrawn") if gone[most] else None
    series = [Series("stand", standing, main=True)]
    return Chart(finding, "Standing at the end of each day", draw_steps(series, ticks, note=note))


def _people_chart(project_id: UUID, since: datetime, reader: int | None, span: str) -> Chart:
    """Who decided how much: by account, since two people may have one name."""
    rows = AuditEntry.objects.filter(
        project_id=project_id, actor_kind="person", action__in=DECISIONS, at__gte=since
    ).order_by()
    counted = rows.values("actor_id").annotate(n=Count("pk"), name=Max("actor_name"))
    found = list(counted.order_by("-n", "actor_id")[:PEOPLE_SHOWN])
    finding = tell_people([(row["name"], row["n"]) for row in found])
    if not found:
        return Chart(
            finding, "", empty=f"Forks, answers, judgements and merges of {span} count here."
        )
    bars = [Share(row["name"], row["n"], row["actor_id"] == str(reader)) for row in found]
    return Chart(finding, "Decisions by person", draw_counts(bars, label="Decisions"))


def _agreement_chart(project_id: UUID, since: datetime, now: datetime, reader: int | None) -> Chart:
    told = read_agreement(project_id=project_id, since=since, until=now)
    finding = tell_raters(told.reviewers)
    raters = [*told.reviewers, *told.graders][:PEOPLE_SHOWN]
    if not raters:
        return Chart(finding, "", empty="A pair that two reviewers judge tells how far they agree.")
    drawing = draw_intervals(rater_bars(raters, reader), label="Cohen's kappa")
    return Chart(finding, "Cohen's kappa against the others, 95 % interval", drawing)


def _spent_chart(project: Project, since: datetime, now: datetime) -> Chart:
    """With a budget: this month against it. Without: what was used in the time that is shown."""
    if project.token_budget:
        now = now.astimezone(UTC)
        since = _midnight(now).replace(day=1)
    days = _days(since, now)
    told = count_tokens(project_id=project.pk, since=since)
    standing = list(accumulate(told.get(day, 0) for day in days))
    if project.token_budget:
        return _budget_chart(project.token_budget, standing, now)
    costs = Report.objects.filter(
        project_id=project.pk, received_at__gte=since, cost_usd__isnull=False
    ).aggregate(dollars=Sum("cost_usd", default=0), graded=Count("pk"))
    finding = tell_spent(
        tokens=standing[-1], dollars=float(costs["dollars"]), graded=costs["graded"]
    )
    if not standing[-1]:
        return Chart(finding, "", empty="An agent's events tell its tokens, a report its cost.")
    ticks = [(0, _day_word(days[0])), (len(days) - 1, _day_word(days[-1]))]
    drawing = draw_steps([Series("tokens", standing, main=True)], ticks)
    return Chart(finding, "Output tokens by the day their branch began; no budget is set", drawing)


def _budget_chart(limit: int, used: Sequence[int], now: datetime) -> Chart:
    first = _midnight(now).replace(day=1)
    days = ((first + 31 * _DAY).replace(day=1) - first).days
    passed = (now - first) / _DAY
    end = ends_at(used[-1], passed=passed, days=days, limit=limit)
    finding = tell_budget(
        used=used[-1], limit=limit, ends=None if end is None else f"{first + end * _DAY:%-d %b}"
    )
    ticks = [(day, f"{first + day * _DAY:%-d %b}") for day in range(0, days, 10)]
    drawing = draw_budget(used, ticks, passed=passed, days=days, limit=limit, unit="tokens")
    return Chart(finding, "Output tokens of branches that began this month, UTC", drawing)


def _days(since: datetime, now: datetime) -> list[str]:
    count_of = (now.date() - since.date()).days + 1
    return [f"{since + at * _DAY:%Y-%m-%d}" for at in range(count_of)]


def _day_word(day: str) -> str:
    return f"{datetime.fromisoformat(day):%-d %b}"


# Agents


def _agent_rows(project_id: UUID, since: datetime, now: datetime) -> tuple[AgentRow, ...]:
    week = _midnight(now) - (SPARK_DAYS - 1) * _DAY
    days = _days(week, now)
    return tuple(
        AgentRow(one, draw_spark([one.days.get(day, 0) for day in days], label="Runs a day"))
        for one in read_agents(project_id=project_id, since=since, week=week)
    )
