from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from memory.management.projects import ProjectsCommand
from memory.ports.failures import PortFailed
from memory.projection import find_differences, mend_differences
from verel_site.access.models import Project


class Command(ProjectsCommand):
    help = (
        "Hold what may be recalled against the vectors and the rented store: list what differs "
        "(--check, which fails if anything does), or make them what they should be (--replay)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        act = parser.add_mutually_exclusive_group(required=True)
        act.add_argument("--check", action="store_true", help="list differences, change nothing")
        act.add_argument("--replay", action="store_true", help="mend them")

    def handle(self, *args: Any, **options: Any) -> None:
        projects = self.projects(options["project"])
        try:
            if options["check"]:
                self._check(projects)
            else:
                self._replay(projects)
        except PortFailed as error:
            raise CommandError(f"{error} What was mended until then stays.") from error

    def _check(self, projects: Iterable[Project]) -> None:
        count = 0
        for project in projects:
            for one in find_differences(project):
                self.stdout.write(f"{project.slug}: {one.how.value}: record {one.record}")
                count += 1
        if count:
            raise CommandError(f"{count:,} differences; --replay mends them.")
        self.stdout.write("Nothing differs.")

    def _replay(self, projects: Iterable[Project]) -> None:
        for project in projects:
            self.stdout.write(f"{project.slug}: {mend_differences(project):,} mended")
