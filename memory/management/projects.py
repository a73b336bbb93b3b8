"""What the commands that look after projects share."""

from collections.abc import Iterable

from django.core.management.base import BaseCommand, CommandError, CommandParser

from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.projects import get_project
from verel_site.kit.refusals import NotFound


class ProjectsCommand(BaseCommand):
    """A command on the project that `--project` names, or on all."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", help="slug or id; without it, every project")

    def projects(self, named: str | None) -> Iterable[Project]:
        """Raises CommandError."""
        if not named:
            return Project.objects.order_by("slug")
        try:
            return [get_project(actor=SYSTEM, slug=named)]
        except NotFound as error:
            raise CommandError(error.detail) from error
