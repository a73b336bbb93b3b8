from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from branches.datasets import write_directory
from branches.domain.formats import FORMATS
from verel_site.access.models import Project
from verel_site.kit.refusals import Refusal


class Command(BaseCommand):
    help = "Write a project's triplets as a dataset: files, a manifest with their SHA-256, a card."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True)
        parser.add_argument("--format", default="trl", choices=tuple(FORMATS))
        parser.add_argument("--out", required=True, help="a directory that is empty or new")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        out = Path(options["out"])
        if out.exists() and any(out.iterdir()):
            raise CommandError(f"{out} is not empty; name a new directory.")
        try:
            snapshot = write_directory(project=project, out=out, format=options["format"])
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        for name, rows in snapshot.manifest["rows"].items():
            self.stdout.write(f"{name}: {rows} row{'' if rows == 1 else 's'}")
        for reason, count in snapshot.manifest["skipped"]["reasons"].items():
            self.stdout.write(f"left out {count}: {reason}")
