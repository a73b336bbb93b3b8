from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from memory.episodes import find_strays, rebuild_episodes
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.projects import get_project
from verel_site.kit.refusals import NotFound, Refusal

SHOWN: Final = 20


class Command(BaseCommand):
    help = (
        "Hold the episodes against the journal that they are read off (--check, which fails if any "
        "differs), or drop them and follow it from the beginning (--rebuild)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", help="slug or id; without it, every project")
        act = parser.add_mutually_exclusive_group(required=True)
        act.add_argument("--check", action="store_true", help="list differences, change nothing")
        act.add_argument("--rebuild", action="store_true", help="drop and follow anew")

    def handle(self, *args: Any, **options: Any) -> None:
        projects = self._projects(options["project"])
        if options["check"]:
            self._check(projects)
        else:
            self._rebuild(projects)

    def _projects(self, named: str | None) -> Iterable[Project]:
        if not named:
            return Project.objects.order_by("slug")
        try:
            return [get_project(actor=SYSTEM, slug=named)]
        except NotFound as error:
            raise CommandError(error.detail) from error

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
