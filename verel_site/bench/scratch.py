"""A throwaway installation: its own data directory and its own database, gone afterwards.

The benchmarks run in a child process that is given nothing else, so that nothing of the
installation they are started from can be touched.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import quote, urlunsplit

import psycopg
from django.conf import settings
from psycopg import sql

from verel_site.servers.postgresql import PostgreSQL
from verel_site.servers.together import find_postgresql

# What would reach beyond the scratch, or change what is measured.
DROPPED: Final = ("VEREL_REDIS_URL", "VEREL_EVENT_KEYS", "VEREL_EVENT_CODEC", "VEREL_DEBUG")


@contextmanager
def scratch_environment(*, own_server: bool = False) -> Iterator[dict[str, str]]:
    """The environment of a child process: a server of the same kind, a database of no other use.

    With `own_server` it is a PostgreSQL that is started for it, from this system or the wheels,
    and flushes as it does in production.
    """
    with TemporaryDirectory(prefix="verel-bench-") as folder:
        # The account that a server runs under may look into it.
        Path(folder).chmod(0o755)
        env = {name: value for name, value in os.environ.items() if name not in DROPPED}
        env |= {
            "VEREL_HOME": folder,
            "VEREL_ARCHIVE_URL": f"file://{folder}/archive",
            "DJANGO_SETTINGS_MODULE": "verel_site.bench.settings",
        }
        place = _own_server if own_server else _scratch_database
        with place(Path(folder)) as url:
            yield {**env, "VEREL_DATABASE_URL": url}


@contextmanager
def _own_server(folder: Path) -> Iterator[str]:
    server = PostgreSQL(folder / "postgresql", find_postgresql())
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


@contextmanager
def _scratch_database(folder: Path) -> Iterator[str]:
    database: dict[str, Any] = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("postgresql"):
        yield f"sqlite:///{folder / 'bench.sqlite3'}"
        return
    name = f"verel_bench_{token_hex(4)}"
    _run_on_server(database, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield _url_of(database, name)
    finally:
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
        _run_on_server(database, drop)


def _run_on_server(database: dict[str, Any], statement: sql.Composed) -> None:
    with psycopg.connect(
        dbname=database["NAME"],
        user=database["USER"] or None,
        password=database["PASSWORD"] or None,
        host=database["HOST"] or None,
        port=database["PORT"] or None,
        autocommit=True,
    ) as connection:
        connection.execute(statement)


def _url_of(database: dict[str, Any], name: str) -> str:
    user = ":".join(
        quote(part, safe="") for part in (database["USER"], database["PASSWORD"]) if part
    )
    port = f":{database['PORT']}" if database["PORT"] else ""
    place = f"{user}@{database['HOST']}{port}" if user else f"{database['HOST']}{port}"
    return urlunsplit(("postgresql", place, f"/{name}", "", ""))
