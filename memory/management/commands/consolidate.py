from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from memory.consolidation.jobs import (
    LeaseLost,
    drive,
    order_consolidation,
    resume_consolidation,
    take_consolidation,
)
from memory.consolidation_models import Consolidation
from memory.episodes import project_batch
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project


class Command(BaseCommand):
    help = (
        "Consolidate a project's episodes into memory, here and now. One that is open is gone on "
        "with, unless another worker holds it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        while project_batch(project_id=project.pk):
            pass
        job = resume_consolidation(project_id=project.pk)
        job = job or order_consolidation(project_id=project.pk, actor=SYSTEM)
        held = take_consolidation(job_id=job.pk)
        if held is None:
            raise CommandError(f"Another worker holds consolidation {job.number}.")
        try:
            done = drive(held, self._report)
        except LeaseLost as error:
            raise CommandError("It was taken over, or called off.") from error
        told = ", ".join(f"{name} {count:,}" for name, count in done.counts.items())
        self.stdout.write(f"{project.slug}: consolidation {done.number} {done.state}; {told}")

    def _report(self, job: Consolidation) -> None:
        if job.is_open:
            self.stderr.write(f"{job.step} {job.done:,} of {job.total:,}")
