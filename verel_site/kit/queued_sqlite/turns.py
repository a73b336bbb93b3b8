"""Whose turn it is to write: threads wait in the order in which they came."""

import threading
from collections import deque


class Turns:
    """A lock that goes to whoever has waited longest, and that another thread may give back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, seconds: float) -> bool:
        """Waits at most so long; False when no turn came."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            called = threading.Event()
            self._waiting.append(called)
        if called.wait(seconds):
            return True
        with self._lock:
            # It may have been called between the end of its wait and here.
            if called.is_set():
                return True
            self._waiting.remove(called)
            return False

    def give_back(self) -> None:
        with self._lock:
            if self._waiting:
                # Handed over and not let go: nobody who comes now is before those who waited.
                self._waiting.popleft().set()
            else:
                self._taken = False
