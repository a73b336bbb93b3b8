import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from verdicts.domain.terms import Grader
from verdicts.graders.formats import AUTO, FORMATS
from verdicts.graders.printed import Reading
from verdicts.imports import import_reports
from verel_site.access.actors import SYSTEM
from verel_site.kit.parsers import MAX_BODY_BYTES
from verel_site.kit.refusals import Refusal


class Command(BaseCommand):
    help = "File what a grader printed as reports on a branch's head; one line a report."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="+", help="a file, or - for the input")
        parser.add_argument("--branch", required=True, type=UUID)
        parser.add_argument("--format", default=AUTO, choices=(AUTO, *FORMATS))
        parser.add_argument("--head", help="the digest of the head that was graded")
        parser.add_argument("--root", default="", help="what absolute paths are made relative to")
        parser.add_argument("--tool", default="", help="a name in place of the tool's own")
        parser.add_argument(
            "--covers",
            action="append",
            default=[],
            help="a file or folder that the tool was pointed at; may be given more than once",
        )
        parser.add_argument(
            "--grader", choices=[grader.value for grader in Grader if grader != Grader.HUMAN]
        )

    def handle(self, *args: Any, **options: Any) -> None:
        grader = options["grader"]
        reading = Reading(
            root=options["root"],
            tool=options["tool"],
            covers=tuple(options["covers"]),
            grader=Grader(grader) if grader else None,
        )
        try:
            head = bytes.fromhex(options["head"]) if options["head"] else None
        except ValueError as error:
            raise CommandError("--head takes 64 hexadecimal digits.") from error
        for path in options["path"]:
            try:
                reports = import_reports(
                    branch_id=options["branch"],
                    actor=SYSTEM,
                    raw=_read(path),
                    format=options["format"],
                    head_digest=head,
                    reading=reading,
                )
            except Refusal as refusal:
                raise CommandError(f"{path}: {refusal.detail}") from refusal
            for report in reports:
                count = report.issues.count()
                word = "errored" if report.errored else report.verdict
                self.stdout.write(
                    f"{path}: {report.grader} ({report.tool}) {word}, {count} issues; "
                    f"{report.summary}"
                )


def _read(path: str) -> bytes:
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(MAX_BODY_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                raw = file.read(MAX_BODY_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}.") from error
    if len(raw) > MAX_BODY_BYTES:
        raise CommandError(f"{path}: more than {MAX_BODY_BYTES} bytes.")
    return raw
