"""Where servers are found on this machine, where they may write, and who runs them."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
UNPRIVILEGED: Final = "nobody"
# Where root keeps what an unprivileged account must reach, when the asked place is private.
ROOTS_PLACE: Final = Path("/var/lib/verel")


class ServerUnavailable(Exception):
    """This machine has no such server, or it did not start; the text says what to do."""


@dataclass(frozen=True)
class Account:
    """Who runs the servers; PostgreSQL refuses to be run by root."""

    name: str
    uid: int
    gid: int

    def may_enter(self, path: Path) -> bool:
        """Whether the account can read in a directory, whose parents it must be let through."""
        run = subprocess.run(
            ["/bin/sh", "-c", 'test -r "$0" && test -x "$0"', str(path)],
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            cwd="/",
            check=False,
        )
        return run.returncode == 0


@cache
def server_account() -> Account | None:
    """None: the servers run as the person who starts them, who is not root."""
    if os.geteuid() != 0:
        return None
    found = pwd.getpwnam(UNPRIVILEGED)
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


def make_data_directory(asked: Path) -> Path:
    """A private directory for a server's data, which the account that runs it can reach.

    Where root asked for a place that nobody else may enter, it is one of root's own instead, the
    same one each time.
    """
    account = server_account()
    asked.mkdir(parents=True, exist_ok=True)
    if account is None:
        asked.chmod(0o700)
        return asked
    place = asked
    if not account.may_enter(asked.parent):
        place = ROOTS_PLACE / sha256(str(asked.resolve()).encode()).hexdigest()[:16]
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
    os.chown(place, account.uid, account.gid)
    place.chmod(0o700)
    return place


def write_private(path: Path, text: str) -> Path:
    """A file that only the account that runs the servers, and root, can read."""
    path.touch(mode=0o600)
    path.write_text(text)
    account = server_account()
    if account is not None:
        os.chown(path, account.uid, account.gid)
    return path


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on just now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def package_directory(name: str) -> Path | None:
    """Where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def reachable_copy(package: Path, beside: list[str]) -> Path:
    """The package where the account can run it: itself, or a copy made once for each version.

    `beside` names the siblings (libraries, by glob) that it finds by its own place.
    """
    account = server_account()
    if account is None or account.may_enter(package):
        return package
    siblings = [path for glob in beside for path in sorted(package.parent.glob(glob))]
    names = " ".join(f"{path.name} {path.stat().st_mtime_ns}" for path in [package, *siblings])
    place = ROOTS_PLACE / f"{package.name}-{sha256(names.encode()).hexdigest()[:16]}"
    if not place.exists():
        draft = place.with_name(f".{place.name}.{os.getpid()}")
        for path in [package, *siblings]:
            shutil.copytree(path, draft / path.name, symlinks=True)
        for folder in (draft, ROOTS_PLACE):
            folder.chmod(0o755)
        try:
            draft.rename(place)
        except OSError:
            # Another process made it meanwhile.
            shutil.rmtree(draft)
    return place / package.name
