"""Agreement between reviewers, and of graders with them, over a stretch of time.

`read_agreement` gives everything for one stretch; `agreement_over_time` gives one figure for each
of several, for charts (the overview may draw either: `rater_bars` makes the rows that
`verel_site.kit.interval_chart.draw_intervals` takes, `agreement_over_time` the points of
`draw_course`). What both read is bounded: the newest MAX_LABELS labels that were given in the time
and stand, and graders' reports on the newest MAX_JUDGED pairs of them. The number of queries does
not depend on how many there are.

A pair that still waits for a reviewer is left out until its last seat is filled, so that no figure
tells an answer that is sealed from somebody.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Subquery

from verdicts.disagreements import standing_words
from verdicts.domain.agreement import (
    OUTCOMES,
    SCALE,
    Outcome,
    Rating,
    Weight,
    consensus,
    count_units,
    cross,
    group_ratings,
    place_choice,
    place_score,
    prefer,
    without_bad,
)
from verdicts.domain.labels import Choice
from verdicts.domain.rubric import RUBRIC
from verdicts.domain.terms import Grader
from verdicts.models import Comparison, Label, Report, SideOrder
from verdicts.pairs import COMPARISON
from verdicts.panels import GRADER_WORDS
from verdicts.preferences import Head, read_weights
from verdicts.reliability import (
    LEAST_PAIRS,
    Estimate,
    estimate_alpha,
    estimate_kappa,
    estimate_percent,
)
from verel_site.inbox.models import Item

OVERALL: Final = "overall"
MAX_LABELS: Final = 5_000
MAX_JUDGED: Final = 500
MAX_RATERS: Final = 50
MAX_COUPLES: Final = 20

type Ratings = list[Rating[UUID, int]]
type Units = Mapping[UUID, Mapping[int, Outcome]]


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that reviewers are asked of a pair. `kappa` is None but where exactly two people
    answered it: Cohen's is a figure of two raters."""

    name: str
    word: str
    percent: Estimate
    kappa: Estimate | None
    alpha: Estimate


@dataclass(frozen=True, slots=True)
class RaterLine:
    """One reviewer against what the others agree on, or one grader against what people agree on.
    `id` is a user's id or a grader's name; `weakest` is the question with the least agreement."""

    id: str
    name: str
    is_grader: bool
    percent: Estimate
    kappa: Estimate
    weakest: str = ""


@dataclass(frozen=True, slots=True)
class Couple:
    """Two reviewers who judged the same pairs."""

    one: str
    other: str
    percent: Estimate
    kappa: Estimate


@dataclass(frozen=True, slots=True)
class Agreement:
    """`labels` were read (`capped`: there are more, older ones), of `pairs` pairs, `shared` of
    which two reviewers or more have judged; of `disputed` ones `adjudicated` have been settled."""

    since: datetime
    until: datetime
    labels: int
    capped: bool
    pairs: int
    shared: int
    disputed: int
    adjudicated: int
    questions: tuple[Question, ...]
    reviewers: tuple[RaterLine, ...]
    graders: tuple[RaterLine, ...]
    couples: tuple[Couple, ...]

    @property
    def overall(self) -> Question:
        return self.questions[0]


@dataclass(frozen=True, slots=True)
class Period:
    """Agreement on which side is better, among the pairs whose last label is of this stretch."""

    start: datetime
    percent: Estimate
    alpha: Estimate


@dataclass(frozen=True, slots=True)
class _Told:
    """One label as it was read."""

    pair: UUID
    first: UUID
    second: UUID
    first_digest: bytes
    second_digest: bytes
    reviewer: int
    name: str
    choice: Outcome
    scores: Mapping[str, Outcome]
    at: datetime


def read_agreement(*, project_id: UUID, since: datetime, until: datetime) -> Agreement:
    """Three queries. Labels count by when they were given."""
    return _reckon(project_id, since, until, _read_labels(project_id, since, until))


def read_agreement_with_course(
    *, project_id: UUID, starts: Sequence[datetime], until: datetime
) -> tuple[Agreement, list[Period]]:
    """Both of the time from the first start, in no more queries than the one takes."""
    told = _read_labels(project_id, starts[0], until)
    return _reckon(project_id, starts[0], until, told), _course(told, starts, until)


def _reckon(project_id: UUID, since: datetime, until: datetime, told: Sequence[_Told]) -> Agreement:
    capped, told = len(told) > MAX_LABELS, told[:MAX_LABELS]
    settled = _read_adjudicated(told)
    names = {label.reviewer: label.name for label in told}
    questions = {
        OVERALL: group_ratings(Rating(one.pair, one.reviewer, one.choice) for one in told),
        **{name: group_ratings(_scores(told, name)) for name, _, _ in RUBRIC},
    }
    overall = questions[OVERALL]
    disputed = {pair for pair, unit in overall.items() if len(set(unit.values())) > 1}
    return Agreement(
        since=since,
        until=until,
        labels=len(told),
        capped=capped,
        pairs=len(overall),
        shared=sum(len(unit) > 1 for unit in overall.values()),
        disputed=len(disputed),
        adjudicated=len(disputed & settled.keys()),
        questions=tuple(_question(name, units) for name, units in questions.items()),
        reviewers=_reviewer_lines(questions, names, settled),
        graders=_grader_lines(project_id, told, overall, settled),
        couples=_couples(overall, names),
    )


def agreement_over_time(
    *, project_id: UUID, starts: Sequence[datetime], until: datetime
) -> list[Period]:
    """One figure for each stretch, oldest first: `starts` are their beginnings in order, `until`
    is the end of the last. One query, bounded as `read_agreement` is."""
    return _course(_read_labels(project_id, starts[0], until), starts, until)


def _course(told: Sequence[_Told], starts: Sequence[datetime], until: datetime) -> list[Period]:
    told = told[:MAX_LABELS]
    units = group_ratings(Rating(one.pair, one.reviewer, one.choice) for one in told)
    last: dict[UUID, datetime] = {}
    for one in told:
        last[one.pair] = max(one.at, last.get(one.pair, one.at))
    periods = []
    for start, end in zip(starts, [*starts[1:], until], strict=True):
        mine = [unit.values() for pair, unit in units.items() if start <= last[pair] < end]
        spreads = count_units(mine, OUTCOMES)
        periods.append(Period(start, estimate_percent(spreads), estimate_alpha(spreads)))
    return periods


# Reading


def _read_labels(project_id: UUID, since: datetime, until: datetime) -> list[_Told]:
    """The newest first, one more than MAX_LABELS at most."""
    waiting = Item.objects.filter(
        kind=COMPARISON, subject=OuterRef("comparison_id"), state=Item.State.OPEN
    )
    order = SideOrder.objects.filter(
        comparison=OuterRef("comparison_id"), reviewer=OuterRef("reviewer_id")
    )
    rows = (
        Label.objects.standing()
        .filter(~Exists(waiting), project_id=project_id)
        .filter(created_at__gte=since, created_at__lt=until)
        .annotate(swapped=Subquery(order.values("swapped")[:1]))
        .order_by("-created_at", "-pk")
    )
    return [_tell(row) for row in rows.values_list(*_COLUMNS)[: MAX_LABELS + 1]]


# Plain rows: thousands of objects of the ORM would cost more than all that is reckoned from them.
_COLUMNS: Final = (
    "comparison_id",
    "comparison__first_id",
    "comparison__second_id",
    "comparison__first_digest",
    "comparison__second_digest",
    "reviewer_id",
    "reviewer__first_name",
    "reviewer__last_name",
    "reviewer__username",
    "choice",
    "swapped",
    "scores",
    "created_at",
)


def _tell(row: tuple[Any, ...]) -> _Told:
    pair, first, second, first_digest, second_digest, reviewer, *rest = row
    first_name, last_name, username, choice, swapped, scores, at = rest
    return _Told(
        pair=pair,
        first=first,
        second=second,
        first_digest=bytes(first_digest),
        second_digest=bytes(second_digest),
        reviewer=reviewer,
        name=f"{first_name} {last_name}".strip() or username,
        choice=place_choice(Choice(choice), swapped=bool(swapped)),
        scores={
            name: place_score(score, swapped=bool(swapped))
            for name, score in scores.items()
            if isinstance(score, int | float)
        },
        at=at,
    )


def _scores(told: Iterable[_Told], name: str) -> Iterable[Rating[UUID, int]]:
    return (Rating(one.pair, one.reviewer, one.scores[name]) for one in told if name in one.scores)


def _read_adjudicated(told: Sequence[_Told]) -> dict[UUID, Outcome]:
    """What adjudicators' standing words come to, by pair."""
    firsts = {one.pair: one.first for one in told}
    settled = {}
    for pair, word in standing_words(list(firsts)).items():
        if word.chosen is None:
            settled[pair] = Outcome(word.answer)
        else:
            settled[pair] = Outcome.FIRST if word.chosen == firsts[pair] else Outcome.SECOND
    return settled


# People


def _question(name: str, units: Units) -> Question:
    word = next((word for key, word, _ in RUBRIC if key == name), "Which is better")
    overall = name == OVERALL
    answers = [unit.values() for unit in units.values()]
    spreads = count_units(answers, OUTCOMES if overall else SCALE)
    raters = {rater for unit in units.values() if len(unit) > 1 for rater in unit}
    return Question(
        name=name,
        word=word,
        percent=estimate_percent(spreads),
        kappa=_kappa_of(units, *sorted(raters)) if len(raters) == 2 else None,
        # "Both bad" has no place between the two sides, so that only a rubric's scale is ordered.
        alpha=estimate_alpha(spreads, "nominal" if overall else "ordinal"),
    )


def _kappa_of(units: Units, one: int, other: int) -> Estimate:
    answers = _by_rater(units)
    return estimate_kappa(cross(answers[one], answers[other]))


def _against(
    own: Mapping[UUID, Outcome], reference: Mapping[UUID, Outcome]
) -> tuple[Estimate, Estimate]:
    table = cross(own, reference)
    units = ((own[pair], reference[pair]) for pair in own.keys() & reference.keys())
    return estimate_percent(count_units(units, OUTCOMES)), estimate_kappa(table)


def _by_rater(units: Units) -> dict[int, dict[UUID, Outcome]]:
    found: dict[int, dict[UUID, Outcome]] = {}
    for pair, unit in units.items():
        for rater, value in unit.items():
            found.setdefault(rater, {})[pair] = value
    return found


def _reference(
    units: Units,
    settled: Mapping[UUID, Outcome],
    pairs: Iterable[UUID],
    without: int | None = None,
) -> dict[UUID, Outcome]:
    """What more than half of the (other) reviewers said of these pairs, or else the adjudicator."""
    found = {}
    for pair in pairs:
        others = [value for rater, value in units[pair].items() if rater != without]
        value = consensus(others) or (settled.get(pair) if others else None)
        if value is not None:
            found[pair] = value
    return found


def _reviewer_lines(
    questions: Mapping[str, Units], names: Mapping[int, str], settled: Mapping[UUID, Outcome]
) -> tuple[RaterLine, ...]:
    """Those who agree most first; nobody who shared no pair."""
    answers = {name: _by_rater(units) for name, units in questions.items()}
    lines = []
    for rater, name in names.items():
        own = answers[OVERALL][rater]
        share, kappa = _against(own, _reference(questions[OVERALL], settled, own, rater))
        if share.pairs:
            weakest = _weakest(questions, answers, rater)
            lines.append(RaterLine(str(rater), name, False, share, kappa, weakest))
    lines.sort(key=_rank)
    return tuple(lines[:MAX_RATERS])


def _rank(line: RaterLine) -> tuple[float, float, str]:
    known = line.kappa.value if line.kappa.value is not None else -2.0
    return -known, -(line.percent.value or 0), line.name


def _weakest(
    questions: Mapping[str, Units],
    answers: Mapping[str, Mapping[int, Mapping[UUID, Outcome]]],
    rater: int,
) -> str:
    found = []
    for name, word, _ in RUBRIC:
        own = answers[name].get(rater, {})
        reference = _reference(questions[name], {}, own, rater)
        same = sum(own[pair] == value for pair, value in reference.items())
        if len(reference) >= LEAST_PAIRS and same < len(reference):
            found.append((same / len(reference), word))
    return min(found)[1] if found else ""


def _couples(units: Units, names: Mapping[int, str]) -> tuple[Couple, ...]:
    """Those who shared most pairs first."""
    shared: Counter[tuple[int, int]] = Counter()
    for unit in units.values():
        shared.update(combinations(sorted(unit), 2))
    answers = _by_rater(units)
    couples = []
    for (one, other), _ in shared.most_common(MAX_COUPLES):
        share, kappa = _against(answers[one], answers[other])
        couples.append(Couple(names[one], names[other], share, kappa))
    return tuple(couples)


# Graders


def _grader_lines(
    project_id: UUID, told: Sequence[_Told], units: Units, settled: Mapping[UUID, Outcome]
) -> tuple[RaterLine, ...]:
    pairs = list({one.pair: one for one in told}.values())[:MAX_JUDGED]
    weights = _read_weights(project_id, pairs)
    people = {pair: without_bad(value) for pair, value in _reference(units, settled, units).items()}
    said: dict[str, dict[UUID, Outcome]] = defaultdict(dict)
    for one in pairs:
        first = weights.get((one.first, one.first_digest), {})
        second = weights.get((one.second, one.second_digest), {})
        for grader in first.keys() & second.keys():
            said[grader][one.pair] = prefer(first[grader], second[grader])
    lines = []
    for grader, own in said.items():
        share, kappa = _against(own, people)
        if share.pairs:
            lines.append(RaterLine(grader, GRADER_WORDS[Grader(grader)], True, share, kappa))
    return tuple(sorted(lines, key=_rank))


def _read_weights(project_id: UUID, pairs: Sequence[_Told]) -> Mapping[Head, Mapping[str, Weight]]:
    heads = {(one.first, one.first_digest) for one in pairs}
    heads |= {(one.second, one.second_digest) for one in pairs}
    # A branch may have been graded at many heads of which one was compared.
    compared = Comparison.objects.filter(
        Q(first=OuterRef("branch_id"), first_digest=OuterRef("head_digest"))
        | Q(second=OuterRef("branch_id"), second_digest=OuterRef("head_digest"))
    )
    return read_weights(Report.objects.filter(Exists(compared), project_id=project_id), heads)
