"""Serving the product from one process: Daphne in front, the background worker beside it."""

import socket
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from branches.indexing import index_news
from verel_site.access.pruning import PRUNE_SECONDS, prune
from verel_site.background import Background, Job
from verel_site.heads import SIGN_SECONDS, keep_heads
from verel_site.outbox.promises import sweep_promises

TRIED_PORTS = 20


def pick_port(host: str, port: int | None, default: int) -> int:
    """The asked port if it is free, else an error in words; without one, the first free one."""
    for candidate in [port] if port else range(default, default + TRIED_PORTS):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CommandError(f"Port {port or default} on {host} is taken; name another with --port.")


def collect_static() -> None:
    """The hashed static files, made anew only where a source is newer than the last collection."""
    stamp = Path(settings.STATIC_ROOT) / "staticfiles.json"
    sources = [path for folder in settings.STATICFILES_DIRS for path in Path(folder).rglob("*")]
    newest = max((path.stat().st_mtime for path in sources), default=0.0)
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        call_command("collectstatic", interactive=False, clear=stamp.exists(), verbosity=0)


def standing_jobs() -> list[Job]:
    """What every installation's worker does."""
    return [
        Job("outbox", lambda: sweep_promises() > 0, pause_seconds=1.0),
        Job("signed heads", keep_heads, pause_seconds=SIGN_SECONDS),
        Job("pruning", prune, pause_seconds=PRUNE_SECONDS),
        Job("search index", index_news, pause_seconds=1.0),
    ]


def serve(*, host: str, port: int, jobs: list[Job]) -> None:
    """Blocks until SIGTERM or SIGINT; then answers what it has begun, and stops the jobs."""
    from daphne.endpoints import build_endpoint_description_strings
    from daphne.server import Server

    from verel_site.asgi import application

    background = Background(jobs)
    background.start()
    try:
        Server(
            application,
            endpoints=build_endpoint_description_strings(host=host, port=port),
            server_name="verel",
            verbosity=0,
        ).run()
    finally:
        background.stop()
