"""Signed heads: what a project's chains had reached, signed and kept outside of the database.

A chain whose tail was cut off is whole, and whoever can write rows can chain them anew. Neither
can bring back what a head says that was signed before: the number and seal of the last audit
entry, and one digest over the last event of every branch. The worker keeps such heads under
VEREL_HOME; `manage.py audit_head` prints one for keeping where no administrator of the database
can reach it.
"""

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

import verel_site.soundness
from branches.domain.chains import Mark
from branches.models import Run
from branches.soundness.runs import mark_heads
from verel_site.access.models import Project
from verel_site.audit.ledger import FIRST_SEAL
from verel_site.audit.models import AuditEntry
from verel_site.kit.faults import Fault
from verel_site.kit.snapshots import one_moment
from verel_site.kit.strict_json import encode_sorted

logger = logging.getLogger(__name__)

SIGN_SECONDS: Final = 300.0
# Of the heads that were kept: the latest, and before those the first of each day.
KEPT_LATEST: Final = 24
KEPT_DAYS: Final = 30


class NotSigned(Exception):
    """A text is no head, or was not signed with this installation's secret."""


@dataclass(frozen=True, slots=True)
class Head:
    """Digests are lower-case hex; `position` is that of the last event the digest covers."""

    project: str
    at: str
    audit_number: int
    audit_seal: str
    position: int
    branches: int
    events: int
    digest: str

    def as_json(self) -> dict[str, Any]:
        """With its signature."""
        return {**asdict(self), "signature": _sign(asdict(self))}

    @classmethod
    def read(cls, line: str) -> Self:
        """Raises NotSigned."""
        try:
            fields = json.loads(line)
            signature = fields.pop("signature")
            head = cls(**fields)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise NotSigned("it is no signed head") from error
        if not constant_time_compare(str(signature), _sign(fields)):
            raise NotSigned(f"the signature on the head of {head.at} does not hold")
        return head


def _sign(fields: dict[str, Any]) -> str:
    text = encode_sorted(fields).decode()
    return salted_hmac("verel_site.heads", text, algorithm="sha256").hexdigest()


def take_head(project_id: UUID) -> Head:
    """The head of a project as it is now."""
    with one_moment():
        entry = AuditEntry.objects.filter(project_id=project_id).order_by("-number").first()
        mark = mark_heads(project_id)
    return Head(
        project=str(project_id),
        at=timezone.now().isoformat(),
        audit_number=entry.number if entry else 0,
        audit_seal=bytes(entry.seal if entry else FIRST_SEAL).hex(),
        position=mark.position,
        branches=mark.branches,
        events=mark.events,
        digest=mark.digest.hex(),
    )


def find_faults(
    *, project_id: UUID, counts: Counter[str], heads: Iterable[Head] = ()
) -> Iterator[Fault]:
    """Every fault of the project, and every kept or given head that it does not bear out."""
    yield from _read_faults(project_id)
    known = [*read_kept(project_id), *(h for h in heads if h.project == str(project_id))]
    known = sorted(set(known), key=lambda head: (head.position, head.at))
    counts["signed heads"] += len(known)
    marks = [Mark(head.position) for head in known]
    yield from verel_site.soundness.find_faults(project_id=project_id, counts=counts, marks=marks)
    yield from _compare(project_id, known, marks)


def _compare(project_id: UUID, heads: Sequence[Head], marks: Sequence[Mark]) -> Iterator[Fault]:
    yield from _compare_audit(project_id, heads)
    for head, mark in zip(heads, marks, strict=True):
        if mark.digest.hex() != head.digest:
            named = f"the branches' events up to position {head.position}"
            yield Fault("cut_tail", named, _lost(head, mark))


def _compare_audit(project_id: UUID, heads: Sequence[Head]) -> Iterator[Fault]:
    numbers = {head.audit_number for head in heads}
    entries = AuditEntry.objects.filter(project_id=project_id, number__in=numbers)
    seals = {entry.number: bytes(entry.seal).hex() for entry in entries} | {0: FIRST_SEAL.hex()}
    for head in heads:
        if seals.get(head.audit_number) != head.audit_seal:
            there = "it is another" if head.audit_number in seals else "it is not there"
            named = f"audit entry {head.audit_number}"
            yield Fault("cut_tail", named, f"it was the last when signed at {head.at}; {there}")


def _lost(head: Head, mark: Mark) -> str:
    signed = f"{head.events} on {head.branches} branches when signed at {head.at}"
    return f"they were {signed}; there are {mark.events} on {mark.branches}, or other ones"


def _path(project_id: UUID) -> Path:
    return Path(settings.VEREL_HOME) / "heads" / f"{project_id}.jsonl"


def _lines(project_id: UUID) -> list[str]:
    path = _path(project_id)
    return path.read_text().splitlines() if path.exists() else []


def read_kept(project_id: UUID) -> list[Head]:
    """The heads that the worker kept, oldest first, but those whose signature does not hold."""
    heads = []
    for line in _lines(project_id):
        try:
            heads.append(Head.read(line))
        except NotSigned:
            continue
    return heads


def _read_faults(project_id: UUID) -> Iterator[Fault]:
    for number, line in enumerate(_lines(project_id), start=1):
        try:
            Head.read(line)
        except NotSigned as error:
            yield Fault("head", f"line {number} of {_path(project_id).name}", str(error))


def keep_heads() -> bool:
    """Signs and keeps a new head of every project in which something has happened since the last.

    Where the audit chain does not hold the last one any more nothing is kept, and it is logged.
    Answers False: there is never more to do at once.
    """
    for project in Project.objects.order_by("pk"):
        kept = read_kept(project.pk)
        if kept and not _moved(project.pk, kept[-1]):
            continue
        lost = list(_compare_audit(project.pk, kept[-1:]))
        if lost:
            logger.error("project %s: %s", project.slug, lost[0])
            continue
        _write(project.pk, [*kept, take_head(project.pk)])
    return False


def _moved(project_id: UUID, head: Head) -> bool:
    last = AuditEntry.objects.filter(project_id=project_id).order_by("-number").first()
    run = Run.objects.filter(project_id=project_id).order_by("-touched_at").first()
    return (last.number if last else 0) != head.audit_number or (
        run is not None and run.touched_at.isoformat() > head.at
    )


def _write(project_id: UUID, heads: Sequence[Head]) -> None:
    path = _path(project_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    draft.write_text("".join(json.dumps(head.as_json()) + "\n" for head in thin_out(heads)))
    draft.replace(path)


def thin_out(heads: Sequence[Head]) -> list[Head]:
    """The latest KEPT_LATEST, and before those the first of each of the last KEPT_DAYS days."""
    older, latest = heads[:-KEPT_LATEST], heads[-KEPT_LATEST:]
    days: dict[str, Head] = {}
    for head in older:
        days.setdefault(head.at[:10], head)
    return [*list(days.values())[-KEPT_DAYS:], *latest]
