from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from memory.episodes import find_strays, rebuild_episodes
from memory.management.projects import ProjectsCommand
from verel_site.access.models import Project
from verel_site.kit.refusals import Refusal

SHOWN: Final = 20


class Command(ProjectsCommand):
    help = (
        "Hold the episodes against the journal that they are read off (--check, which fails if any "
        "differs), or drop them and follow it from the beginning (--rebuild)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        act = parser.add_mutually_exclusive_group(required=True)
        act.add_argument("--check", action="store_true", help="list differences, change nothing")
        act.add_argument("--rebuild", action="store_true", help="drop and follow anew")

    def handle(self, *args: Any, **options: Any) -> None:
        projects = self.projects(options["project"])
        if options["check"]:
            self._check(projects)
        else:
            self._rebuild(projects)

    def _check(self, projects: Iterable[Project]) -> None:
        differ = False
        for project in projects:
            strays = find_strays(project_id=project.pk)
            for position in islice(strays, SHOWN):
                self.stdout.write(f"{project.slug}: position {position:,} differs")
                differ = True
            if next(strays, None) is not None:
                self.stdout.write(f"{project.slug}: and more")
        if differ:
            raise CommandError("Episodes differ from the journal; --rebuild mends them.")
        self.stdout.write("Nothing differs.")

    def _rebuild(self, projects: Iterable[Project]) -> None:
        for project in projects:
            try:
                count = rebuild_episodes(project_id=project.pk)
            except Refusal as refusal:
                raise CommandError(
                    f"{project.slug}: {refusal.title}. {refusal.detail}"
                ) from refusal
            self.stdout.write(f"{project.slug}: {count:,} episodes")
