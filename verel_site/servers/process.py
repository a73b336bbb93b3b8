"""A server as a child process that never outlives the one who started it."""

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from verel_site.servers.places import ServerUnavailable, server_account

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.02
SHOWN_OF_A_LOG: Final = 2000

# The shell leaves a guardian behind and becomes the server. The guardian reads a pipe that the
# owner holds: a line on it means that the server has been stopped, its end means that the owner is
# gone, by whatever death, and then it stops the server.
GUARDED: Final = """
me=$$; how=$1; shift
exec 3<&0 </dev/null
( trap '' INT; { read -r _ <&3 || kill -s "$how" "$me"; } >/dev/null 2>&1 & )
exec 3<&-
exec "$@"
"""


class ServerProcess:
    """One server, started by `start`; its output goes to `log`."""

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        log: Path,
        stop_signal: str = "TERM",
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_seconds = stop_seconds
        self._command = command
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, ready: Callable[[], bool]) -> None:
        """Returns when `ready` says so; raises ServerUnavailable with the end of its log."""
        account = server_account()
        with self.log.open("ab") as output:
            # A session of its own: Ctrl C reaches the owner alone, who stops it in good order.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", GUARDED, "sh", self._stop_signal, *self._command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if not self.running or time.monotonic() > deadline:
                self.kill()
                said = self.log.read_text(errors="replace")[-SHOWN_OF_A_LOG:]
                raise ServerUnavailable(f"{self.name} did not start. It said:\n{said}")
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """In good order; by force after `stop_seconds`."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(signal.Signals[f"SIG{self._stop_signal}"])
            try:
                self._process.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """At once, without a chance to put anything in order."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def _reap(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.wait()
        # A broken pipe: the guardian is gone too, and there is nothing left to tell it.
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"stopped\n")
            self._process.stdin.close()
        self._process = None
