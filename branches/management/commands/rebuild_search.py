from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from branches.indexing import rebuild_search
from branches.selectors.search import is_search_on
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.projects import get_project
from verel_site.kit.refusals import NotFound


class Command(BaseCommand):
    help = "Drop the search index and build it again from the journal."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", help="slug or id; without it, every project")

    def handle(self, *args: Any, **options: Any) -> None:
        project_id = None
        if options["project"]:
            try:
                project_id = get_project(actor=SYSTEM, slug=options["project"]).pk
            except NotFound as error:
                raise CommandError(error.detail) from error
        counts: dict[str, int] = {}

        def told(project: Project, events: int) -> None:
            counts[project.slug] = events
            if self.stderr.isatty():
                self.stderr.write(f"\r{project.slug}: {events:,} events", ending="")

        rebuild_search(project_id=project_id, told=told)
        if not is_search_on():
            self.stdout.write(
                "Payloads are encrypted here: nothing is indexed; the index is empty."
            )
            return
        for slug, events in counts.items():
            self.stdout.write(f"{slug}: {events:,} events indexed")
