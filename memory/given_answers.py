"""Answers that a reader gave just now, as the page shows them that it comes back to: each by name,
and all of them to be taken back at once."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.urls import reverse
from django.utils import timezone

from memory.domain.terms import Answer
from memory.models import PromotionDecision, Record
from memory.promotion import Row
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.inbox.decisions import UNDO_SECONDS
from verel_site.kit.refusals import BadInput

MAX_TOLD: Final = 100
WORDS: Final = {
    Answer.PROMOTE.value: "promoted",
    Answer.EDIT.value: "promoted as edited",
    Answer.MERGE.value: "merged",
    Answer.DEMOTE.value: "demoted",
    Answer.REJECT.value: "refused for ever",
    Answer.BURY.value: "buried",
    Answer.DEFER.value: "deferred",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record. `refused` says why nothing did."""

    label: str
    href: str
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """`decisions` are those that may still be taken back, within `seconds` without a reason."""

    words: str
    done: tuple[Result, ...]
    refused: tuple[Result, ...] = ()
    decisions: tuple[int, ...] = ()
    seconds: int = 0
    undo_seconds: int = UNDO_SECONDS

    @property
    def in_time(self) -> bool:
        return self.seconds > 0


def read_ids(said: str) -> list[int]:
    """Decisions as an address names them: 12,13. Raises BadInput."""
    told = [part for part in said.split(",") if part]
    if len(told) > MAX_TOLD or not all(part.isdecimal() and len(part) < 19 for part in told):
        raise BadInput("done names decisions: 12,13.", parameter="done")
    return [int(part) for part in told]


def read_given(*, actor: Actor, project: Project, ids: Collection[int]) -> Given | None:
    """Of these decisions what the reader gave, and whether it was taken back meanwhile."""
    if not ids:
        return None
    rows = PromotionDecision.objects.filter(project=project, pk__in=ids)
    rows = rows.filter(by_kind=actor.kind, by_id=actor.id).select_related("record")
    found = sorted(rows, key=lambda row: row.pk)
    if not found:
        return None
    standing = [row for row in found if row.undone_at is None]
    if not standing:
        return Given(
            f"{len(found)} answer{'s' * (len(found) != 1)} taken back.",
            tuple(_result(project, row.record) for row in found),
        )
    oldest = min(row.created_at for row in standing)
    left = UNDO_SECONDS - int((timezone.now() - oldest).total_seconds())
    return Given(
        f"{len(standing)} {WORDS[standing[0].answer]}.",
        tuple(_result(project, row.record) for row in standing),
        decisions=tuple(row.pk for row in standing),
        seconds=max(0, left),
    )


def tell_rows(*, project: Project, rows: Iterable[Row], answer: Answer) -> Given:
    """What a bulk decision did to each record that was picked."""
    told = list(rows)
    done = [row.decided for row in told if row.decided is not None]
    named = Record.objects.filter(
        project=project, record_id__in=[row.record_id for row in told if row.refusal is not None]
    )
    known: Mapping[object, Record] = {record.record_id: record for record in named}
    refused = tuple(
        _refused(project, known.get(row.record_id), f"{row.refusal.title}. {row.refusal.detail}")
        for row in told
        if row.refusal is not None
    )
    return Given(
        f"{len(done)} {WORDS[answer.value]}.",
        tuple(_result(project, one.record) for one in done),
        refused,
        tuple(one.decision.pk for one in done),
        UNDO_SECONDS if done else 0,
    )


def _result(project: Project, record: Record) -> Result:
    return Result(record.label, reverse("memory-record", args=[project.slug, record.number]))


def _refused(project: Project, record: Record | None, why: str) -> Result:
    if record is None:
        return Result("no record", "", why)
    return Result(record.label, reverse("memory-record", args=[project.slug, record.number]), why)
