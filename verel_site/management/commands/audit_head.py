import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from verel_site.access.models import Project
from verel_site.heads import take_head


class Command(BaseCommand):
    help = (
        "Print a signed head, one JSON object a line: how far the audit log and the branches are. "
        "Keep it elsewhere; `verify --heads FILE` tells whether anything was cut off since."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", help="a slug; every project by default")

    def handle(self, *args: Any, **options: Any) -> None:
        projects = Project.objects.order_by("slug")
        if options["project"]:
            projects = projects.filter(slug=options["project"])
            if not projects:
                raise CommandError(f"There is no project {options['project']!r}.")
        for project in projects:
            self.stdout.write(json.dumps(take_head(project.pk).as_json()))
