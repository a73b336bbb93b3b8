from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from verel_site.access.projects import create_project, set_member
from verel_site.access.rights import Role
from verel_site.kit.refusals import Refusal


class Command(BaseCommand):
    help = "Make a project, and let people in."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--name", default="")
        parser.add_argument(
            "--member", action="append", default=[], metavar="USER:ROLE", help="may be repeated"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            project = create_project(slug=options["slug"], name=options["name"])
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        for member in options["member"]:
            name, _, role = member.partition(":")
            user = User.objects.filter(username=name).first()
            if user is None or role not in list(Role):
                raise CommandError(f"{member}: give an existing USER and one of {list(Role)}.")
            set_member(project=project, user=user, role=Role(role))
        self.stdout.write(f"{project.slug} {project.pk}")
