"""A store whose process dies at a named point of a call by SIGKILL: nothing is cleaned up."""

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connections
from django.utils import timezone

from memory.ports.rests import wake_all
from memory.ports.stores import Entry, Held, Near, Store, register_store
from verel_site.outbox.models import Promise
from verel_site.outbox.promises import sweep_promises

CHILD_SECONDS: Final = 60
# A delivery looks, and then adds, replaces or removes; it may end on either side of each, and after
# all of them, before the promise is marked.
POINTS: Final = ("before find", "after find", "before act", "after act", "before the mark")


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Dying:
    def __init__(self, store: Store, point: str) -> None:
        self._store, self._point = store, point

    def find(self, owner: str, record: str) -> list[Held]:
        return self._at("find", lambda: self._store.find(owner, record))

    def add(self, owner: str, entry: Entry) -> None:
        self._at("act", lambda: self._store.add(owner, entry))

    def replace(self, owner: str, held: Held, entry: Entry) -> None:
        self._at("act", lambda: self._store.replace(owner, held, entry))

    def remove(self, owner: str, held: Held) -> None:
        self._at("act", lambda: self._store.remove(owner, held))

    def every(self, owner: str) -> Iterator[Held]:
        return self._store.every(owner)

    def search(self, owner: str, goal: str, scopes: Sequence[str], limit: int) -> list[Near]:
        return self._store.search(owner, goal, scopes, limit)

    def _at[T](self, name: str, act: Callable[[], T]) -> T:
        if self._point == f"before {name}":
            kill_self()
        told = act()
        if self._point == f"after {name}":
            kill_self()
        return told


def die_delivering(make: Callable[[], Store], point: str) -> None:
    """Sweeps the outbox in a child process that dies at the point."""
    die_doing(lambda: _sweep_and_die(make, point))


def die_doing(act: Callable[[], None]) -> None:
    """Acts in a child process, which must end by `kill_self`."""
    connections.close_all()
    for one in connections.all():
        # What is in a pool would be the child's as well, in the middle of what it did.
        getattr(one, "close_pool", lambda: None)()
    with warnings.catch_warnings():
        # The other threads are numpy's, which is ready for it; and a child that hangs ends itself.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.alarm(CHILD_SECONDS)
        try:
            act()
        finally:
            # Whatever went wrong: pytest runs once.
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _sweep_and_die(make: Callable[[], Store], point: str) -> None:
    store = make()
    register_store(settings.VEREL_MEMORY_STORE, lambda: Dying(store, point))
    if point == "before the mark":
        from memory import projection
        from verel_site.outbox import promises

        def deliver(*args: Any) -> None:
            projection.deliver_record(*args)
            kill_self()

        promises._deliverers["memory.record"] = deliver
    sweep_promises(now=timezone.now() + timedelta(seconds=1))


def replay() -> None:
    """What is due is delivered, long after whoever died held a claim."""
    wake_all()
    later = timezone.now() + timedelta(hours=1)
    sweep_promises(now=later)
    assert not Promise.objects.filter(state="due").exists()
