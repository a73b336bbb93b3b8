"""Daphne that writes what each of its threads stands at into its log, when it is asked by a signal.

The handler is Python's, not `faulthandler`'s: that one reads the frames of threads that run meanwhile,
and may take the server down with it.
"""

import runpy
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import Final

TOLD: Final = "-- these were all threads --"


def tell_stacks(signum: int, frame: FrameType | None) -> None:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, top in sys._current_frames().items():
        print(f"Thread {names.get(ident, ident)}:", file=sys.stderr)
        traceback.print_stack(top, file=sys.stderr)
    print(TOLD, file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, tell_stacks)
    runpy.run_module("daphne", run_name="__main__", alter_sys=True)
