"""Child processes that are kept running, and that end with whoever started them."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

logger = logging.getLogger(__name__)

# A process that was asked to stop finishes what it has begun for so long; then it is ended.
STOP_SECONDS: Final = 10.0
# A supervisor gives its children their time, and a little more to be ended by themselves.
GRACE_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.1
RESTART_SECONDS: Final = 0.5
# What runs for so long has started well; one that never does is given up.
STEADY_SECONDS: Final = 30.0
MAX_FAILED_STARTS: Final = 5
STUCK_STATUS: Final = 1


def end_when_stuck(seconds: float = STOP_SECONDS) -> None:
    """From now on this process has so long to end by itself, whatever its threads are doing."""

    def end() -> None:
        logger.error("still busy %s seconds after it was asked to stop: ended by force", seconds)
        logging.shutdown()
        os._exit(STUCK_STATUS)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def end_with_owner() -> None:
    """Stops this process, as SIGTERM does, once its standard input has come to its end."""

    def watch() -> None:
        # Unbuffered: a thread inside a buffered reader would hold its lock at the exit.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="owner", daemon=True).start()


@dataclass(frozen=True)
class Child:
    name: str
    command: Sequence[str]
    pass_fds: tuple[int, ...] = ()


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failed_starts: int = 0
    again_at: float = field(default=0.0)


class Supervisor:
    """Keeps every child running until SIGTERM or SIGINT, then stops them all."""

    def __init__(self, children: Sequence[Child], *, stop_seconds: float = STOP_SECONDS) -> None:
        self._all = [_Running(child) for child in children]
        self._stop_seconds = stop_seconds
        self._stop = threading.Event()
        self._gave_up = False

    def run(self) -> int:
        """Blocks; 0 if every child came to its end in time, 1 if one was ended or given up."""
        for how in (signal.SIGTERM, signal.SIGINT):
            signal.signal(how, self._asked_to_stop)
        try:
            while not self._stop.is_set():
                for running in self._all:
                    self._look_after(running)
                self._stop.wait(LOOK_SECONDS)
        finally:
            clean = self._stop_all()
        return 0 if clean and not self._gave_up else 1

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _look_after(self, running: _Running) -> None:
        now = time.monotonic()
        if running.process is None:
            if now >= running.again_at:
                self._start(running)
            return
        status = running.process.poll()
        if status is None:
            return
        steady = now - running.started >= STEADY_SECONDS
        running.failed_starts = 0 if steady else running.failed_starts + 1
        running.again_at = now + RESTART_SECONDS * 2**running.failed_starts
        running.process = None
        logger.error("%s ended with status %s", running.child.name, status)
        if running.failed_starts >= MAX_FAILED_STARTS:
            logger.critical("%s does not start; giving up", running.child.name)
            self._gave_up = True
            self._stop.set()

    def _start(self, running: _Running) -> None:
        # A session of its own: Ctrl C reaches this process alone, which stops them in good order.
        running.process = subprocess.Popen(
            list(running.child.command),
            stdin=subprocess.PIPE,
            pass_fds=running.child.pass_fds,
            start_new_session=True,
        )
        running.started = time.monotonic()

    def _stop_all(self) -> bool:
        processes = [running.process for running in self._all if running.process is not None]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + self._stop_seconds + GRACE_SECONDS
        clean = True
        for process in processes:
            try:
                status = process.wait(max(0.0, deadline - time.monotonic()))
                clean = clean and status in (0, -signal.SIGTERM)
            except subprocess.TimeoutExpired:
                logger.error("process %s did not stop: killed", process.pid)
                process.kill()
                process.wait()
                clean = False
        return clean
