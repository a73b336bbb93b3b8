import os
import signal
import socket
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import close_old_connections

from branches.agent.demo import DemoMind
from branches.agent.openai import OpenAIMind
from branches.agent.steps import Mind
from branches.agent.worker import Worker
from verel_site.access.models import Project

IDLE_SECONDS = 0.5
WATCH_SECONDS = 0.4


class Command(BaseCommand):
    help = "Continue claimable forks, by a model or, without a URL, as the small demo agent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True)
        parser.add_argument("--base-url", default=settings.VEREL_MODEL_URL)
        parser.add_argument("--model", default=settings.VEREL_MODEL)
        parser.add_argument("--once", action="store_true", help="stop when no fork waits")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"There is no project {options['project']!r}.")
        worker = Worker(
            project_id=project.pk,
            mind=self._mind(options["base_url"], options["model"]),
            name=f"agent@{socket.gethostname()}:{os.getpid()}"[:120],
            pause_seconds=0.0 if options["base_url"] else WATCH_SECONDS,
        )
        self._stop_on_signals(worker.stop)
        self.stdout.write(f"{worker.mind.name} continues the forks of {project.slug}.")
        while not worker.stop.is_set():
            if worker.run_once():
                continue
            if options["once"]:
                return
            close_old_connections()
            worker.stop.wait(IDLE_SECONDS)

    def _mind(self, base_url: str, model: str) -> Mind:
        if not base_url:
            return DemoMind()
        if not model:
            raise CommandError("Name the model with --model or VEREL_MODEL.")
        key = os.environ.get("OPENAI_API_KEY", "")
        return OpenAIMind(base_url=base_url, model=model, api_key=key)

    def _stop_on_signals(self, stop: threading.Event) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
