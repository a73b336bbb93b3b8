"""Uploads: a row is the promise that a file is read in, and a worker keeps it.

Whoever claims a row holds it while it tells its progress; a claim that lapsed, because its process
was killed, is taken over. Reading is safe to repeat, so nothing is told twice.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from branches.domain.terms import ImportState
from branches.intake.files import Progress, Tally, TranscriptFile, file_sha256
from branches.intake.transcripts import AUTO, Summary, shown_name
from branches.models import Import
from verdicts.intake import import_and_report
from verel_site.access.actors import Actor
from verel_site.access.projects import actor_of_user
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal

CLAIM_SECONDS: Final = 60
BEAT_SECONDS: Final = 0.5
MAX_ATTEMPTS: Final = 5
# An upload that no row names is the rest of a request that broke off.
STRAY_SECONDS: Final = 24 * 3600


class ImportEnded(Refusal):
    code = "import_ended"
    title = "The import has ended"


class ClaimLost(Exception):
    """Another worker holds the row, or nobody wants it any more."""


def uploads_folder() -> Path:
    """Where uploads lie until they are read. Web and worker share it."""
    folder = Path(settings.VEREL_HOME) / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def queue_imports(
    *, project_id: UUID, actor: Actor, files: Sequence[TranscriptFile], format: str = AUTO
) -> list[Import]:
    """One row for each file; the files are moved away from where they lie.

    Raises Forbidden or NotFound.
    """
    actor.demand(project_id, Right.IMPORT)
    rows = []
    for file in files:
        upload = uuid4().hex
        shutil.move(file.path, uploads_folder() / upload)
        rows.append(
            Import(
                project_id=project_id,
                name=shown_name(file.name),
                format=format,
                state=ImportState.WAITING.value,
                upload=upload,
                bytes_total=(uploads_folder() / upload).stat().st_size,
                imported_by=actor.name,
                user_id=actor.user_id,
            )
        )
    with transaction.atomic():
        for row in rows:
            row.save()
    return rows


@transaction.atomic
def cancel_import(*, import_id: int, project_id: UUID, actor: Actor) -> Import:
    """Nothing more of the file is read; what was read stays. Raises NotFound, ImportEnded."""
    actor.demand(project_id, Right.IMPORT)
    row = Import.objects.filter(pk=import_id, project_id=project_id).first()
    if row is None:
        raise NotFound("There is no such import.")
    open_rows = Import.objects.filter(pk=row.pk, state__in=ImportState.open())
    moved = open_rows.update(
        state=ImportState.CANCELLED.value, claim=None, finished_at=timezone.now()
    )
    if moved != 1:
        raise ImportEnded("It has come to its end already.")
    record_act(
        project_id=row.project_id,
        actor=actor,
        action="transcript.cancel",
        subject=f"import:{row.pk}",
        after={"name": row.name},
    )
    transaction.on_commit(lambda: _drop_upload(row))
    return row


def _drop_upload(row: Import) -> None:
    if row.upload:
        (uploads_folder() / row.upload).unlink(missing_ok=True)


class UploadWorker:
    """Reads uploads in, one after the other. `stop` ends it at the next batch, and lets go."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def run_once(self) -> bool:
        """Reads one upload, if one waits; says whether there was one."""
        row = claim_import()
        if row is None:
            drop_strays()
            return False
        with suppress(ClaimLost):
            _read(row, self.stop)
        return not self.stop.is_set()


def claim_import(now: datetime | None = None) -> Import | None:
    """The oldest upload that waits or whose claim has lapsed, claimed; None without one."""
    now = now or timezone.now()
    lapsed = Q(state=ImportState.READING.value, claimed_until__lte=now)
    free = Q(state=ImportState.WAITING.value) | lapsed
    for row in Import.objects.filter(free).order_by("pk")[:20]:
        claim = uuid4()
        taken = Import.objects.filter(free, pk=row.pk).update(
            state=ImportState.READING.value,
            claim=claim,
            claimed_until=now + timedelta(seconds=CLAIM_SECONDS),
            attempts=F("attempts") + 1,
        )
        if taken == 1:
            row.refresh_from_db()
            return row
    return None


def _read(row: Import, stop: threading.Event) -> None:
    if row.attempts > MAX_ATTEMPTS:
        _finish(row, [], f"It was begun {MAX_ATTEMPTS} times, and never came to its end.")
        return
    path = uploads_folder() / row.upload
    if not row.upload or not path.exists():
        _finish(row, [], "The upload is not here any more. Upload the file again.")
        return
    beat = _Beat(row, stop)
    try:
        summaries = import_and_report(
            project_id=row.project_id,
            actor=_importer(row),
            files=[TranscriptFile(row.name, path)],
            format=row.format,
            progress=beat.follow,
            keep=False,
        )
    except Refusal as refusal:
        _finish(row, [], refusal.detail)
        return
    _finish(row, summaries, "", sha256=file_sha256(path))


def _importer(row: Import) -> Actor:
    """Who uploaded it, with the rights of today; an upload through a key has no user."""
    if row.user_id is not None:
        user = User.objects.filter(pk=row.user_id).first()
        return actor_of_user(user or AnonymousUser())
    return Actor(kind="system", id="import", name=row.imported_by)


class _Beat:
    """Keeps the claim, and tells the row how far the reading is."""

    def __init__(self, row: Import, stop: threading.Event) -> None:
        self.row, self.stop = row, stop
        self.tallies: list[Tally] = []
        self.last = 0.0

    def follow(self, file: TranscriptFile, tally: Tally) -> Progress:
        self.tallies.append(tally)
        return self._tell

    def _tell(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last < BEAT_SECONDS and not self.stop.is_set():
            return
        self.last = now
        held = Import.objects.filter(pk=self.row.pk, claim=self.row.claim)
        until = timezone.now() + timedelta(seconds=CLAIM_SECONDS)
        changes: dict[str, Any] = {"claimed_until": until}
        if self.stop.is_set():
            changes = {"state": ImportState.WAITING.value, "claim": None, "attempts": 0}
        kept = held.update(
            bytes_read=done,
            bytes_total=total,
            summary=_running(self.tallies),
            **changes,
        )
        if kept != 1 or self.stop.is_set():
            raise ClaimLost


def _running(tallies: Sequence[Tally]) -> dict[str, Any]:
    return {
        "events": sum(tally.events for tally in tallies),
        "branches": sum(tally.branches for tally in tallies),
        "duplicates": sum(tally.duplicates for tally in tallies),
    }


@transaction.atomic
def _finish(row: Import, summaries: Sequence[Summary], fault: str, sha256: str = "") -> None:
    """The end of a claimed row; nothing where the claim was lost."""
    told = _tell_all(summaries)
    faults = [one.fault for one in summaries if one.fault]
    failed = bool(fault) or (bool(faults) and len(faults) == len(summaries))
    runs = [run for one in summaries for run in one.runs]
    formats = {one.format for one in summaries}
    kept = Import.objects.filter(pk=row.pk, claim=row.claim).update(
        state=(ImportState.FAILED if failed else ImportState.DONE).value,
        claim=None,
        fault=fault or (faults[0] if failed else ""),
        format=formats.pop() if len(formats) == 1 else row.format,
        run_id=runs[0] if runs else None,
        sha256=sha256,
        summary=told,
        bytes_read=F("bytes_total"),
        finished_at=timezone.now(),
    )
    if kept != 1:
        return
    if told["events"] or told["branches"]:
        record_act(
            project_id=row.project_id,
            actor=_importer(row),
            action="transcript.import",
            subject=f"import:{row.pk}",
            after={"name": row.name, "sha256": sha256, **told},
        )
    transaction.on_commit(lambda: _drop_upload(row))


def _tell_all(summaries: Sequence[Summary]) -> dict[str, Any]:
    """The sums, and each file of an archive on its own."""
    runs = list(dict.fromkeys(str(run) for one in summaries for run in one.runs))
    return {
        "events": sum(one.events for one in summaries),
        "branches": sum(one.branches for one in summaries),
        "duplicates": sum(one.duplicates for one in summaries),
        "runs": runs,
        "files": [{"name": one.name, "fault": one.fault, **one.as_json()} for one in summaries],
    }


def drop_strays(now: Callable[[], float] = time.time) -> None:
    """Removes old uploads that no open row names."""
    old = []
    with os.scandir(uploads_folder()) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.stat().st_mtime < now() - STRAY_SECONDS:
                    old.append(entry.name)
    if not old:
        return
    wanted = Import.objects.filter(upload__in=old, state__in=ImportState.open())
    for name in set(old) - set(wanted.values_list("upload", flat=True)):
        (uploads_folder() / name).unlink(missing_ok=True)
