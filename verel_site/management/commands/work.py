from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from verel_site.demo.load import load_demo
from verel_site.management.commands.demo import demo_jobs
from verel_site.serving import standing_jobs, work
from verel_site.supervision import end_with_owner


class Command(BaseCommand):
    help = "The background worker alone, beside web processes that run with --no-worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo", action="store_true", help="also run the demo's agent and its grader"
        )
        parser.add_argument("--owned", action="store_true", help="end with the standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["owned"]:
            end_with_owner()
        jobs = standing_jobs()
        if options["demo"]:
            jobs += demo_jobs(load_demo())
        work(jobs)
