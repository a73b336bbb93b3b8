import sys
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from branches.intake.files import Progress, Tally, TranscriptFile
from branches.intake.transcripts import AUTO, FORMATS
from verdicts.intake import import_and_report
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.kit.refusals import Refusal

BAR_CELLS = 24
MB = 1024 * 1024


class Command(BaseCommand):
    help = "Read in transcripts: OpenAI-chat trajectories, sessions of Claude Code and Codex."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="+", type=Path)
        parser.add_argument("--project", required=True)
        parser.add_argument("--run", type=UUID, help="a run to put it all into")
        parser.add_argument("--format", default=AUTO, choices=(AUTO, *FORMATS))

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        unread = 0
        for path in options["path"]:
            try:
                summaries = import_and_report(
                    project_id=project.pk,
                    actor=SYSTEM,
                    files=[TranscriptFile(path.name, path)],
                    run_id=options["run"],
                    format=options["format"],
                    progress=_draw_bar if sys.stderr.isatty() else None,
                )
            except Refusal as refusal:
                raise CommandError(refusal.detail) from refusal
            for summary in summaries:
                unread += bool(summary.fault)
                (self.stderr if summary.fault else self.stdout).write(summary.told())
        if unread:
            sys.exit(1)


def _draw_bar(file: TranscriptFile, tally: Tally) -> Progress:
    """A bar on the terminal that is redrawn in its place, and leaves nothing when it is full."""
    return lambda done, total: _redraw(sys.stderr, file.name, done, total, tally)


def _redraw(out: TextIO, name: str, done: int, total: int, tally: Tally) -> None:
    part = min(done / total, 1.0) if total else 1.0
    bar = "█" * round(part * BAR_CELLS)
    told = f"{done / MB:,.1f} of {total / MB:,.1f} MB, {tally.events:,} events"
    line = f"{name[-40:]} {bar:░<{BAR_CELLS}} {part:4.0%} {told}"
    out.write("\r\x1b[K" if part >= 1 else f"\r\x1b[K{line}")
    out.flush()
