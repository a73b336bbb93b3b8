"""The import page: choose transcripts, and see how far each is and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST

from branches.domain.terms import ImportState
from branches.intake import claude_records, codex, trajectories
from branches.intake.files import TranscriptFile
from branches.intake.transcripts import AUTO
from branches.models import Import, Run
from verdicts.pages import Notice
from verdicts.uploads import cancel_import, queue_imports
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project, request_actor
from verel_site.access.rights import Right
from verel_site.kit.htmx import render_page

MAX_FILE_BYTES: Final = 100 * 1024 * 1024
SHOWN_RUNS: Final = 5
SHOWN_REASONS: Final = 8
SHOWN_FILES: Final = 20
SHOWN_IMPORTS: Final = 20
PARTIALS: Final = ("imports",)

KINDS: Final = (
    (AUTO, "Tell from the file", "The first lines decide. This is right for nearly every file."),
    (
        trajectories.FORMAT,
        "OpenAI-chat trajectories",
        "JSON or JSON lines: trials with traj, or objects with messages. Trials that share a "
        "prefix become branches of one run; a reward becomes a test report.",
    ),
    (
        claude_records.FORMAT,
        "Claude Code session",
        "The .jsonl of one session. A session that was forked from another joins its run.",
    ),
    (
        codex.FORMAT,
        "Codex session",
        "The rollout file of one thread. A thread that was forked from another joins its run.",
    ),
)


class BoundedUpload(TemporaryFileUploadHandler):
    """Streams each file to the disk; a file over the limit ends the upload, and `cut` names it."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.cut = ""
        self.received = 0

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.received += len(raw_data)
        if self.received > MAX_FILE_BYTES:
            self.cut = self.file_name or "A file"
            raise StopUpload
        super().receive_data_chunk(raw_data, start)


@dataclass(frozen=True)
class FileRow:
    """One transcript of an import. `runs` are at most SHOWN_RUNS of the `run_count` it touched."""

    name: str
    fault: str
    events: int
    branches: int
    duplicates: int
    runs: tuple[Run, ...]
    run_count: int
    reasons: tuple[str, ...]
    more_reasons: int

    @property
    def repeated(self) -> bool:
        return not (self.fault or self.events or self.branches)

    @property
    def more_runs(self) -> int:
        return self.run_count - len(self.runs)


@dataclass(frozen=True)
class ImportRow:
    """`glyph` is a verdict's word; `files` are there when the reading has come to its end."""

    row: Import
    open: bool
    glyph: str
    events: int
    branches: int
    files: tuple[FileRow, ...]
    more_files: int

    @property
    def percent(self) -> int:
        total = self.row.bytes_total
        return min(100, self.row.bytes_read * 100 // total) if total else 0


@dataclass(frozen=True)
class ImportPage:
    """`templates/verdicts/import.html`. `live` says that something is read or waits."""

    project: Project
    rows: tuple[ImportRow, ...]
    live: bool
    may_import: bool = True
    kind: str = AUTO
    notice: Notice | None = None

    screen: str = "upload"
    nav: str = "import"
    title: str = "Import"
    kinds: tuple[tuple[str, str, str], ...] = KINDS
    limit_mb: int = MAX_FILE_BYTES // 1024 // 1024


@csrf_exempt  # the upload handlers must be set before the token is read; see _receive
def import_page(request: HttpRequest, slug: str) -> HttpResponse:
    bounded = BoundedUpload(request)
    if request.method == "POST":
        request.upload_handlers = [bounded]
    return _receive(request, slug, bounded)


@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def _receive(request: HttpRequest, slug: str, bounded: BoundedUpload) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    actor.demand(project.pk, Right.IMPORT)
    if request.method != "POST":
        return _show(request, project)
    files = [
        TranscriptFile(Path(one.name or "upload").name, Path(one.temporary_file_path()))
        for one in request.FILES.getlist("files")
        if isinstance(one, TemporaryUploadedFile)
    ]
    kind = _read_kind(request)
    if bounded.cut:
        limit = MAX_FILE_BYTES // 1024 // 1024
        text = f"A file takes at most {limit} MB here, packed or not. Nothing was imported. The "
        text += "command import_transcript reads files of any size."
        notice = Notice(f"{bounded.cut} is too large. ", text, "fail")
        return _show(request, project, notice=notice, kind=kind, status=413)
    if not files:
        notice = Notice("No file was chosen. ", "Choose at least one, then import.", "fail")
        return _show(request, project, notice=notice, kind=kind, status=422)
    queue_imports(project_id=project.pk, actor=actor, files=files, format=kind)
    return redirect("import", slug)


@require_POST
@login_required
def import_cancel(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    actor = request_actor(request)
    project = get_project(actor=actor, slug=slug)
    cancel_import(import_id=pk, project_id=project.pk, actor=actor)
    return redirect("import", slug)


def _read_kind(request: HttpRequest) -> str:
    asked = request.POST.get("format")
    return next((kind for kind, _, _ in KINDS if kind == asked), AUTO)


def _show(
    request: HttpRequest,
    project: Project,
    *,
    kind: str = AUTO,
    notice: Notice | None = None,
    status: int = 200,
) -> HttpResponse:
    rows = read_rows(request_actor(request), project)
    page = ImportPage(
        project=project, rows=rows, live=any(row.open for row in rows), kind=kind, notice=notice
    )
    return render_page(request, "verdicts/import.html", page, partials=PARTIALS, status=status)


def read_rows(actor: Actor, project: Project) -> tuple[ImportRow, ...]:
    """The latest imports, in two queries."""
    rows = list(Import.objects.filter(project=project).order_by("-pk")[:SHOWN_IMPORTS])
    wanted = {run for row in rows for told in _files_of(row) for run in _runs_of(told)}
    runs = {str(run.pk): run for run in Run.objects.visible_to(actor).filter(pk__in=wanted)}
    return tuple(_row(row, runs) for row in rows)


def _row(row: Import, runs: Mapping[str, Run]) -> ImportRow:
    told = _files_of(row)
    files = tuple(_file_row(one, runs) for one in told[:SHOWN_FILES])
    is_open = row.state in ImportState.open()
    events, branches = row.summary.get("events", 0), row.summary.get("branches", 0)
    glyph = "pass" if events or branches else "skip"
    if row.state == ImportState.FAILED or any(one.fault for one in files):
        glyph = "fail"
    return ImportRow(
        row=row,
        open=is_open,
        glyph="running" if is_open else glyph,
        events=events,
        branches=branches,
        files=files,
        more_files=len(told) - len(files),
    )


def _files_of(row: Import) -> list[dict[str, Any]]:
    """An import by the command is of one file, which its summary tells."""
    if row.state in ImportState.open():
        return []
    told = row.summary.get("files")
    if isinstance(told, list):
        return told
    return [{"name": row.name, "fault": "", **row.summary}] if row.state == "done" else []


def _runs_of(told: Mapping[str, Any]) -> list[str]:
    return list(told.get("runs", []))[:SHOWN_RUNS]


def _file_row(told: Mapping[str, Any], runs: Mapping[str, Run]) -> FileRow:
    skipped = told.get("skipped", [])
    return FileRow(
        name=told["name"],
        fault=told.get("fault", ""),
        events=told.get("events", 0),
        branches=told.get("branches", 0),
        duplicates=told.get("duplicates", 0),
        runs=tuple(runs[run] for run in _runs_of(told) if run in runs),
        run_count=len(told.get("runs", [])),
        reasons=tuple(skipped[:SHOWN_REASONS]),
        more_reasons=max(0, len(skipped) - SHOWN_REASONS),
    )
