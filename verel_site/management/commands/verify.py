import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from verel_site.access.models import Project
from verel_site.heads import Head, NotSigned, find_faults


class Command(BaseCommand):
    help = (
        "Walk everything that is chained, counted or kept by its digest; name each fault. Writes "
        "nothing, and may run beside a server that is at work. Exits 1 when there is a fault."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", help="a slug; every project by default")
        parser.add_argument("--heads", type=Path, help="signed heads, as audit_head printed them")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, **options: Any) -> None:
        projects = Project.objects.order_by("slug")
        if options["project"]:
            projects = projects.filter(slug=options["project"])
            if not projects:
                raise CommandError(f"There is no project {options['project']!r}.")
        heads = self._read_heads(options["heads"])
        found = sum(self._verify(project, heads, options["json"]) for project in projects)
        if found:
            sys.exit(1)

    def _read_heads(self, path: Path | None) -> list[Head]:
        try:
            return [Head.read(line) for line in path.read_text().splitlines()] if path else []
        except (OSError, NotSigned) as error:
            raise CommandError(f"{path}: {error}") from error

    def _verify(self, project: Project, heads: list[Head], as_json: bool) -> int:
        counts: Counter[str] = Counter()
        found = 0
        for fault in find_faults(project_id=project.pk, counts=counts, heads=heads):
            found += 1
            self._say(as_json, {"project": project.slug, **fault.as_json()}, f"{fault}")
        looked = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
        told = "nothing wrong" if not found else "1 fault" if found == 1 else f"{found} faults"
        self._say(
            as_json,
            {"project": project.slug, "checked": counts, "faults": found},
            f"{project.slug}: {told} in {looked or 'nothing'}.",
        )
        return found

    def _say(self, as_json: bool, value: dict[str, Any], words: str) -> None:
        self.stdout.write(json.dumps(value) if as_json else words)
