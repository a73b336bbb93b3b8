import argparse
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Exists, OuterRef

from branches.agent.demo import DemoMind
from branches.agent.worker import Worker
from branches.domain.terms import Status
from branches.models import Branch
from verdicts.graders.demo import grade_branch
from verdicts.models import Report
from verel_site.access.links import create_link
from verel_site.access.models import Project
from verel_site.background import Job
from verel_site.demo.load import demo_reviewer, load_demo
from verel_site.management.commands.serve import DEFAULT_PORT, demand_room
from verel_site.serving import listen, name_address, prepare, serve, standing_jobs, supervise
from verel_site.supervision import end_with_owner

# Long enough to be watched, short enough to be waited for.
STEP_SECONDS = 0.4
GRADED_AT_ONCE = 20


class Command(BaseCommand):
    help = "Set up, load the demo project once, print the address and a sign-in link, serve it all."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int)
        parser.add_argument("--processes", type=int, default=settings.VEREL_PROCESSES)
        # For whoever starts it as a child: it ends with its standard input.
        parser.add_argument("--owned", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["owned"]:
            end_with_owner()
        processes = options["processes"]
        demand_room(processes)
        prepare()
        project = load_demo()
        listening = listen(options["host"], options["port"], DEFAULT_PORT)
        address = name_address(options["host"], listening)
        token = create_link(user=demo_reviewer())
        self.stdout.write(f"\nVerel listens on  {address}")
        self.stdout.write(f"Sign in, once:    {address}sign-in/{token}/\n")
        self.stdout.write("Ctrl C stops it.")
        self.stdout.flush()
        if processes == 1:
            serve(listening=listening, jobs=[*standing_jobs(), *demo_jobs(project)])
        else:
            sys.exit(
                supervise(
                    listening=listening,
                    processes=processes,
                    worker=True,
                    worker_options=["--demo"],
                )
            )


def demo_jobs(project: Project) -> list[Job]:
    """The demo agent and the demo grader, for the demo project alone."""
    worker = Worker(
        project_id=project.pk,
        mind=DemoMind(),
        name="demo-agent",
        pause_seconds=STEP_SECONDS,
    )
    return [
        Job("demo agent", worker.run_once, pause_seconds=0.3, on_stop=worker.stop.set),
        Job("demo grader", lambda: grade_waiting(project), pause_seconds=0.5),
    ]


def grade_waiting(project: Project) -> bool:
    """Grades what is completed and has no report on its head yet; says whether there was any."""
    graded = Report.objects.filter(branch=OuterRef("pk"), head_digest=OuterRef("head_digest"))
    waiting = Branch.objects.filter(~Exists(graded), project=project, status=Status.COMPLETED.value)
    branches = list(waiting[:GRADED_AT_ONCE])
    for branch in branches:
        grade_branch(branch_id=branch.pk)
    return bool(branches)
