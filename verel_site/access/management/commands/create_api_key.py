from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from verel_site.access.keys import create_key
from verel_site.access.models import Project
from verel_site.kit.refusals import Refusal


class Command(BaseCommand):
    help = "Make an API key; it is printed once, alone, on standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True)
        parser.add_argument("--scopes", required=True, help="comma-separated")
        parser.add_argument("--name", default="key")
        parser.add_argument("--days", type=int, help="until it expires; never without")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        try:
            _, text = create_key(
                project=project, scopes=scopes, name=options["name"], days=options["days"]
            )
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(text)
