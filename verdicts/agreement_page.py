"""The page of agreement as one value: findings, drawings, and the tables behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.safestring import SafeString

from verdicts.agreement import (
    MAX_LABELS,
    Agreement,
    Couple,
    Period,
    Question,
    RaterLine,
    read_agreement_with_course,
)
from verdicts.domain.findings import count
from verdicts.reliability import LEAST_PAIRS, Estimate
from verel_site.access.models import Project
from verel_site.kit.charts import tell_percent
from verel_site.kit.interval_chart import (
    ALMOST_PERFECT,
    SUBSTANTIAL,
    Bar,
    Point,
    draw_course,
    draw_intervals,
)

MAX_BARS: Final = 14
CHART_WIDTH: Final = 640
# (key, word, days looked at, days in a point of the course)
SPANS: Final = (
    ("7d", "7 d", 7, 1),
    ("30d", "30 d", 30, 3),
    ("90d", "90 d", 90, 7),
)
DEFAULT: Final = SPANS[1]


@dataclass(frozen=True, slots=True)
class SpanLink:
    word: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Told:
    """An estimate in words: the figure, and its interval or why it has none."""

    value: str
    interval: str

    @classmethod
    def of(cls, estimate: Estimate | None, *, share: bool = False) -> "Told":
        if estimate is None or estimate.value is None:
            return cls("–", "")
        tell = tell_percent if share else "{:.2f}".format
        if estimate.low is None or estimate.high is None:
            return cls(tell(estimate.value), f"under {LEAST_PAIRS} pairs")
        ends = f"{tell(estimate.low)} to {tell(estimate.high)}"
        return cls(tell(estimate.value), ends)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    name: str
    pairs: int
    percent: Told
    kappa: Told
    alpha: Told | None = None
    weakest: str = ""
    other: str = ""


@dataclass(frozen=True, slots=True)
class AgreementPage:
    """`templates/verdicts/agreement.html`. `told` is None where nobody labelled in the time."""

    project: Project
    told: Agreement
    spans: tuple[SpanLink, ...]
    days: int
    figures: tuple[Figure, ...]
    raters_finding: str
    raters: SafeString | None
    course_finding: str
    course: SafeString | None
    questions: tuple[Row, ...]
    reviewers: tuple[Row, ...]
    graders: tuple[Row, ...]
    couples: tuple[Row, ...]

    limit: int = MAX_LABELS
    screen: str = "agreement"
    nav: str = "overview"
    title: str = "Agreement"


def read_agreement_page(
    *, project: Project, key: str, reader: int | None, now: datetime
) -> AgreementPage:
    """Three queries, whatever there is. An unknown span is thirty days."""
    chosen = next((span for span in SPANS if span[0] == key), DEFAULT)
    _, _, days, each = chosen
    until = timezone.localtime(now)
    since = until - timedelta(days=days)
    starts = [since + timedelta(days=at) for at in range(0, days, each)]
    told, periods = read_agreement_with_course(project_id=project.pk, starts=starts, until=until)
    raters = [*told.reviewers[:MAX_BARS], *told.graders]
    return AgreementPage(
        project=project,
        told=told,
        spans=tuple(SpanLink(word, f"?span={k}", k == chosen[0]) for k, word, _, _ in SPANS),
        days=days,
        figures=_figures(told),
        raters_finding=tell_raters(told.reviewers),
        raters=draw_intervals(rater_bars(raters, reader), label="Cohen's kappa", across=CHART_WIDTH)
        if raters
        else None,
        course_finding=_tell_course(periods),
        course=_draw_course(periods),
        questions=tuple(_question_row(one) for one in told.questions),
        reviewers=tuple(_rater_row(one) for one in told.reviewers),
        graders=tuple(_rater_row(one) for one in told.graders),
        couples=tuple(_couple_row(one) for one in told.couples),
    )


def rater_bars(lines: Sequence[RaterLine], reader: int | None) -> list[Bar]:
    """A dot and an interval for each, for `interval_chart.draw_intervals`."""
    return [
        Bar(
            line.name,
            line.kappa.value,
            line.kappa.low,
            line.kappa.high,
            mine=line.id == str(reader),
            hollow=line.is_grader,
        )
        for line in lines
    ]


def tell_raters(lines: Sequence[RaterLine]) -> str:
    """The finding about reviewers, in one sentence."""
    known = [line for line in lines if line.kappa.value is not None and line.kappa.low is not None]
    if not lines:
        return "No two reviewers have judged the same pair"
    if not known:
        return "Too few pairs were judged by two to say who agrees"
    least = min(known, key=lambda line: line.kappa.value or 0)
    if (least.kappa.value or 0) >= ALMOST_PERFECT:
        return "All reviewers agree almost perfectly"
    if len(known) < 2:
        return f"{least.name} agrees with the others at {least.kappa.value:.2f}"
    on = f", mostly on {least.weakest}" if least.weakest else ""
    return f"{least.name} agrees least{on}"


def _tell_course(periods: Sequence[Period]) -> str:
    """A change is told only where the intervals at both ends lie apart."""
    known = [one.alpha for one in periods if one.alpha.low is not None]
    if len(known) < 2:
        return "Too little was judged twice to show a course"
    first, last = known[0], known[-1]
    ends = f"from {first.value:.2f} to {last.value:.2f}"
    if (last.low or 0) > (first.high or 0):
        return f"Agreement rose {ends}"
    if (last.high or 0) < (first.low or 0):
        return f"Agreement fell {ends}"
    return "Agreement shows no clear change"


def _draw_course(periods: Sequence[Period]) -> SafeString | None:
    if all(period.alpha.value is None for period in periods):
        return None
    points = [
        Point(f"{period.start:%-d %b}", period.alpha.value, period.alpha.low, period.alpha.high)
        for period in periods
    ]
    return draw_course(points, name="alpha", across=CHART_WIDTH)


def _figures(told: Agreement) -> tuple[Figure, ...]:
    overall = told.overall
    share = Told.of(overall.percent, share=True)
    alpha = Told.of(overall.alpha)
    judge = next((line for line in told.graders if line.id == "llm_judge"), None)
    return (
        Figure("Judged twice", f"{told.shared:,}", f"of {count(told.pairs, 'pair')}"),
        Figure("Same answer", share.value, share.interval or "no pair judged twice"),
        Figure("Krippendorff's α", alpha.value, _join(alpha.interval, _word(overall.alpha.value))),
        Figure("Disputed", f"{told.disputed:,}", f"{told.adjudicated:,} adjudicated"),
        Figure(
            "Judge and people",
            Told.of(judge.kappa).value if judge else "–",
            f"κ {Told.of(judge.kappa).interval}" if judge else "no judge graded both sides",
        ),
    )


def _join(*words: str) -> str:
    return ", ".join(word for word in words if word)


def _word(value: float | None) -> str:
    """Landis and Koch's words, as far as they help."""
    if value is None:
        return ""
    if value >= ALMOST_PERFECT:
        return "almost perfect"
    return "substantial" if value >= SUBSTANTIAL else "less than substantial"


def _question_row(one: Question) -> Row:
    return Row(
        one.word,
        one.percent.pairs,
        Told.of(one.percent, share=True),
        Told.of(one.kappa),
        Told.of(one.alpha),
    )


def _rater_row(one: RaterLine) -> Row:
    share = Told.of(one.percent, share=True)
    return Row(one.name, one.percent.pairs, share, Told.of(one.kappa), weakest=one.weakest)


def _couple_row(one: Couple) -> Row:
    share = Told.of(one.percent, share=True)
    return Row(one.one, one.percent.pairs, share, Told.of(one.kappa), other=one.other)
