"""The page of one record, which is also where its promotion is reviewed: what it says, what speaks
for it, what it collides with, how it fades, and what people did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from memory import seals
from memory.curves import read_curves
from memory.decay_chart import Fading, draw_decay
from memory.domain.entailment import PRECISE_ENTAILMENT
from memory.domain.likeness import says_the_same, similarity, words_of
from memory.domain.readings import strip_hidden
from memory.domain.strength import Curve, Curves
from memory.domain.terms import Kind, RequestState, Standing, Trust
from memory.evidence import evidence_digest, list_evidence
from memory.models import (
    CurveFit,
    Evidence,
    PromotionDecision,
    PromotionRequest,
    Record,
    RefusedValue,
    Retrieval,
)
from memory.proposal_rail import KIND_NAMES as KIND_NAMES
from memory.proposal_rail import (
    Decision,
    Waiting,
    read_past_decisions,
    read_waiting,
    title_of,
)
from memory.provenance import FALLS, Past, Provenance, read_past, tell_provenance
from memory.review import Review, read_review, read_words
from memory.skill_files import SkillFiles, read_skill_files
from memory.storage.recall_index import clauses_of, find_words
from memory.word_changes import Piece, compare_words
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.rights import Right
from verel_site.inbox.decisions import UNDO_SECONDS
from verel_site.kit.moments import tell_moment
from verel_site.kit.refusals import NotFound

KIND_ICONS: Final = {
    Kind.FACT.value: "bookmark",
    Kind.RULE.value: "gavel",
    Kind.SKILL.value: "book-open",
}
KIND_WORDS: Final = {
    Kind.FACT.value: "Facts",
    Kind.RULE.value: "Design rules",
    Kind.SKILL.value: "Skills",
}
ITEM_WORDS: Final = {
    "security": "security",
    "api_contract": "API contract",
    "ui_fix": "UI fix",
    "cosmetic_tip": "cosmetic tip",
}
TOLD: Final = {
    "promote": "promotes it",
    "edit": "edits and promotes it",
    "merge": "merges it",
    "demote": "demotes it",
    "reject": "refuses it for ever",
    "bury": "buries it",
    "defer": "defers it",
}
SHOWN_EVIDENCE: Final = 40
SHOWN_USES: Final = 24
SHOWN_HISTORY: Final = 20
NEIGHBOURS: Final = 8
LIKE: Final = 0.4


@dataclass(frozen=True, slots=True)
class RecordLine:
    """A record as a row shows it. `tier` is the glyph of its trust, or of its refusal."""

    id: UUID
    number: int
    label: str
    href: str
    kind: str
    icon: str
    tier: str
    text: str
    scope: str
    standing: str
    flag: str
    strength: float
    confidence: float
    support: int
    used: datetime | None
    retrievals: int
    key: str
    object: str
    digest: str
    by: str
    created: datetime


def line_of(row: Record, now: datetime, curves: Curves) -> RecordLine:
    return RecordLine(
        id=row.record_id,
        number=row.number,
        label=row.label,
        href=str(row.number),
        kind=KIND_NAMES[row.kind],
        icon=KIND_ICONS[row.kind],
        tier="refused" if row.standing == Standing.REFUSED.value else row.trust,
        text=title_of(row),
        scope=row.scope,
        standing=row.standing,
        flag=_flag(row),
        strength=round(row.strength(now, curves), 2),
        confidence=row.confidence,
        support=row.support_count,
        used=row.retrieved_at,
        retrievals=row.retrieval_count,
        key=row.key,
        object=row.object,
        digest=bytes(row.digest).hex(),
        by=row.by_name,
        created=row.created_at,
    )


def _flag(row: Record) -> str:
    if row.standing == Standing.HELD.value:
        codes = {one.get("code") for one in row.held_for}
        return "contradicts a verified one" if "contradicts_verified" in codes else "held"
    if row.standing == Standing.SUPPRESSED.value:
        return f"suppressed by {row.suppressed_by.label}" if row.suppressed_by else "suppressed"
    return "" if row.standing == Standing.LIVE.value else row.standing


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    href: str
    place: str
    quote: str
    words: str
    source: str
    score: float | None
    agrees: bool
    corroborator: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Happening:
    at: datetime
    words: str
    human: bool = False
    reason: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Rung:
    word: str
    tier: str
    done: bool
    current: bool
    note: str


@dataclass(frozen=True, slots=True)
class Use:
    at: datetime
    goal: str
    role: str
    href: str


@dataclass(frozen=True)
class Draft:
    """What the person typed before an answer was refused, and which answer it was."""

    answer: str = ""
    reason: str = ""
    text: str = ""
    object: str = ""
    expression: str = ""
    into: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """An answer that the reader gave just now, and may take back."""

    id: int
    label: str
    href: str
    words: str
    seconds: int

    @property
    def in_time(self) -> bool:
        return self.seconds > 0


@dataclass(frozen=True)
class RecordPage:
    project: Project
    record: Record
    line: RecordLine
    provenance: Provenance
    pieces: tuple[Piece, ...]
    ladder: tuple[Rung, ...]
    evidence: tuple[EvidenceRow, ...]
    evidence_digest: str
    runs: int
    entailment: float | None
    rivals: tuple[RecordLine, ...]
    near: tuple[RecordLine, ...]
    refusals: tuple[RefusedValue, ...]
    skill: SkillFiles | None
    decay: SafeString
    curve_words: str
    history: tuple[Happening, ...]
    uses: tuple[Use, ...]
    request: PromotionRequest | None
    waiting: tuple[Waiting, ...]
    past: tuple[Decision, ...]
    may_decide: bool
    draft: Draft
    fault: str = ""
    decided: Decided | None = None
    seal_holds: bool = False
    review: Review | None = None
    undo_seconds: int = UNDO_SECONDS

    screen: str = "promotion"
    nav: str = "memory"

    @property
    def title(self) -> str:
        # No words of an agent's: a title is no place where they could be made visible.
        return f"{self.line.kind} {self.line.label}"

    @property
    def kind_word(self) -> str:
        return KIND_WORDS[self.record.kind]

    @property
    def floor(self) -> float:
        return PRECISE_ENTAILMENT

    @property
    def is_refused(self) -> bool:
        return self.record.standing == Standing.REFUSED.value

    @property
    def is_verified(self) -> bool:
        return self.record.trust == Trust.VERIFIED.value

    @property
    def corroborators(self) -> tuple[EvidenceRow, ...]:
        return tuple(row for row in self.evidence if row.corroborator)

    @property
    def mergeable(self) -> tuple[RecordLine, ...]:
        """What it may be merged into, the likeliest first."""
        standing = (Standing.LIVE.value, Standing.HELD.value)
        same = [row for row in self.rivals if row.object == self.line.object]
        other = [row for row in self.rivals if row.object != self.line.object]
        return tuple(row for row in (*same, *self.near, *other) if row.standing in standing)

    @property
    def merges_likely(self) -> bool:
        """Whether the first of these says the same; a contradiction is never chosen beforehand."""
        first = next(iter(self.mergeable), None)
        return first is not None and (not first.key or first.object == self.line.object)

    @property
    def short_digest(self) -> str:
        return f"{self.line.digest[:4]} {self.line.digest[4:8]}"


def read_record_page(
    *,
    actor: Actor,
    project: Project,
    number: int,
    fault: str = "",
    draft: Draft | None = None,
    decided: int = 0,
    seen: str = "",
    against: str = "",
) -> RecordPage:
    """Everything that a decision about a record needs. A constant number of queries. `seen` is the
    id of the request that the reader has before them; what became of it is told."""
    actor.demand(project.pk, Right.READ)
    rows = Record.objects.visible_to(actor).filter(project=project, number=number)
    record = rows.select_related("suppressed_by", "supersedes").first()
    if record is None:
        raise NotFound(f"There is no record {number} in this project.")
    now, curves = timezone.now(), read_curves(project.pk)
    evidence = list(record.evidence.select_related("run").order_by("position"))
    rivals = read_rivals(record)
    fit = _read_fit(record)
    retrievals = list(
        Retrieval.objects.filter(record=record)
        .select_related("assembly")
        .order_by("-at")[:SHOWN_USES]
    )
    requests = list(
        PromotionRequest.objects.filter(record=record).order_by("-created_at")[:SHOWN_HISTORY]
    )
    request = next((one for one in requests if one.state == RequestState.OPEN.value), None)
    said = read_words(evidence)
    runs = {row.run_id for row in evidence if row.agrees}
    past = read_past(record)
    scores = [row.score for row in evidence if row.score is not None and row.agrees]
    return RecordPage(
        project=project,
        record=record,
        line=line_of(record, now, curves),
        provenance=tell_provenance(
            record,
            slug=project.slug,
            past=past,
            evidence=evidence,
            strength=record.strength(now, curves),
        ),
        pieces=compare_words(_said_before(record, rivals), title_of(record)),
        ladder=_ladder(record),
        evidence=tuple(_evidence_row(row, said) for row in evidence[:SHOWN_EVIDENCE]),
        evidence_digest=evidence_digest(list_evidence(record)).hex(),
        runs=len(runs),
        entailment=max(scores, default=None),
        rivals=tuple(line_of(row, now, curves) for row in rivals),
        near=tuple(line_of(row, now, curves) for row in _read_near(record)),
        refusals=tuple(_read_refusals(record)),
        skill=read_skill_files(record, slug=project.slug, against=against),
        decay=draw_decay(
            fading_of(record, now, curves, evidence=evidence, retrievals=retrievals, fit=fit)
        ),
        curve_words=_curve_words(record, record.curve(curves), fit),
        history=_history(record, project.slug, evidence, requests, past),
        uses=tuple(_use(row, project.slug) for row in retrievals[:NEIGHBOURS]),
        request=request,
        waiting=read_waiting(project, record),
        past=read_past_decisions(project),
        may_decide=actor.may(project.pk, Right.CURATE) and actor.kind == "person",
        draft=draft or _first_draft(record),
        fault=fault,
        decided=_read_decided(actor, project, decided, now) if decided else None,
        seal_holds=bool(record.seal) and seals.holds(record),
        review=read_review(
            actor=actor,
            record=record,
            requests=requests,
            runs=runs,
            seen=seen,
            pins=_pins(record, request),
        ),
    )


def _pins(record: Record, request: PromotionRequest | None) -> str:
    """Another text where what is before a reviewer is not what they looked at."""
    return f"{request.pk if request else ''} {record.trust} {record.standing}"


def _read_decided(
    actor: Actor, project: Project, decision_id: int, now: datetime
) -> Decided | None:
    rows = PromotionDecision.objects.filter(project=project, pk=decision_id, undone_at=None)
    row = rows.filter(by_kind=actor.kind, by_id=actor.id).select_related("record").first()
    if row is None:
        return None
    href = reverse("memory-record", args=[project.slug, row.record.number])
    left = UNDO_SECONDS - int((now - row.created_at).total_seconds())
    words = f"{row.by_name} {TOLD[row.answer]}"
    return Decided(row.pk, row.record.label, href, words, max(0, left))


def _first_draft(record: Record) -> Draft:
    """What an edit begins with: a person edits what they see, and no more."""
    return Draft(
        text=strip_hidden(record.text),
        object=strip_hidden(record.object),
        expression=strip_hidden(record.expression),
    )


def read_rivals(record: Record) -> list[Record]:
    """Others under its key: what it contradicts, or what it came after."""
    if not record.key:
        return []
    rows = Record.objects.filter(project_id=record.project_id, key=record.key)
    rows = rows.exclude(pk=record.pk).select_related("suppressed_by")
    return list(rows.order_by("-trust", "position")[:NEIGHBOURS])


def _said_before(record: Record, rivals: Sequence[Record]) -> str:
    """What the record would take the place of."""
    if record.supersedes is not None:
        return title_of(record.supersedes)
    told = [
        row for row in rivals if row.standing == Standing.LIVE.value and row.scope == record.scope
    ]
    return title_of(told[0]) if told and record.standing == Standing.HELD.value else ""


def _ladder(record: Record) -> tuple[Rung, ...]:
    rank = Trust(record.trust).rank
    notes = {
        Trust.UNVERIFIED: tell_moment(record.created_at, "day"),
        Trust.CORROBORATED: f"{record.support_count} independent run"
        f"{'' if record.support_count == 1 else 's'}",
        Trust.VERIFIED: "" if rank == 2 else "needs a person",
    }
    return tuple(
        Rung(
            trust.value.capitalize(),
            trust.value,
            trust.rank <= rank,
            trust.rank == rank,
            notes[trust],
        )
        for trust in Trust
    )


def _evidence_row(row: Evidence, said: Mapping[UUID, str]) -> EvidenceRow:
    return EvidenceRow(
        href=reverse("event", args=[row.event_id]),
        place=f"r-{row.run.number} / {row.seq:,}",
        quote=row.quote,
        words=said.get(row.event_id, ""),
        source=row.source,
        score=row.score,
        agrees=row.agrees,
        corroborator=row.corroborator,
    )


def _read_near(record: Record) -> list[Record]:
    """Records that say much the same under another key or none: what it might be merged into."""
    clauses = clauses_of(record.text)
    if not clauses:
        return []
    positions = find_words(project_id=record.project_id, clauses=clauses, limit=NEIGHBOURS * 2)
    rows = Record.objects.filter(position__in=positions, kind=record.kind).exclude(pk=record.pk)
    rows = rows.filter(standing__in=[Standing.LIVE.value, Standing.HELD.value])
    mine = words_of(record.text)
    told = [
        row for row in rows.select_related("suppressed_by") if row.key != record.key or not row.key
    ]
    told = [
        row
        for row in told
        if says_the_same(row.text, record.text) or similarity(words_of(row.text), mine) >= LIKE
    ]
    return sorted(told, key=lambda row: -similarity(words_of(row.text), mine))[:NEIGHBOURS]


def _read_refusals(record: Record) -> list[RefusedValue]:
    rows = RefusedValue.objects.filter(project_id=record.project_id, cleared_at=None)
    if record.key:
        return list(rows.filter(key=record.key).order_by("created_at")[:NEIGHBOURS])
    return list(rows.filter(record=record).order_by("created_at"))


def fading_of(
    record: Record,
    now: datetime,
    curves: Curves,
    *,
    evidence: Sequence[Evidence] | None = None,
    retrievals: Sequence[Retrieval] | None = None,
    fit: CurveFit | None = None,
) -> Fading:
    """What a chart of the record shows; reads what it is not given."""
    if evidence is None:
        evidence = list(record.evidence.order_by("position"))
    if retrievals is None:
        retrievals = list(Retrieval.objects.filter(record=record).order_by("-at")[:SHOWN_USES])
    first: dict[UUID, datetime] = {}
    for row in sorted(evidence, key=lambda one: one.created_at):
        if row.agrees:
            first.setdefault(row.run_id, row.created_at)
    uses = [(row.at, row.retrievals + 1) for row in reversed(retrievals)]
    return Fading(
        now=now,
        curve=record.curve(curves),
        uses=[(record.created_at, 0), *uses],
        confidence=record.confidence,
        supports=list(first.values()),
        ahead=record.trust != Trust.VERIFIED.value,
        fitted=fit.curve if fit else None,
    )


def _read_fit(record: Record) -> CurveFit | None:
    """Of its type, where the project's log was long enough; what is verified fades by policy."""
    rows = CurveFit.objects.filter(project_id=record.project_id, item_type=record.item_type)
    return None if record.trust == Trust.VERIFIED.value else rows.first()


def _curve_words(record: Record, curve: Curve, fit: CurveFit | None) -> str:
    what = "Whatever is verified" if record.trust == "verified" else ITEM_WORDS[record.item_type]
    told = (
        "fitted to logged retrievals, and adopted"
        if curve.fitted
        else "a default that no log was fitted to"
    )
    if fit is not None and fit.curve != curve:
        told += (
            f". Fitted to {fit.trials:,} trials: half-life "
            f"{fit.curve.half_life(record.retrieval_count):.0f} days, exponent {fit.beta:.2g}; "
            "nobody adopted it"
        )
    return (
        f"{what}: half-life {curve.half_life(record.retrieval_count):.0f} days, "
        f"exponent {curve.beta:g}, floor {curve.floor:g}; {told}"
    )


def _history(
    record: Record,
    slug: str,
    evidence: Sequence[Evidence],
    requests: Sequence[PromotionRequest],
    past: Past,
) -> tuple[Happening, ...]:
    told = [
        Happening(record.created_at, f"{record.by_name} proposed it", record.by_kind == "person")
    ]
    if record.supersedes is not None:
        told[0] = Happening(
            record.created_at,
            f"{record.by_name} wrote version {record.version} of {record.supersedes.label}",
            record.by_kind == "person",
            href=reverse("memory-record", args=[slug, record.supersedes.number]),
        )
    seen: set[tuple[UUID, bool]] = set()
    for row in evidence:
        if (row.run_id, row.agrees) not in seen:
            seen.add((row.run_id, row.agrees))
            words = "Seen in" if row.agrees else "Contradicted in"
            href = reverse("event", args=[row.event_id])
            told.append(Happening(row.created_at, f"{words} run r-{row.run.number}", href=href))
    told += [
        Happening(request.closed_at, f"A request was void: {request.void_reason}")
        for request in requests
        if request.state == RequestState.VOID.value and request.closed_at
    ]
    for decision in past.decisions:
        if decision.record_id != record.pk:
            continue
        words = f"{decision.by_name} {TOLD[decision.answer]}"
        told.append(Happening(decision.created_at, words, True, decision.reason))
        if decision.undone_at is not None:
            undone = f"{decision.undone_by} takes that back"
            told.append(Happening(decision.undone_at, undone, True, decision.undone_reason))
    told += [Happening(row.at, FALLS[row.action], reason=row.reason) for row in past.falls]
    return tuple(sorted(told, key=lambda one: one.at, reverse=True)[:SHOWN_HISTORY])


def _use(row: Retrieval, slug: str) -> Use:
    href = reverse("memory-context", args=[slug, row.assembly_id])
    return Use(row.at, row.assembly.goal, row.assembly.role, href)
