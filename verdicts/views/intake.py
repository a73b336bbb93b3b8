"""The import page: choose transcripts, and see what came of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from branches.intake import claude_code, trajectories
from branches.intake.files import TranscriptFile
from branches.intake.transcripts import AUTO, Summary
from branches.models import Import, Run
from verdicts.intake import import_and_report
from verdicts.pages import Notice
from verel_site.access.actors import Actor
from verel_site.access.models import Project
from verel_site.access.projects import get_project, request_actor
from verel_site.access.rights import Right
from verel_site.kit.htmx import render_page

MAX_FILE_BYTES: Final = 100 * 1024 * 1024
SHOWN_RUNS: Final = 5
SHOWN_REASONS: Final = 8
SHOWN_IMPORTS: Final = 20

KINDS: Final = (
    (AUTO, "Tell from the file", "The first lines decide. This is right for nearly every file."),
    (
        trajectories.FORMAT,
        "OpenAI-chat trajectories",
        "JSON or JSON lines: trials with traj, or objects with messages. Trials that share a "
        "prefix become branches of one run; a reward becomes a test report.",
    ),
    (
        claude_code.FORMAT,
        "Claude Code session",
        "The .jsonl of one session. A session that was forked from another joins its run.",
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
class ResultRow:
    """One file of this upload. `runs` are at most SHOWN_RUNS of the `run_count` that it touched."""

    summary: Summary
    runs: tuple[Run, ...]
    run_count: int
    reasons: tuple[str, ...]
    more_reasons: int

    @property
    def word(self) -> str:
        if self.summary.fault:
            return "fail"
        return "pass" if self.summary.events or self.summary.branches else "skip"

    @property
    def more_runs(self) -> int:
        return self.run_count - len(self.runs)


@dataclass(frozen=True)
class RecentRow:
    row: Import
    events: int
    branches: int
    run_count: int


@dataclass(frozen=True)
class ImportPage:
    """`templates/verdicts/import.html`."""

    project: Project
    recent: tuple[RecentRow, ...]
    results: tuple[ResultRow, ...] = ()
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
        text = f"A file takes at most {limit} MB here. Nothing was imported. The command "
        text += "import_transcript reads files of any size."
        notice = Notice(f"{bounded.cut} is too large. ", text, "fail")
        return _show(request, project, notice=notice, kind=kind, status=413)
    if not files:
        notice = Notice("No file was chosen. ", "Choose at least one, then import.", "fail")
        return _show(request, project, notice=notice, kind=kind, status=422)
    summaries = import_and_report(project_id=project.pk, actor=actor, files=files, format=kind)
    read = any(not summary.fault for summary in summaries)
    results = read_results(actor, summaries)
    return _show(request, project, results=results, kind=kind, status=200 if read else 422)


def _read_kind(request: HttpRequest) -> str:
    asked = request.POST.get("format")
    return next((kind for kind, _, _ in KINDS if kind == asked), AUTO)


def _show(
    request: HttpRequest,
    project: Project,
    *,
    results: tuple[ResultRow, ...] = (),
    kind: str = AUTO,
    notice: Notice | None = None,
    status: int = 200,
) -> HttpResponse:
    page = ImportPage(
        project=project, recent=read_recent(project), results=results, kind=kind, notice=notice
    )
    return render_page(request, "verdicts/import.html", page, status=status)


def read_results(actor: Actor, summaries: Sequence[Summary]) -> tuple[ResultRow, ...]:
    wanted = [run for summary in summaries for run in summary.runs[:SHOWN_RUNS]]
    runs = Run.objects.visible_to(actor).in_bulk(wanted)
    return tuple(
        ResultRow(
            summary=summary,
            runs=tuple(runs[run] for run in summary.runs[:SHOWN_RUNS] if run in runs),
            run_count=len(summary.runs),
            reasons=summary.skipped[:SHOWN_REASONS],
            more_reasons=max(0, len(summary.skipped) - SHOWN_REASONS),
        )
        for summary in summaries
    )


def read_recent(project: Project) -> tuple[RecentRow, ...]:
    rows = Import.objects.filter(project=project).select_related("run").order_by("-created_at")
    return tuple(
        RecentRow(
            row=row,
            events=row.summary.get("events", 0),
            branches=row.summary.get("branches", 0),
            run_count=len(row.summary.get("runs", [])),
        )
        for row in rows[:SHOWN_IMPORTS]
    )
