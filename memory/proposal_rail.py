"""What stands beside a record under review: the proposals that wait, and what was decided last."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.urls import reverse

from memory.domain.terms import Kind
from memory.models import PromotionDecision, PromotionRequest, Record
from memory.requests import waiting_requests
from verel_site.access.models import Project

KIND_NAMES: Final = {
    Kind.FACT.value: "Fact",
    Kind.RULE.value: "Design rule",
    Kind.SKILL.value: "Skill",
}
SHOWN_PROPOSALS: Final = 40
SHOWN_DECISIONS: Final = 6

type Decision = tuple[str, str, datetime, str]
"""The tier it led to, what it was about, when, and where that is."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal of the list beside the record."""

    href: str
    text: str
    tier: str
    note: str
    current: bool
    step: str


def title_of(row: Record) -> str:
    return f"{row.subject or row.text} v{row.version}" if row.kind == Kind.SKILL.value else row.text


def read_waiting(project: Project, record: Record) -> tuple[Waiting, ...]:
    rows = waiting_requests(project.pk)
    listed = list(rows.select_related("record")[:SHOWN_PROPOSALS])
    at = next((i for i, one in enumerate(listed) if one.record_id == record.pk), -1)
    steps = {at + 1: "j", at - 1: "k"} if at >= 0 else {0: "j"}
    return tuple(
        Waiting(
            href=reverse("memory-record", args=[project.slug, one.record.number]),
            text=title_of(one.record),
            tier=one.record.trust,
            note=_note(one),
            current=index == at,
            step=steps.get(index, ""),
        )
        for index, one in enumerate(listed)
    )


def _note(request: PromotionRequest) -> str:
    against = sum(not one["agrees"] and one["standing"] == "live" for one in request.conflicts)
    sources = len(request.evidence)
    told = (
        f"{against} conflict{'' if against == 1 else 's'}"
        if against
        else (f"{sources} source{'' if sources == 1 else 's'}")
    )
    return f"{KIND_NAMES[request.record.kind]}, {told}"


def read_past_decisions(project: Project) -> tuple[Decision, ...]:
    rows = PromotionDecision.objects.filter(project=project, undone_at=None)
    rows = rows.select_related("record")
    told = []
    for row in rows.order_by("-created_at")[:SHOWN_DECISIONS]:
        tier = "refused" if row.answer == "reject" else row.trust_after
        href = reverse("memory-record", args=[project.slug, row.record.number])
        told.append((tier, title_of(row.record), row.created_at, href))
    return tuple(told)
