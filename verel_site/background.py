"""The background worker: jobs that repeat in threads of their own until they are stopped.

Every job is safe to run twice and in several processes at once: the rows decide who does what.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import close_old_connections

from verel_site.kit.outages import tell_outage

logger = logging.getLogger(__name__)

STOP_SECONDS = 5.0
LOOK_SECONDS = 60.0


@dataclass(frozen=True)
class Job:
    """`step` does one piece of work and says whether there may be more right away.

    `on_stop` asks a step that takes long to come to its end.
    """

    name: str
    step: Callable[[], bool]
    pause_seconds: float
    on_stop: Callable[[], None] = lambda: None


class Background:
    def __init__(self, jobs: list[Job]) -> None:
        self._stop = threading.Event()
        self._jobs = jobs
        self._threads = [
            threading.Thread(target=self._repeat, args=(job,), name=job.name, daemon=True)
            for job in jobs
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Blocks until somebody calls `stop`, from a signal handler or another thread."""
        # A wait without an end would hold back signal handlers on some systems.
        while not self._stop.wait(LOOK_SECONDS):
            pass

    def stop(self) -> None:
        """Returns when every job has come to its end, or after STOP_SECONDS."""
        self._stop.set()
        for job in self._jobs:
            job.on_stop()
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def _repeat(self, job: Job) -> None:
        while not self._stop.is_set():
            more = _take_step(job)
            # Given back before the pause: of a pool, others can use it.
            close_old_connections()
            if not more:
                self._stop.wait(job.pause_seconds)


def _take_step(job: Job) -> bool:
    try:
        return job.step()
    except Exception as error:
        # An outage has its own line, and is tried again like everything else.
        if tell_outage(error) is None:
            logger.exception("the background job %s failed; it will be tried again", job.name)
        return False
