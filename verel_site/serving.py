"""Serving the product: Daphne in front, the background worker beside it.

One process does both; or a supervisor keeps several web processes, which share one listening
socket, and a worker process.
"""

import gc
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from branches.datasets import sweep_exports
from branches.indexing import index_news
from memory.consolidation.jobs import DUE_SECONDS, order_due, sweep_consolidations
from memory.episodes import follow_episodes
from memory.intentions import follow_intentions
from memory.regressions import follow_regressions
from memory.warming import warm_in_background
from verdicts.failures import fill_in
from verdicts.known_bugs import cluster_due
from verdicts.rotations import tend_suites
from verdicts.uploads import UploadWorker
from verel_site.access.pruning import PRUNE_SECONDS, prune
from verel_site.background import Background, Job
from verel_site.heads import SIGN_SECONDS, keep_heads
from verel_site.inbox.sweeps import INBOX_SECONDS, InboxSweep
from verel_site.outbox.promises import sweep_promises
from verel_site.supervision import Child, Supervisor, end_when_stuck

logger = logging.getLogger(__name__)

TRIED_PORTS: Final = 20
BACKLOG: Final = 512
# Objects that a large batch is made of.
COLLECT_AFTER: Final = 10_000
MIGRATION_LOCK: Final = 0x7665_7265_6C
TEND_SECONDS: Final = 60.0
CLUSTER_SECONDS: Final = 600.0


def listen(host: str, port: int | None, default: int) -> socket.socket:
    """A socket on the asked port, else an error in words; without one, on the first free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in [port] if port is not None else range(default, default + TRIED_PORTS):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
        except OSError:
            listening.close()
            continue
        listening.listen(BACKLOG)
        return listening
    raise CommandError(f"Port {port or default} on {host} is taken; name another with --port.")


def name_address(host: str, listening: socket.socket) -> str:
    """The address to open in a browser, with a slash at the end."""
    named = f"[{host}]" if ":" in host else host
    return f"http://{named}:{listening.getsockname()[1]}/"


def collect_static() -> None:
    """The hashed static files, made anew only where a source is newer than the last collection."""
    stamp = Path(settings.STATIC_ROOT) / "staticfiles.json"
    sources = [path for folder in settings.STATICFILES_DIRS for path in Path(folder).rglob("*")]
    newest = max((path.stat().st_mtime for path in sources), default=0.0)
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        call_command("collectstatic", interactive=False, clear=stamp.exists(), verbosity=0)


def prepare() -> None:
    """Migrated and collected. Of several that start on one database, one migrates at a time."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
            try:
                call_command("migrate", interactive=False, verbosity=0)
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
    else:
        call_command("migrate", interactive=False, verbosity=0)
    # This thread goes on to wait for requests, and would keep one of the pool's for ever.
    connection.close()
    collect_static()


def standing_jobs() -> list[Job]:
    """What every installation's worker does."""
    uploads = UploadWorker()
    return [
        Job("outbox", lambda: sweep_promises() > 0, pause_seconds=1.0),
        Job("datasets", sweep_exports, pause_seconds=1.0),
        Job("signed heads", keep_heads, pause_seconds=SIGN_SECONDS),
        Job("pruning", prune, pause_seconds=PRUNE_SECONDS),
        Job("search index", index_news, pause_seconds=1.0),
        Job("uploads", uploads.run_once, pause_seconds=1.0, on_stop=uploads.stop.set),
        Job("episodes", follow_episodes, pause_seconds=2.0),
        Job("intentions", follow_intentions, pause_seconds=2.0),
        Job("regressions", follow_regressions, pause_seconds=5.0),
        Job("consolidation", sweep_consolidations, pause_seconds=1.0),
        Job("consolidation orders", lambda: order_due() > 0, pause_seconds=DUE_SECONDS),
        Job("inbox", InboxSweep().run_once, pause_seconds=INBOX_SECONDS),
        Job("suites", tend_suites, pause_seconds=TEND_SECONDS),
        Job("failure ledger", fill_in, pause_seconds=TEND_SECONDS),
        Job("known bugs", cluster_due, pause_seconds=CLUSTER_SECONDS),
    ]


def serve(*, listening: socket.socket, jobs: list[Job]) -> None:
    """Blocks until SIGTERM or SIGINT; then answers what it has begun, and stops the jobs.

    A view that is stuck does not keep the process: it is ended after supervision.STOP_SECONDS.
    """
    from daphne.endpoints import build_endpoint_description_strings
    from daphne.server import Server
    from twisted.internet import reactor

    from verel_site.asgi import application
    from verel_site.large_bodies import bound_bodies

    bound_bodies()
    background = Background(jobs)
    background.start()
    warm_in_background()
    calm_collector()
    # The stubs of Twisted forget that the event is named by a text.
    reactor.addSystemEventTrigger("before", "shutdown", end_when_stuck)  # type: ignore[arg-type]
    try:
        Server(
            application,
            endpoints=build_endpoint_description_strings(file_descriptor=listening.fileno()),
            server_name="verel",
            verbosity=0,
        ).run()
    finally:
        background.stop()


def calm_collector() -> None:
    """Spares the cycle collector what lives as long as the process, and most of its rounds.

    A batch of events is thousands of small objects without a cycle: with Python's own threshold
    the collector walked them, and all of Django, dozens of times a request, for a third of its
    time. What has cycles is still found, a little later.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)


def work(jobs: list[Job]) -> None:
    """Does the jobs in this process, without the web, until SIGTERM or SIGINT."""
    background = Background(jobs)

    def stop(number: int, frame: FrameType | None) -> None:
        end_when_stuck()
        background.stop()

    for how in (signal.SIGTERM, signal.SIGINT):
        signal.signal(how, stop)
    background.start()
    background.wait()


def supervise(
    *, listening: socket.socket, processes: int, worker: bool, worker_options: Sequence[str] = ()
) -> int:
    """Blocks like `serve`, over web processes that share the socket, and a worker process."""
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    descriptor = listening.fileno()
    web = [*manage, "serve", "--no-worker", "--owned", "--descriptor", str(descriptor)]
    children = [Child(f"web {n + 1}", web, (descriptor,)) for n in range(processes)]
    if worker:
        children.append(Child("worker", [*manage, "work", "--owned", *worker_options]))
    return Supervisor(children).run()
