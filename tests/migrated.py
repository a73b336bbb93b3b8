"""Every table, made by the migrations once in a test session. Whoever needs a database begins with a
copy: making the tables is the most of what a start would cost.

The workers of pytest-xdist share what is made here; it is gone at the end of the session.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.db import connection
from django.test.utils import setup_databases, teardown_databases

from tests.profile import SHARED
from verel_site.servers.postgresql import PostgreSQL

ROOT: Final = Path(__file__).resolve().parent.parent
SQLITE: Final = "migrated.sqlite3"
# Tells the name of the database that PostgreSQL copies.
POSTGRESQL: Final = "postgresql"
SUFFIX: Final = "migrated"


@contextmanager
def _alone() -> Iterator[Path]:
    """One process of the session at a time: the first makes the tables, the others copy them."""
    place = Path(os.environ[SHARED])
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place


def make_installation(home: Path) -> dict[str, str]:
    """The environment of an installation in this directory, on an SQLite that has every table."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("VEREL_")}
    environment = {
        **ours,
        "VEREL_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "verel_site.settings",
    }
    home.mkdir(parents=True, exist_ok=True)
    file = home / "verel.sqlite3"
    with _alone() as place:
        kept = place / SQLITE
        if kept.exists():
            shutil.copyfile(kept, file)
        else:
            _manage(environment, "migrate")
            shutil.copyfile(file, kept)
    return environment


def copy_static(target: Path) -> None:
    """The static files of the product as production serves them: hashed, with their manifest."""
    with _alone() as place:
        kept = place / "static"
        if not kept.exists():
            environment = {
                **os.environ,
                "VEREL_HOME": str(place),
                "DJANGO_SETTINGS_MODULE": "verel_site.settings",
            }
            _manage(environment, "collectstatic", "--noinput")
        # With their times, by which a start sees that they are up to date.
        shutil.copytree(kept, target, dirs_exist_ok=True)


def copy_cluster(target: Path, binaries: Path) -> None:
    """The directory of a PostgreSQL of one's own, whose database has every table."""
    with _alone() as place:
        kept = place / "cluster"
        if not kept.exists():
            server = PostgreSQL(kept, binaries, throwaway=True)
            server.start()
            environment = {
                **os.environ,
                "VEREL_HOME": str(place),
                "VEREL_DATABASE_URL": server.url,
                "DJANGO_SETTINGS_MODULE": "verel_site.settings",
            }
            try:
                _manage(environment, "migrate")
            finally:
                server.stop()
        _copy_with_owners(kept, target)


def _copy_with_owners(source: Path, target: Path) -> None:
    """The account that a server runs under keeps what is its own."""
    shutil.copytree(source, target)
    for made in (source, *source.rglob("*")):
        known = made.stat()
        os.chown(target / made.relative_to(source), known.st_uid, known.st_gid)


def _manage(environment: dict[str, str], *command: str) -> None:
    manage = [sys.executable, "manage.py", *command, "-v0"]
    subprocess.run(manage, cwd=ROOT, env=environment, check=True)


@contextmanager
def database_of_worker() -> Iterator[None]:
    """The database that this worker's own tests run on."""
    own = _own_sqlite if connection.vendor == "sqlite" else _own_postgresql
    with own():
        yield


@contextmanager
def _own_sqlite() -> Iterator[None]:
    """A file that nobody has open is whole without its log, and so can be copied."""
    file = Path(connection.settings_dict["TEST"]["NAME"])
    with _alone() as place:
        kept = place / SQLITE
        for stale in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
            stale.unlink(missing_ok=True)
        if kept.exists():
            shutil.copyfile(kept, file)
        # Kept, so that what is there already is not made anew.
        setup_databases(verbosity=0, interactive=False, keepdb=True)
        if not kept.exists():
            connection.close()
            shutil.copyfile(file, kept)
    yield
    connection.close()


@contextmanager
def _own_postgresql() -> Iterator[None]:
    creation = connection.creation
    with _alone() as place:
        kept = place / POSTGRESQL
        first = not kept.exists()
        if not first:
            connection.settings_dict["TEST"]["TEMPLATE"] = kept.read_text()
        made = setup_databases(verbosity=0, interactive=False)
        if first:
            creation.clone_test_db(suffix=SUFFIX, verbosity=0)
            kept.write_text(creation.get_test_db_clone_settings(SUFFIX)["NAME"])
    yield
    if first:
        with _alone():
            kept.unlink()
            creation.destroy_test_db(suffix=SUFFIX, verbosity=0)
    _send_others_away()
    teardown_databases(made, verbosity=0)


def _send_others_away() -> None:
    """A thread or a server that a test began, and that waits for something, may hold a session yet;
    no database is dropped while anybody has one."""
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's wrapper has it
    with connection._nodb_cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
