"""The pages of a project's suites: which there are, and one with its reports, its canary and its
history. A case is counted here and never shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Count, Max
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from verdicts.domain.facts import ReceiptStanding
from verdicts.domain.leakage import Tally, add_up, has_leaked
from verdicts.domain.terms import Grader
from verdicts.models import Report, Suite, SuiteResult
from verdicts.panels import GRADER_WORDS, short_digest
from verdicts.report_page import GRADER_ICONS, STANDING_WORDS, find_standing
from verdicts.rotations import RECENT_RESULTS
from verdicts.selectors import SuiteLine, count_minted, list_suites
from verdicts.suites import find_suite
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.audit.models import AuditEntry
from verel_site.kit.charts import Rates, draw_rates
from verel_site.kit.moments import tell_moment

SHOWN_SUITES: Final = 200
SHOWN_REPORTS: Final = 20
SHOWN_ACTS: Final = 30
SHOWN_VERSIONS: Final = 40
ACT_WORDS: Final = {
    "suite.create": "made",
    "suite.freeze": "frozen",
    "suite.retire": "retired",
    "suite.rotate": "minted from the version before",
    "suite.reserve": "given fresh cases",
    "suite.canary": "canary tripped",
    "suite.read_cases": "cases read",
}


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """One suite in a list. `verdict` and `word` are the glyph of its standing now."""

    id: UUID
    name: str
    icon: str
    grader: str
    verdict: str
    word: str
    digest: str
    owner: str
    kept: bool
    cases: int
    holdout: int
    reserve: int
    wanting: int
    rotate_at: datetime | None
    rotate_days: int | None
    overdue: bool
    reports: int
    last_report: datetime | None


@dataclass(frozen=True)
class NewSuite:
    """What was typed into the form for a new suite, where it was refused."""

    fault: str = ""
    name: str = ""
    grader: str = ""
    digest: str = ""
    rotate_days: str = "30"
    reason: str = ""


@dataclass(frozen=True)
class SuitesPage:
    project: Project
    live: tuple[SuiteRow, ...]
    retired: tuple[SuiteRow, ...]
    graders: tuple[tuple[str, str], ...]
    may_curate: bool
    typed: NewSuite = field(default_factory=NewSuite)

    screen: str = "gate"
    nav: str = "gate"
    tab: str = "suites"
    title: str = "Suites"


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """One report whose receipt claims this suite."""

    run: int
    branch: str
    href: str
    verdict: str
    receipt: str
    receipt_verdict: str
    runner: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Act:
    word: str
    who: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One suite of a chain of rotations, oldest first; `minted` of its `cases` were fresh."""

    number: int
    href: str
    digest: str
    cases: int
    minted: int
    since: datetime | None
    until: datetime | None
    reason: str
    current: bool


@dataclass(frozen=True, slots=True)
class Canary:
    """How far a suite and its hold-out are apart, drawn; `evidence` is why it tripped."""

    verdict: str
    word: str
    finding: str
    drawing: SafeString | None
    runs: tuple[SuiteResult, ...]
    trials: int
    evidence: str
    tripped_at: datetime | None


@dataclass(frozen=True)
class SuitePage:
    project: Project
    row: SuiteRow
    suite: Suite
    may_curate: bool
    canary: Canary
    versions: tuple[VersionLine, ...]
    reports: tuple[SuiteReport, ...]
    verdicts: tuple[tuple[str, int], ...]
    acts: tuple[Act, ...]
    fault: str = ""

    screen: str = "gate"
    nav: str = "gate"
    tab: str = "suites"

    @property
    def title(self) -> str:
        return self.suite.name

    @property
    def share(self) -> int:
        """How many of the cases in use this version minted, in per cent."""
        current = next(line for line in self.versions if line.current)
        return round(100 * current.minted / current.cases) if current.cases else 0


def read_suites_page(
    *, project: Project, actor: Actor, typed: NewSuite | None = None
) -> SuitesPage:
    """Two queries however many suites there are. Call for a visible project."""
    lines = list_suites(actor=actor, project_id=project.pk)
    counted = _count_reports(project.pk)
    rows = [suite_row(line, counted) for line in lines]
    alive = [row for row, line in zip(rows, lines, strict=True) if line.suite.retired_at is None]
    gone = [row for row, line in zip(rows, lines, strict=True) if line.suite.retired_at]
    return SuitesPage(
        project=project,
        live=tuple(alive[:SHOWN_SUITES]),
        retired=tuple(gone[:SHOWN_SUITES]),
        graders=tuple((grader.value, GRADER_WORDS[grader]) for grader in Grader),
        may_curate=may_own(actor, project.pk),
        typed=typed or NewSuite(),
    )


def read_suite_page(*, actor: Actor, suite_id: UUID, fault: str = "") -> SuitePage:
    """Raises NotFound. The same few queries however much was graded by it."""
    suite = find_suite(actor=actor, suite_id=suite_id)
    [line] = list_suites(actor=actor, suite_id=suite_id)
    graded = Report.objects.filter(
        project_id=suite.project_id, suite_digest=suite.digest, grader=suite.grader
    )
    by_verdict = graded.values_list("verdict").annotate(n=Count("pk")).order_by("verdict")
    latest = graded.select_related("branch__run", "runner").order_by("-received_at")
    acts = AuditEntry.objects.filter(project_id=suite.project_id, subject=f"suite:{suite.pk}")
    return SuitePage(
        project=suite.project,
        row=suite_row(line, _count_reports(suite.project_id, suite.digest)),
        suite=suite,
        may_curate=may_own(actor, suite.project_id),
        canary=read_canary(suite),
        versions=_read_versions(suite),
        reports=tuple(_report(row) for row in latest[:SHOWN_REPORTS]),
        verdicts=tuple(by_verdict),
        acts=tuple(
            Act(ACT_WORDS.get(act.action, act.action), act.actor_name, act.at, act.reason)
            for act in acts.order_by("-number")[:SHOWN_ACTS]
        ),
        fault=fault,
    )


def may_own(actor: Actor, project_id: UUID) -> bool:
    return actor.kind != "key" and actor.may(project_id, Right.CURATE)


def suite_row(line: SuiteLine, counted: Mapping[tuple[str, str], tuple[int, datetime]]) -> SuiteRow:
    suite = line.suite
    verdict, word = tell_standing(suite)
    reports, last = counted.get((suite.grader, suite.digest), (0, None))
    return SuiteRow(
        id=suite.pk,
        name=suite.name,
        icon=GRADER_ICONS[Grader(suite.grader)],
        grader=GRADER_WORDS[Grader(suite.grader)],
        verdict=verdict,
        word=word,
        digest=short_digest(suite.digest),
        owner=suite.owner,
        kept=bool(suite.token),
        cases=line.cases,
        holdout=line.holdout,
        reserve=line.reserve,
        wanting=line.fresh_cases_needed,
        rotate_at=suite.rotate_at,
        rotate_days=suite.rotate_days,
        overdue=suite.rotate_at is not None and suite.rotate_at <= timezone.now(),
        reports=reports,
        last_report=last,
    )


def tell_standing(suite: Suite) -> tuple[str, str]:
    if suite.retired_at is not None:
        return "skip", "Retired"
    if suite.frozen_at is None:
        return "pending", "Draft"
    return ("fail", "Canary tripped") if suite.tripped_at is not None else ("pass", "Frozen")


def _count_reports(
    project_id: UUID, digest: str | None = None
) -> dict[tuple[str, str], tuple[int, datetime]]:
    """How many reports claim each suite, by grader and digest, and when the last came."""
    rows = Report.objects.filter(project_id=project_id).exclude(suite_digest="")
    if digest is not None:
        rows = rows.filter(suite_digest=digest)
    told = rows.values_list("grader", "suite_digest").annotate(n=Count("pk"), at=Max("received_at"))
    return {(grader, named): (count, at) for grader, named, count, at in told.order_by()}


def _report(report: Report) -> SuiteReport:
    standing = find_standing(report)
    query = f"?branch={report.branch_id}&report={report.pk}"
    return SuiteReport(
        run=report.branch.run.number,
        branch=report.branch.label,
        href=reverse("run-verdicts", args=[report.branch.run_id]) + query,
        verdict="error" if report.errored else report.verdict,
        receipt=STANDING_WORDS[standing],
        receipt_verdict="pass" if standing == ReceiptStanding.VALID else "fail",
        runner=report.runner.name if report.runner else "",
        at=report.received_at,
    )


def _read_versions(suite: Suite) -> tuple[VersionLine, ...]:
    """The chain of rotations that this suite stands in, newest SHOWN_VERSIONS."""
    rows = Suite.objects.filter(project_id=suite.project_id, grader=suite.grader)
    counts = count_minted(rows)
    by_id = {row.pk: row for row in rows.defer("token")}
    after = {row.follows_id: row for row in by_id.values() if row.follows_id}
    chain = [by_id[suite.pk]]
    while chain[0].follows_id in by_id:
        chain.insert(0, by_id[chain[0].follows_id])
    while chain[-1].pk in after:
        chain.append(after[chain[-1].pk])
    lines = [
        VersionLine(
            number=number,
            href=reverse("suite", args=[row.pk]),
            digest=short_digest(row.digest),
            cases=counts[row.pk][0],
            minted=counts[row.pk][1],
            since=row.frozen_at,
            until=row.retired_at,
            reason=row.retired_reason,
            current=row.pk == suite.pk,
        )
        for number, row in enumerate(chain, start=1)
    ]
    return tuple(lines[-SHOWN_VERSIONS:])


def read_canary(suite: Suite) -> Canary:
    """One query: the results that the canary compares, oldest first."""
    newest = suite.results.order_by("-pk")[:RECENT_RESULTS]
    return tell_canary(suite, tuple(reversed(newest)))


def tell_canary(suite: Suite, runs: Sequence[SuiteResult], *, across: int = 720) -> Canary:
    """`across` is the width of the drawing in px."""
    tally = add_up(_tally(run) for run in runs)
    leaked = has_leaked(tally)
    verdict, word = _canary_standing(suite, tally)
    drawing = None
    if runs:
        drawing = draw_rates(
            [
                Rates(
                    tell_moment(run.created_at, "short"),
                    _share(run.passed, run.total),
                    _share(run.holdout_passed, run.holdout_total),
                )
                for run in runs
            ],
            upper_name="suite",
            lower_name="hold-out",
            leaked=leaked,
            across=across,
        )
    return Canary(
        verdict=verdict,
        word=word,
        finding=_tell_gap(tally),
        drawing=drawing,
        runs=tuple(runs),
        trials=tally.holdout_total,
        evidence=suite.tripped_reason,
        tripped_at=suite.tripped_at,
    )


def _canary_standing(suite: Suite, tally: Tally) -> tuple[str, str]:
    if suite.tripped_at is not None:
        return "fail", "Tripped"
    if not suite.token:
        return "skip", "Kept elsewhere"
    if suite.frozen_at is None:
        return "pending", "Not frozen yet"
    return ("pending", "No hold-out run yet") if tally.gap is None else ("pass", "Quiet")


def _tally(run: SuiteResult) -> Tally:
    return Tally(run.passed, run.total, run.holdout_passed, run.holdout_total)


def _share(passed: int, total: int) -> float | None:
    return passed / total if total else None


def _tell_gap(tally: Tally) -> str:
    if tally.gap is None:
        return "No runner told of suite and hold-out yet"
    points = round(100 * tally.gap)
    if not points:
        return "Suite and hold-out go alike"
    better, worse = ("suite", "hold-out") if points > 0 else ("hold-out", "suite")
    plural = "" if abs(points) == 1 else "s"
    return f"The {better} goes {abs(points)} point{plural} better than the {worse}"
