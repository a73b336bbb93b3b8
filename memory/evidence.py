"""What speaks for a record: events of the project's own journal, counted by independent runs.

A source is named by its event, never taken on the proposer's word. So restating something a
hundred times from one run is one piece of support, and an agent cannot cite what did not happen.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from branches.models import Event
from memory.domain.entailment import Corroborator
from memory.domain.terms import CORROBORATING_EPISODES, PRECISE_SOURCES, Answer, Trust
from memory.domain.trust import (
    Corroborated,
    contradict_confidence,
    move_trust,
    support_confidence,
)
from memory.models import Evidence, PromotionDecision, Record
from verdicts.models import Report
from verel_site.access.actors import Actor
from verel_site.kit.refusals import Unprocessable
from verel_site.kit.strict_json import encode_sorted

MAX_EVIDENCE: Final = 50


class BadEvidence(Unprocessable):
    code = "bad_evidence"
    title = "The evidence is not there"


@dataclass(frozen=True)
class Cited:
    """An event that a proposer cites; `report` names a precise grader's word on its branch, which
    agrees where its verdict is `sees`: of a fault that is fail."""

    event_id: UUID
    quote: str = ""
    score: float | None = None
    report: UUID | None = None
    sees: str = "pass"


@dataclass(frozen=True)
class Source:
    """A citation that was looked up; `corroborator` is what the report says, if one was named."""

    cited: Cited
    event: Event
    report: Report | None

    @property
    def corroborator(self) -> Corroborator | None:
        if self.report is None:
            return None
        agrees = self.report.verdict == self.cited.sees and not self.report.errored
        return Corroborator(self.report.grader, str(self.event.branch_id), agrees)


def find_sources(*, project_id: UUID, cited: Sequence[Cited]) -> list[Source]:
    """Every cited event and report, in the project. Raises BadEvidence with a pointer."""
    if len(cited) > MAX_EVIDENCE:
        raise BadEvidence(f"At most {MAX_EVIDENCE} sources.", pointer="/evidence")
    found = look_up(project_id=project_id, cited=dict(enumerate(cited)), at="/evidence")
    sources: dict[UUID, Source] = {}
    for source in found.values():
        sources.setdefault(source.cited.event_id, source)
    return list(sources.values())


def look_up(
    *, project_id: UUID, cited: Mapping[int, Cited | None], at: str = "/scores"
) -> dict[int, Source]:
    """What stands behind each citation, under its place in the list `at`. Raises BadEvidence."""
    told = {index: one for index, one in cited.items() if one is not None}
    if not told:
        return {}
    rows = Event.objects.filter(
        project_id=project_id, event_id__in=[one.event_id for one in told.values()]
    )
    events = {row.event_id: row for row in rows.defer("payload")}
    named = [one.report for one in told.values() if one.report is not None]
    reports = Report.objects.filter(project_id=project_id).in_bulk(named) if named else {}
    sources = {}
    for index, one in told.items():
        event = events.get(one.event_id)
        if event is None:
            raise BadEvidence(
                f"There is no event {one.event_id} in this project.",
                pointer=f"{at}/{index}/event",
            )
        report = _check_report(one, event, reports, f"{at}/{index}/report")
        sources[index] = Source(one, event, report)
    return sources


def _check_report(
    cited: Cited, event: Event, reports: dict[UUID, Report], here: str
) -> Report | None:
    if cited.report is None:
        return None
    report = reports.get(cited.report)
    if report is None or report.branch_id != event.branch_id or report.head_seq < event.seq:
        raise BadEvidence("The report is about this branch, at the event or later.", pointer=here)
    if report.grader not in PRECISE_SOURCES:
        told = ", ".join(sorted(PRECISE_SOURCES))
        raise BadEvidence(f"Only a precise grader corroborates: {told}.", pointer=here)
    return report


def add_support(record: Record, sources: Sequence[Source], *, actor: Actor) -> int:
    """Adds what is new of the sources; answers how many. Only a run that spoke for the record for
    the first time moves its confidence, and with it perhaps its trust."""
    before = count_runs(record)
    added = _add(record, sources, actor=actor, agrees=True)
    _raise(record, before)
    return added


def count_anew(record: Record) -> None:
    """After its evidence grew otherwise: what was not counted before counts now, for and against."""
    _raise(record, record.support_count)
    against = count_runs(record, agrees=False)
    if record.trust != Trust.VERIFIED.value:
        for _ in range(against - record.contradiction_count):
            record.confidence = contradict_confidence(record.confidence)
    record.contradiction_count = against
    record.save(update_fields=["contradiction_count", "confidence"])


def _raise(record: Record, before: int) -> None:
    record.support_count = count_runs(record)
    for _ in range(record.support_count - before):
        record.confidence = support_confidence(record.confidence)
    moved = Corroborated(_corroborating(record))
    record.trust = move_trust(Trust(record.trust), moved, support=record.support_count).value
    record.save(update_fields=["support_count", "confidence", "trust"])


def _corroborating(record: Record) -> int:
    """Independent runs that may raise it. What a person took away is not given back by what they
    knew: after a demotion it takes as many runs anew."""
    lowered = PromotionDecision.objects.filter(
        record=record, answer=Answer.DEMOTE.value, undone_at=None
    )
    if record.trust != Trust.UNVERIFIED.value or record.support_count < CORROBORATING_EPISODES:
        return record.support_count
    last = lowered.order_by("-created_at").values_list("created_at", flat=True).first()
    if last is None:
        return record.support_count
    rows = Evidence.objects.filter(record=record, agrees=True)
    known = rows.filter(created_at__lte=last).values("run_id")
    return rows.exclude(run_id__in=known).values("run_id").distinct().count()


def weigh_sources(record: Record, sources: Sequence[Source]) -> None:
    """What the sources make of a record that is not stored yet, as `add_support` would."""
    record.support_count = len({source.event.run_id for source in sources})
    for _ in range(record.support_count):
        record.confidence = support_confidence(record.confidence)
    moved = Corroborated(record.support_count)
    record.trust = move_trust(Trust(record.trust), moved, support=record.support_count).value


def keep_sources(record: Record, sources: Sequence[Source], *, actor: Actor) -> None:
    """Of a record that was stored just now."""
    if sources:
        _add(record, sources, actor=actor, agrees=True)


def add_contradiction(record: Record, sources: Sequence[Source], *, actor: Actor) -> None:
    """The sources speak against the record. A verified one keeps its confidence: a person decides
    about it, and no flood of contradictions does."""
    before = count_runs(record, agrees=False)
    _add(record, sources, actor=actor, agrees=False)
    record.contradiction_count = count_runs(record, agrees=False)
    if record.trust != Trust.VERIFIED.value:
        for _ in range(record.contradiction_count - before):
            record.confidence = contradict_confidence(record.confidence)
    record.save(update_fields=["contradiction_count", "confidence"])


def _add(record: Record, sources: Sequence[Source], *, actor: Actor, agrees: bool) -> int:
    known = set(record.evidence.values_list("event_id", flat=True))
    rows = [
        Evidence(
            project_id=record.project_id,
            record=record,
            event_id=source.event.event_id,
            position=source.event.position,
            run_id=source.event.run_id,
            branch_id=source.event.branch_id,
            seq=source.event.seq,
            source=source.event.source,
            quote=source.cited.quote,
            score=source.cited.score,
            corroborator=_tell(source),
            agrees=agrees,
            by_name=actor.name,
        )
        for source in sources
        if source.event.event_id not in known
    ]
    Evidence.objects.bulk_create(rows)
    return len(rows)


def _tell(source: Source) -> dict[str, Any]:
    if source.report is None:
        return {}
    return {
        "report": str(source.report.pk),
        "grader": source.report.grader,
        "verdict": source.report.verdict,
        "receipt": source.report.receipt_standing,
    }


def count_runs(record: Record, *, agrees: bool = True) -> int:
    """Independent episodes: two of one run are one."""
    rows = Evidence.objects.filter(record=record, agrees=agrees)
    return rows.values("run_id").distinct().count()


def list_evidence(record: Record) -> list[dict[str, Any]]:
    """As a promotion request pins it: what was known when it was asked, in one order."""
    rows = record.evidence.order_by("position")
    return [
        {
            "event": str(row.event_id),
            "run": str(row.run_id),
            "score": row.score,
            "agrees": row.agrees,
            "quote": row.quote,
            "corroborator": row.corroborator,
        }
        for row in rows
    ]


def evidence_digest(listed: Sequence[dict[str, Any]]) -> bytes:
    return hashlib.sha256(b"verel evidence 1" + encode_sorted(list(listed))).digest()
