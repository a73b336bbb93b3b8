from typing import Any

from django.core.management import call_command
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
from verel_site.serving import collect_static, pick_port, serve, standing_jobs

DEFAULT_PORT = 8000
# Long enough to be watched, short enough to be waited for.
STEP_SECONDS = 0.4
GRADED_AT_ONCE = 20


class Command(BaseCommand):
    help = "Set up, load the demo project once, print the address and a sign-in link, serve it all."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        collect_static()
        project = load_demo()
        host = options["host"]
        port = pick_port(host, options["port"], DEFAULT_PORT)
        token = create_link(user=demo_reviewer())
        self.stdout.write(f"\nVerel listens on  http://{host}:{port}/")
        self.stdout.write(f"Sign in, once:    http://{host}:{port}/sign-in/{token}/\n")
        self.stdout.write("Ctrl C stops it.")
        self.stdout.flush()
        serve(host=host, port=port, jobs=[*standing_jobs(), *demo_jobs(project)])


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
