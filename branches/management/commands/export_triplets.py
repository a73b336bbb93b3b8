from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from branches.datasets import FORMATS, build_snapshot
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.kit.refusals import Refusal


class Command(BaseCommand):
    help = "Write a project's triplets as a dataset: files, a manifest with their SHA-256, a card."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True)
        parser.add_argument("--format", default="trl", choices=FORMATS)
        parser.add_argument("--out", required=True, help="a directory that is empty or new")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        out = Path(options["out"])
        if out.exists() and any(out.iterdir()):
            raise CommandError(f"{out} is not empty; name a new directory.")
        try:
            snapshot = build_snapshot(project=project, actor=SYSTEM, format=options["format"])
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        for name, data in snapshot.files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name, rows in snapshot.manifest["rows"].items():
            self.stdout.write(f"{name}: {rows} row{'' if rows == 1 else 's'}")
