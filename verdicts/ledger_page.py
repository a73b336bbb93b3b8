"""The page of the failure ledger: a window of failures, one with its history, and known bugs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.urls import reverse

from branches.models import Branch, Event
from verdicts.domain.ledger import Turn
from verdicts.domain.terms import Grader, IssueKind
from verdicts.failure_models import Failure, FailureEntry, FailureLine, KnownBug
from verdicts.failure_selectors import (
    FailureFilter,
    list_bugs,
    list_failures,
    place_of,
    place_of_bug,
    read_failure,
    read_last_clustering,
    read_newest_entries,
    read_open_lines,
)
from verdicts.models import Report
from verdicts.panels import GRADER_WORDS
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right

PAGE: Final = 50
HISTORY: Final = 60
STATE_WORDS: Final = {
    "": "Any state",
    "open": "Open",
    "returned": "Came back",
    "resolved": "Resolved",
    "quarantined": "In quarantine",
}
_STATE_GLYPHS: Final = {
    "open": "fail",
    "returned": "error",
    "resolved": "pass",
    "quarantined": "skip",
}
# Those whose findings can enter, the usual ones first.
_GRADERS: Final = (
    Grader.TEST,
    Grader.TYPECHECK,
    Grader.LINT,
    Grader.DOM,
    Grader.SECURITY,
    Grader.CV,
    Grader.OCR,
    Grader.PERF,
    Grader.CONTRACT,
    Grader.COST,
    Grader.HUMAN,
    Grader.OTHER,
)
# What code fails by comes first.
_CODE_KINDS: Final = (
    IssueKind.TEST_FAILURE,
    IssueKind.TYPE_ERROR,
    IssueKind.LINT,
    IssueKind.VULNERABILITY,
)
_KINDS: Final = (*_CODE_KINDS, *(kind for kind in IssueKind if kind not in _CODE_KINDS))
_TURNS: Final = {
    Turn.OPENED: ("fail", "Opened"),
    Turn.RETURNED: ("error", "Came back"),
    Turn.RESOLVED: ("pass", "Resolved"),
    Turn.QUARANTINED: ("skip", "Into quarantine"),
    Turn.LIFTED: ("warn", "Quarantine lifted"),
}


@dataclass(frozen=True, slots=True)
class LedgerFacet:
    glyph: str
    name: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class FailureRow:
    """`state` names the glyph's word; `place` says where it was seen or resolved last."""

    href: str
    fingerprint: str
    glyph: str
    state: str
    held: bool
    grader: str
    kind: str
    scrubbed: str
    locator: str
    sightings: int
    runs: int
    first: datetime
    last: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One entry of the history; `href` leads to the head in the tree, or is empty."""

    glyph: str
    word: str
    at: datetime
    place: str
    href: str
    report_href: str
    report: int
    tool: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class StandsOn:
    place: str
    href: str
    tool: str
    returned: bool


@dataclass(frozen=True, slots=True)
class FailurePanel:
    """One failure. `older` says how many turns are not told here."""

    id: UUID
    row: FailureRow
    message: str
    returns: int
    first_place: StandsOn
    last_place: StandsOn
    resolved_place: StandsOn | None
    resolved_at: datetime | None
    stands: tuple[StandsOn, ...]
    turns: tuple[TurnRow, ...]
    more_turns: bool
    ticket: TurnRow | None
    bug_href: str


@dataclass(frozen=True, slots=True)
class BugRow:
    href: str
    kind: str
    scrubbed: str
    failures: int
    open_failures: int
    sightings: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """Some rows of a list: failures, or known bugs as of `clustered` (None: no night yet), in which
    case `rows` is empty and `bugs` is not None."""

    rows: tuple[FailureRow, ...]
    bugs: tuple[BugRow, ...] | None
    clustered: datetime | None
    next_href: str


@dataclass(frozen=True)
class LedgerPage:
    """`reason` is what was typed, where it was refused."""

    project: Project
    wanted: FailureFilter
    window: Window
    states: tuple[LedgerFacet, ...]
    graders: tuple[LedgerFacet, ...]
    kinds: tuple[LedgerFacet, ...]
    failures_href: str
    bugs_href: str
    newest_href: str
    narrows: bool
    panel: FailurePanel | None
    may_curate: bool
    fault: str = ""
    reason: str = ""

    screen: str = "gate"
    nav: str = "gate"
    tab: str = "ledger"
    title: str = "Failure ledger"


def read_ledger_page(
    *,
    project: Project,
    actor: Actor,
    wanted: FailureFilter,
    after: str = "",
    failure_id: UUID | None = None,
    bugs: bool = False,
    fault: str = "",
    reason: str = "",
) -> LedgerPage:
    """A constant number of queries, whatever the ledger holds."""
    here = reverse("gate-ledger", args=[project.slug])
    panel = read_panel(actor=actor, failure_id=failure_id, here=here) if failure_id else None
    if bugs:
        window = _read_bugs(actor, project, here, after)
    else:
        window = _read_failures(actor, project, here, wanted, after, failure_id)
    newest = f"{here}?view=bugs" if bugs else here + _query(wanted)
    return LedgerPage(
        project=project,
        wanted=wanted,
        window=window,
        states=_state_facets(wanted, here),
        graders=_grader_facets(wanted, here),
        kinds=_kind_facets(wanted, here),
        failures_href=here,
        bugs_href=f"{here}?view=bugs",
        newest_href=newest if after else "",
        narrows=wanted != FailureFilter(),
        panel=panel,
        may_curate=actor.may(project.pk, Right.CURATE),
        fault=fault,
        reason=reason,
    )


def _read_failures(
    actor: Actor,
    project: Project,
    here: str,
    wanted: FailureFilter,
    after: str,
    chosen: UUID | None,
) -> Window:
    page = list_failures(actor=actor, project=project, wanted=wanted, after=after, limit=PAGE)
    rows = tuple(_row(one, here, wanted, chosen) for one in page.rows)
    more = here + _query(wanted, after=place_of(page.rows[-1])) if page.more else ""
    return Window(rows, None, None, more)


def _read_bugs(actor: Actor, project: Project, here: str, after: str) -> Window:
    page = list_bugs(actor=actor, project=project, after=after, limit=PAGE)
    last = read_last_clustering(project)
    query = urlencode({"view": "bugs", "after": place_of_bug(page.rows[-1])}) if page.more else ""
    rows = tuple(_bug_row(bug, here) for bug in page.rows)
    return Window((), rows, last.at if last else None, f"{here}?{query}" if query else "")


def _query(wanted: FailureFilter, **more: str) -> str:
    pairs = [(name, value) for name, value in {**asdict(wanted), **more}.items() if value]
    return f"?{urlencode(pairs)}" if pairs else ""


def _state_facets(wanted: FailureFilter, here: str) -> tuple[LedgerFacet, ...]:
    return tuple(
        LedgerFacet(
            _STATE_GLYPHS.get(state, ""),
            word,
            here + _query(replace(wanted, state=state)),
            wanted.state == state,
        )
        for state, word in STATE_WORDS.items()
    )


def _grader_facets(wanted: FailureFilter, here: str) -> tuple[LedgerFacet, ...]:
    named = [("", "Any grader"), *((one.value, GRADER_WORDS[one]) for one in _GRADERS)]
    return tuple(
        LedgerFacet("", word, here + _query(replace(wanted, source=key)), wanted.source == key)
        for key, word in named
    )


def _kind_facets(wanted: FailureFilter, here: str) -> tuple[LedgerFacet, ...]:
    named = [("", "Any kind"), *((one.value, _tell_kind(one)) for one in _KINDS)]
    return tuple(
        LedgerFacet("", word, here + _query(replace(wanted, kind=key)), wanted.kind == key)
        for key, word in named
    )


def _tell_kind(kind: IssueKind) -> str:
    return kind.replace("_", " ").capitalize()


def _row(failure: Failure, here: str, wanted: FailureFilter, chosen: UUID | None) -> FailureRow:
    state = "open" if failure.open else "resolved"
    if failure.open and failure.returns:
        state = "returned"
    if failure.ticket_id is not None:
        state = "quarantined"
    return FailureRow(
        href=f"{here}{_query(wanted, failure=str(failure.pk))}#failure",
        fingerprint=failure.fingerprint,
        glyph=_STATE_GLYPHS[state],
        state=STATE_WORDS[state],
        held=failure.ticket_id is not None,
        grader=GRADER_WORDS[Grader(failure.source)],
        kind=failure.kind.replace("_", " "),
        scrubbed=failure.scrubbed,
        locator=failure.locator,
        sightings=failure.sightings,
        runs=failure.runs,
        first=failure.first_at,
        last=failure.last_at,
        current=failure.pk == chosen,
    )


def _bug_row(bug: KnownBug, here: str) -> BugRow:
    return BugRow(
        href=f"{here}?{urlencode({'bug': bug.bug})}",
        kind=bug.kind.replace("_", " "),
        scrubbed=bug.scrubbed,
        failures=bug.failures,
        open_failures=bug.open_failures,
        sightings=bug.sightings,
        last=bug.last_at,
    )


def read_panel(*, actor: Actor, failure_id: UUID, here: str) -> FailurePanel:
    failure = read_failure(actor=actor, failure_id=failure_id)
    entries = read_newest_entries(failure, HISTORY + 1)
    lines = read_open_lines(failure)
    resolved = failure.resolved_report
    reports = [failure.first_report, failure.last_report, *([resolved] if resolved else [])]
    heads = _Heads.read(
        [
            *((entry.branch_id, entry.head_seq) for entry in entries if entry.branch_id),
            *((line.branch_id, line.seq) for line in lines),
            *((report.branch_id, report.head_seq) for report in reports),
        ]
    )
    ticket = next((entry for entry in entries if entry.pk == failure.ticket_id), failure.ticket)
    return FailurePanel(
        id=failure.pk,
        row=_row(failure, here, FailureFilter(), failure.pk),
        message=failure.message,
        returns=failure.returns,
        first_place=heads.of_report(failure.first_report),
        last_place=heads.of_report(failure.last_report),
        resolved_place=heads.of_report(resolved) if resolved else None,
        resolved_at=failure.resolved_at,
        stands=tuple(heads.of_line(line) for line in lines),
        turns=tuple(heads.of_entry(entry) for entry in entries[:HISTORY]),
        more_turns=len(entries) > HISTORY,
        ticket=heads.of_entry(ticket) if ticket else None,
        bug_href=f"{here}?{urlencode({'bug': failure.bug})}",
    )


@dataclass(frozen=True, slots=True)
class _Heads:
    """Links into the tree: the event that was a branch's head, read for all of them at once."""

    events: Mapping[tuple[UUID, int], UUID]

    @classmethod
    def read(cls, places: Sequence[tuple[UUID, int]]) -> "_Heads":
        asked = set(places)
        rows = Event.objects.filter(
            branch__in={branch for branch, _ in asked}, seq__in={seq for _, seq in asked}
        )
        told = rows.values_list("branch_id", "seq", "event_id")
        return cls({(b, seq): event for b, seq, event in told if (b, seq) in asked})

    def href(self, run: UUID, branch: UUID, seq: int) -> str:
        """The branch alone where the head is its fork point."""
        event = self.events.get((branch, seq))
        query = {"branch": str(branch)} | ({"event": str(event)} if event else {})
        return f"{reverse('run', args=[run])}?{urlencode(query)}"

    def of_report(self, report: Report) -> StandsOn:
        return StandsOn(
            _name(report.branch),
            self.href(report.branch.run_id, report.branch_id, report.head_seq),
            _tool(report.grader, report.tool),
            returned=False,
        )

    def of_line(self, line: FailureLine) -> StandsOn:
        href = self.href(line.run_id, line.branch_id, line.seq)
        return StandsOn(_name(line.branch), href, _tool(line.grader, line.tool), line.returned)

    def of_entry(self, entry: FailureEntry) -> TurnRow:
        glyph, word = _TURNS[Turn(entry.turn)]
        report, branch = entry.report, entry.branch
        told: dict[str, Any] = {"place": "", "href": "", "report_href": "", "report": 0}
        if report is not None and branch is not None:
            told = {
                "place": _name(branch),
                "href": self.href(branch.run_id, branch.pk, entry.head_seq),
                "report_href": _report_href(report, branch.run_id),
                "report": report.order,
            }
        return TurnRow(
            glyph=glyph,
            word=word,
            at=entry.at,
            tool=_tool(entry.grader, entry.tool) if entry.grader else "",
            by=entry.by_name,
            reason=entry.reason,
            **told,
        )


def _name(branch: Branch) -> str:
    return f"r-{branch.run.number} {branch.label}"


def _tool(grader: str, tool: str) -> str:
    named = GRADER_WORDS[Grader(grader)]
    return f"{named} {tool}" if tool else named


def _report_href(report: Report, run: UUID) -> str:
    query = {"branch": str(report.branch_id), "report": str(report.pk)}
    return f"{reverse('run-verdicts', args=[run])}?{urlencode(query)}#report"
