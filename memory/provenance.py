"""What a curator answers for about every record: where it is from, who let it in, and why it is
still here. Each in one sentence, with who, when, and where to look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q
from django.urls import reverse

from memory.consolidation_models import Consolidation
from memory.domain.strength import PRUNE_CONFIDENCE, PRUNE_STRENGTH, PRUNE_SUPPORT, may_prune
from memory.domain.terms import Answer, Standing, Trust
from memory.models import Evidence, PromotionDecision, Record
from verel_site.audit.models import AuditEntry

SHOWN_DECISIONS: Final = 20
FALLS: Final = {
    "memory.regress": "What verified it fails: it fell back",
    "memory.prune": "It faded, and was buried",
}
_LETS_IN: Final = (Answer.PROMOTE.value, Answer.EDIT.value)


@dataclass(frozen=True, slots=True)
class Because:
    """`words` come first, then who, when and why; `href` leads to what `place` names."""

    words: str
    by: str = ""
    at: datetime | None = None
    why: str = ""
    place: str = ""
    href: str = ""
    human: bool = False


@dataclass(frozen=True, slots=True)
class Provenance:
    origin: Because
    let_in: Because
    stays: Because


@dataclass(frozen=True)
class Past:
    """What people decided about a record, the latest first, and what befell it without them."""

    decisions: Sequence[PromotionDecision]
    falls: Sequence[AuditEntry]

    def last(self, record: Record, *answers: str) -> PromotionDecision | None:
        """The latest of these answers that stands; of an edit, the one that made the record."""
        for one in self.decisions:
            about = one.other_id if one.answer == Answer.EDIT.value else one.record_id
            if one.undone_at is None and one.answer in answers and about == record.pk:
                return one
        return None


def read_past(record: Record) -> Past:
    """Two queries."""
    about = Q(record=record) | Q(other=record)
    decisions = PromotionDecision.objects.filter(about, project_id=record.project_id)
    falls = AuditEntry.objects.filter(
        project_id=record.project_id, subject=f"record:{record.record_id}", action__in=FALLS
    )
    return Past(
        list(decisions.select_related("record", "other").order_by("-pk")[:SHOWN_DECISIONS]),
        list(falls.order_by("-number")[:SHOWN_DECISIONS]),
    )


def tell_provenance(
    record: Record, *, slug: str, past: Past, evidence: Sequence[Evidence], strength: float
) -> Provenance:
    """`evidence` with its runs, the earliest first; `record` with what it supersedes and what
    suppresses it; `strength` as it is at the moment. One query more where a consolidation wrote it."""
    return Provenance(
        _origin(record, slug, evidence), _let_in(record, past), _stays(record, slug, past, strength)
    )


def _origin(record: Record, slug: str, evidence: Sequence[Evidence]) -> Because:
    job = _writer(record)
    if record.supersedes is not None and record.by_kind == "person":
        words = f"Version {record.version}, an edit of {record.supersedes.label}"
    elif job is not None:
        words = "Written by a consolidation"
    else:
        who = {"key": "an agent's key", "person": "a person"}.get(record.by_kind, "the system")
        words = f"Proposed by {who}"
    first = next((row for row in evidence if row.agrees), None)
    place, href, why = "", "", "No event of the journal speaks for it."
    if first is not None:
        place, href = (
            f"r-{first.run.number} / {first.seq:,}",
            reverse("event", args=[first.event_id]),
        )
        runs = record.support_count
        why = f"{runs} independent run{'s' * (runs != 1)}, first seen in"
    elif job is not None:
        place, href = (
            f"consolidation {job.number}",
            reverse("memory-consolidation", args=[slug, job.number]),
        )
        why = "By"
    return Because(
        words, record.by_name, record.created_at, why, place, href, record.by_kind == "person"
    )


def _writer(record: Record) -> Consolidation | None:
    if record.by_kind != "system" or not record.by_name.startswith("consolidation "):
        return None
    rows = Consolidation.objects.filter(project_id=record.project_id)
    number = record.by_name.removeprefix("consolidation ")
    return rows.filter(number=int(number)).first() if number.isdecimal() else None


def _let_in(record: Record, past: Past) -> Because:
    if record.trust == Trust.VERIFIED.value:
        one = past.last(record, *_LETS_IN)
        if one is None:
            return Because("Verified, and no decision about it stands")
        words = "Promoted by a person"
        if one.answer == Answer.EDIT.value:
            words = "Edited and promoted by a person"
        return Because(
            words, one.by_name, one.created_at, one.reason or "No reason was given.", human=True
        )
    if record.trust == Trust.CORROBORATED.value:
        runs = record.support_count
        below = "; contexts take it below what is verified" if record.may_be_recalled else ""
        return Because(f"{runs} independent runs agree", why=f"No person vouches for it{below}.")
    return Because("Nobody yet", why="It is unverified, and enters no context.")


def _stays(record: Record, slug: str, past: Past, strength: float) -> Because:
    match Standing(record.standing):
        case Standing.LIVE:
            return _live(record, strength)
        case Standing.HELD:
            return Because("It waits for a person", why="Never recalled before somebody answers.")
        case Standing.SUPPRESSED:
            other = record.suppressed_by
            if other is None:
                return Because("Suppressed", why="Kept in history, never recalled.")
            href = reverse("memory-record", args=[slug, other.number])
            return Because(
                "Suppressed", why="Kept in history, never recalled; it yields to",
                place=other.label, href=href,
            )  # fmt: skip
        case Standing.BURIED:
            return _gone(record, past, Answer.BURY.value, "Buried: kept, never recalled")
        case Standing.REFUSED:
            return _gone(record, past, Answer.REJECT.value, "Refused for ever")


def _live(record: Record, strength: float) -> Because:
    times = record.retrieval_count
    used = f"Recalled {times:,} time{'s' * (times != 1)}" if times else "Never recalled so far"
    if record.trust == Trust.VERIFIED.value:
        why = f"What is verified is never pruned; its strength is {strength:.2f}."
    elif may_prune(
        strength=strength,
        confidence=record.confidence,
        support=record.support_count,
        trust=Trust(record.trust),
    ):
        why = "It has faded: the next consolidation buries it."
    else:
        why = f"Not faded: {_margins(record, strength)}."
    return Because(used, at=record.retrieved_at, why=why)


def _margins(record: Record, strength: float) -> str:
    """What keeps it from being pruned, which takes all of them to be low."""
    runs = record.support_count
    told = []
    if strength >= PRUNE_STRENGTH:
        told.append(f"strength {strength:.2f} of at least {PRUNE_STRENGTH}")
    if record.confidence >= PRUNE_CONFIDENCE:
        told.append(f"confidence {record.confidence:.2f} of at least {PRUNE_CONFIDENCE}")
    if runs >= PRUNE_SUPPORT:
        told.append(f"{runs} runs of at least {PRUNE_SUPPORT}")
    return ", ".join(told)


def _gone(record: Record, past: Past, answer: str, words: str) -> Because:
    one = past.last(record, answer)
    if one is not None:
        return Because(
            words, one.by_name, one.created_at, one.reason or "No reason was given.", human=True
        )
    fall = next((row for row in past.falls if row.action == "memory.prune"), None)
    if fall is not None and answer == Answer.BURY.value:
        return Because(words, fall.actor_name, fall.at, fall.reason)
    return Because(words)
