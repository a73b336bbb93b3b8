"""A run's fingerprints over all of its branches: where each stood, since when, and where it still
does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Count, F, Max, Min, Window
from django.db.models.functions import RowNumber

from branches.models import Branch, Run
from verdicts.admission import issue_facts
from verdicts.domain.gate import effective_severity
from verdicts.domain.terms import ADVISORY, Grader
from verdicts.history import SEVERITY_GLYPHS
from verdicts.models import Issue, Report
from verdicts.panels import GRADER_WORDS

SHOWN_PRINTS: Final = 100
SHOWN_BRANCHES: Final = 6


@dataclass(frozen=True, slots=True)
class Place:
    """A branch where a fingerprint stands in its grader's latest word."""

    label: str
    lane: int
    number: int


@dataclass(frozen=True, slots=True)
class RunIssue:
    """One fingerprint over the run. `heads` counts graded heads; `open_in` is where it stands."""

    fingerprint: str
    grader: str
    kind: str
    verdict: str
    advisory: bool
    message: str
    locator: str
    heads: int
    branches: int
    first: datetime
    last: datetime
    open_in: tuple[Place, ...]
    more_open: int


@dataclass(frozen=True, slots=True)
class RunIssues:
    rows: tuple[RunIssue, ...]
    prints: int


def read_run_issues(
    run: Run, branches: Mapping[UUID, Branch], lanes: Mapping[UUID, int]
) -> RunIssues:
    """The fingerprints seen last; four queries however many branches and reports there are."""
    seen = Issue.objects.filter(report__branch__run=run, report__errored=False)
    grouped = seen.values("fingerprint").annotate(
        heads=Count("report__head_digest", distinct=True),
        branches=Count("report__branch", distinct=True),
        first=Min("report__received_at"),
        last=Max("report__received_at"),
        newest=Max("pk"),
    )
    told = list(grouped.order_by("-last", "fingerprint")[:SHOWN_PRINTS])
    newest = Issue.objects.select_related("report").in_bulk([row["newest"] for row in told])
    open_in = _read_open(run, [row["fingerprint"] for row in told])
    rows = [
        _row(row, newest[row["newest"]], open_in.get(row["fingerprint"], set()), branches, lanes)
        for row in told
    ]
    total = len(rows)
    if total == SHOWN_PRINTS:
        total = seen.values("fingerprint").distinct().count()
    return RunIssues(tuple(rows), total)


def _read_open(run: Run, prints: list[str]) -> dict[str, set[UUID]]:
    """On which branches the latest report of some tool of a grader names each of them."""
    place = Window(
        RowNumber(),
        partition_by=[F("branch"), F("grader"), F("tool")],
        order_by=F("order").desc(),
    )
    ran = Report.objects.filter(branch__run=run, errored=False)
    latest = [row.pk for row in ran.annotate(place=place).filter(place=1).only("pk")]
    found = Issue.objects.filter(report__in=latest, fingerprint__in=prints)
    open_in: dict[str, set[UUID]] = {}
    for key, branch in found.values_list("fingerprint", "report__branch").distinct():
        open_in.setdefault(key, set()).add(branch)
    return open_in


def _row(
    told: Mapping[str, object],
    issue: Issue,
    open_in: set[UUID],
    branches: Mapping[UUID, Branch],
    lanes: Mapping[UUID, int],
) -> RunIssue:
    grader = Grader(issue.report.grader)
    places = [
        Place(row.label, lanes[key], row.number) for key, row in branches.items() if key in open_in
    ]
    return RunIssue(
        fingerprint=issue.fingerprint,
        grader=GRADER_WORDS[grader],
        kind=issue.kind.replace("_", " "),
        verdict=SEVERITY_GLYPHS[effective_severity(issue_facts(issue), grader)],
        advisory=grader in ADVISORY,
        message=issue.message,
        locator=issue.locator,
        heads=_whole(told["heads"]),
        branches=_whole(told["branches"]),
        first=_moment(told["first"]),
        last=_moment(told["last"]),
        open_in=tuple(places[:SHOWN_BRANCHES]),
        more_open=max(0, len(places) - SHOWN_BRANCHES),
    )


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _moment(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value
