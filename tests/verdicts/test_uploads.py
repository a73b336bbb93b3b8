"""An upload is a promise: kept once, by one worker, whatever dies in the middle."""

import gzip
import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from branches.intake.files import TranscriptFile
from branches.models import Branch, Event, Import
from tests.branches.intake.test_transcripts import make_zip
from tests.make import make_person, make_project
from tests.migrated import make_installation
from verdicts import uploads
from verdicts.models import Report
from verdicts.uploads import (
    MAX_ATTEMPTS,
    STRAY_SECONDS,
    UploadWorker,
    cancel_import,
    claim_import,
    drop_strays,
    queue_imports,
    uploads_folder,
)
from verel_site.access.actors import Actor
from verel_site.access.models import Membership, Project
from verel_site.audit.models import AuditEntry

CHECKOUT = Path(__file__).resolve().parents[2]
TRIAL = {"task_id": 1, "reward": 1.0, "traj": [{"role": "user", "content": "Is it on?"}]}


@pytest.fixture
def project(db: None, settings: Settings, tmp_path: Path) -> Project:
    settings.VEREL_HOME = tmp_path / "home"
    return make_project()


def queue(project: Project, tmp_path: Path, raw: bytes, name: str = "one.json") -> Import:
    return queue_as(make_person(project), project, tmp_path, raw, name)


def queue_as(
    actor: Actor, project: Project, tmp_path: Path, raw: bytes, name: str = "one.json"
) -> Import:
    path = tmp_path / "upload"
    path.write_bytes(raw)
    [row] = queue_imports(project_id=project.pk, actor=actor, files=[TranscriptFile(name, path)])
    assert not path.exists()
    return row


def session(records: int) -> bytes:
    lines = (
        {
            "type": "user",
            "uuid": f"00000000-0000-4000-8000-{number:012d}",
            "sessionId": "s-1",
            "timestamp": "2026-11-20T12:00:00.000Z",
            "message": {"role": "user", "content": f"Say {number}"},
        }
        for number in range(records)
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_an_upload_is_read_in_with_its_report_and_audit_entry(
    project: Project,
    tmp_path: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    row = queue(project, tmp_path, gzip.compress(json.dumps([TRIAL]).encode()))

    with django_capture_on_commit_callbacks(execute=True):
        assert UploadWorker().run_once()

    row.refresh_from_db()
    assert (row.state, row.format, row.upload and not list(uploads_folder().iterdir())) == (
        "done", "trajectory", True,
    )  # fmt: skip
    assert row.summary["events"] == 1
    assert row.run is not None
    assert Report.objects.get().branch.run_id == row.run_id
    entry = AuditEntry.objects.get(action="transcript.import")
    assert (entry.subject, len(row.sha256)) == (f"import:{row.pk}", 64)
    assert not UploadWorker().run_once()


def test_each_file_of_an_archive_has_its_own_line(project: Project, tmp_path: Path) -> None:
    members = {"good.json": json.dumps([TRIAL]).encode(), "bad.json": b"{"}
    row = queue(project, tmp_path, make_zip(members), "both.zip")

    UploadWorker().run_once()

    row.refresh_from_db()
    good, bad = row.summary["files"]
    assert (row.state, good["name"], good["events"]) == ("done", "both.zip: good.json", 1)
    assert "not JSON" in bad["fault"]


def test_two_workers_never_claim_one_row(project: Project, tmp_path: Path) -> None:
    row = queue(project, tmp_path, b"[]")

    first = claim_import()
    assert first is not None
    assert claim_import() is None

    later = timezone.now() + timedelta(seconds=uploads.CLAIM_SECONDS + 1)
    second = claim_import(later)
    assert second is not None
    assert (second.pk, second.attempts) == (row.pk, 2)
    assert second.claim != first.claim


def test_a_worker_that_lost_its_claim_stops_and_ends_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "BEAT_SECONDS", 0)
    row = queue(project, tmp_path, session(1200))
    beat = uploads._Beat._tell

    def lose(self: Any, done: int, total: int) -> None:
        beat(self, done, total)
        Import.objects.filter(pk=row.pk).update(claim=None, state="waiting")

    monkeypatch.setattr(uploads._Beat, "_tell", lose)
    UploadWorker().run_once()
    row.refresh_from_db()
    assert (row.state, row.bytes_read > 0, row.summary["events"]) == ("waiting", True, 500)

    monkeypatch.setattr(uploads._Beat, "_tell", beat)
    UploadWorker().run_once()
    row.refresh_from_db()
    assert (row.state, row.summary["events"], row.summary["duplicates"]) == ("done", 200, 1000)
    assert Branch.objects.get().head_seq == 1 + 1200 + 1


def test_a_worker_that_is_stopped_lets_go_at_the_next_batch(
    project: Project, tmp_path: Path
) -> None:
    row = queue(project, tmp_path, session(1200))
    worker = UploadWorker()
    worker.stop.set()

    assert not worker.run_once()

    row.refresh_from_db()
    assert (row.state, row.claim, row.attempts) == ("waiting", None, 0)
    assert UploadWorker().run_once()
    row.refresh_from_db()
    assert row.state == "done"


def test_a_cancelled_upload_is_not_read_on(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "BEAT_SECONDS", 0)
    row = queue(project, tmp_path, session(1200))
    person, beat = make_person(project), uploads._Beat._tell

    def cancel(self: Any, done: int, total: int) -> None:
        beat(self, done, total)
        cancel_import(import_id=row.pk, project_id=project.pk, actor=person)

    monkeypatch.setattr(uploads._Beat, "_tell", cancel)
    UploadWorker().run_once()

    row.refresh_from_db()
    assert (row.state, row.summary["events"]) == ("cancelled", 500)
    assert AuditEntry.objects.get(action="transcript.cancel").subject == f"import:{row.pk}"
    assert not UploadWorker().run_once()


def test_who_lost_the_right_since_has_nothing_read(project: Project, tmp_path: Path) -> None:
    person = make_person(project)
    row = queue_as(person, project, tmp_path, json.dumps([TRIAL]).encode())
    Membership.objects.filter(project=project).delete()

    UploadWorker().run_once()

    row.refresh_from_db()
    assert (row.state, Event.objects.count()) == ("failed", 0)


def test_a_lost_upload_and_one_that_kills_are_given_up_in_words(
    project: Project, tmp_path: Path
) -> None:
    lost, deadly = (queue(project, tmp_path, b"[]") for _ in range(2))
    (uploads_folder() / lost.upload).unlink()
    Import.objects.filter(pk=deadly.pk).update(attempts=MAX_ATTEMPTS)

    while UploadWorker().run_once():
        pass

    lost.refresh_from_db()
    deadly.refresh_from_db()
    assert (lost.state, deadly.state) == ("failed", "failed")
    assert "Upload the file again" in lost.fault
    assert "begun 5 times" in deadly.fault


def test_old_strays_are_removed_and_waiting_uploads_kept(project: Project, tmp_path: Path) -> None:
    row = queue(project, tmp_path, b"[]")
    stray = uploads_folder() / "stray"
    stray.write_bytes(b"")

    drop_strays(lambda: time.time() + STRAY_SECONDS - 60)
    assert stray.exists()
    drop_strays(lambda: time.time() + STRAY_SECONDS + 60)
    assert sorted(uploads_folder().iterdir()) == [uploads_folder() / row.upload]


WORKER = """
import django, os, sys
django.setup()
from verdicts import uploads
uploads.BEAT_SECONDS = 0
told = uploads._Beat._tell
def tell(self, done, total):
    told(self, done, total)
    print(done, flush=True)
    sys.stdin.readline()
uploads._Beat._tell = tell
uploads.UploadWorker().run_once()
"""
SETUP = """
import django, os, sys
django.setup()
from pathlib import Path
from branches.intake.files import TranscriptFile
from verdicts.uploads import queue_imports
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
project = Project.objects.create(slug="one")
files = [TranscriptFile("one.jsonl", Path(sys.argv[1]))]
queue_imports(project_id=project.pk, actor=SYSTEM, files=files)
"""
RESUME = """
import django, json
django.setup()
from django.utils import timezone
from branches.models import Event, Import
from verdicts.uploads import UploadWorker
before = Event.objects.count()
held = UploadWorker().run_once()
Import.objects.update(claimed_until=timezone.now())
UploadWorker().run_once()
row = Import.objects.get()
ids = Event.objects.values_list("event_id", flat=True)
print(json.dumps([held, before, row.state, row.summary["events"], row.summary["duplicates"],
                  len(ids), len(set(ids))]))
"""


def test_a_killed_worker_is_followed_by_another_and_nothing_is_told_twice(tmp_path: Path) -> None:
    place: Any = {"cwd": CHECKOUT, "env": make_installation(tmp_path), "text": True}
    (tmp_path / "s.jsonl").write_bytes(session(1200))
    subprocess.run([sys.executable, "-c", SETUP, str(tmp_path / "s.jsonl")], check=True, **place)

    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", WORKER], **pipes, **place) as worker:
        assert worker.stdout is not None
        assert int(worker.stdout.readline()) > 0
        worker.send_signal(signal.SIGKILL)

    resume = [sys.executable, "-c", RESUME]
    done = subprocess.run(resume, check=True, stdout=subprocess.PIPE, **place)
    assert json.loads(done.stdout) == [False, 501, "done", 700, 500, 1202, 1202]
