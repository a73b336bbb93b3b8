from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from verel_site.serving import collect_static, pick_port, serve, standing_jobs

DEFAULT_PORT = 8000


class Command(BaseCommand):
    help = "Serve the web and, beside it, the background worker. Stops cleanly on SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int)
        parser.add_argument("--no-worker", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        collect_static()
        port = pick_port(options["host"], options["port"], DEFAULT_PORT)
        self.stdout.write(f"Verel listens on http://{options['host']}:{port}/")
        self.stdout.flush()
        jobs = [] if options["no_worker"] else standing_jobs()
        serve(host=options["host"], port=port, jobs=jobs)
