import argparse
import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from memory.ports.stores import ONE_PROCESS, serves_one_process
from verel_site.serving import listen, name_address, prepare, serve, standing_jobs, supervise
from verel_site.supervision import end_with_owner

DEFAULT_PORT = 8000


class Command(BaseCommand):
    help = "Serve the web and, beside it, the background worker. Stops cleanly on SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int)
        parser.add_argument("--no-worker", action="store_true")
        parser.add_argument(
            "--processes",
            type=int,
            default=settings.VEREL_PROCESSES,
            help="web processes on one socket; more than one needs PostgreSQL and Redis",
        )
        # What a supervisor tells its children: the socket, and that they end with it.
        parser.add_argument("--descriptor", type=int, help=argparse.SUPPRESS)
        parser.add_argument("--owned", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["owned"]:
            end_with_owner()
        jobs = [] if options["no_worker"] else standing_jobs()
        if options["descriptor"] is not None:
            serve(listening=socket.socket(fileno=options["descriptor"]), jobs=jobs)
            return
        demand_room(options["processes"])
        prepare()
        listening = listen(options["host"], options["port"], DEFAULT_PORT)
        self.stdout.write(f"Verel listens on {name_address(options['host'], listening)}")
        self.stdout.flush()
        if options["processes"] == 1:
            serve(listening=listening, jobs=jobs)
        else:
            worker = not options["no_worker"]
            sys.exit(supervise(listening=listening, processes=options["processes"], worker=worker))


def demand_room(processes: int) -> None:
    """Refuses several processes where one's memory or one's file stands in for a server."""
    if processes < 1:
        raise CommandError("--processes takes 1 or more.")
    if processes > 1 and (connection.vendor == "sqlite" or not settings.VEREL_REDIS_URL):
        raise CommandError(
            "Several processes need PostgreSQL and Redis, by which they tell each other who is "
            "there: set VEREL_DATABASE_URL and VEREL_REDIS_URL, or serve with --processes 1."
        )
    if processes > 1 and serves_one_process():
        raise CommandError(ONE_PROCESS)
