"""Recall from the rented store: one more source of candidates, and never one of truth.

It tells which records are near; what they say, who vouches for them and whose they are is read from
our own tables. One that fails or is slow costs a question a moment, and then it is left alone for a
while: recall goes on without it, and says so.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final
from uuid import UUID

from django.conf import settings

from memory.ports.failures import PortFailed
from memory.ports.rests import let_rest, why_resting
from memory.ports.stores import Near, current_store, owner_of, store_is_opening
from verel_site.kit.queries import as_uuid

logger = logging.getLogger(__name__)

# So long a question waits for it, beside what we look up ourselves meanwhile.
ANSWER_SECONDS: Final = 1.0
# A store that is being opened is asked again after so long.
OPENING_SECONDS: Final = 1.0
# So many questions of a process are with it at once; one that hangs gives its place back late.
AT_ONCE: Final = 16

_places = threading.BoundedSemaphore(AT_ONCE)


class Pending:
    """A question on its way, in a thread of its own that may be left behind."""

    def __init__(self, ask: Callable[[], list[Near]]) -> None:
        self._until = time.monotonic() + ANSWER_SECONDS
        self._told: SimpleQueue[list[Near] | Exception] = SimpleQueue()
        if not _places.acquire(blocking=False):
            self._told.put(PortFailed(f"{AT_ONCE} questions still wait for it."))
            return
        # A daemon: a store that hangs holds up no shutdown.
        threading.Thread(target=self._ask, args=(ask,), daemon=True, name="rented store").start()

    def _ask(self, ask: Callable[[], list[Near]]) -> None:
        try:
            self._told.put(ask())
        # A store may be an installation's own, and raise what it likes.
        except Exception as error:
            self._told.put(error)
        finally:
            _places.release()

    def answer(self) -> list[Near]:
        """Raises PortFailed."""
        try:
            told = self._told.get(timeout=max(0.0, self._until - time.monotonic()))
        except Empty:
            raise PortFailed(f"It did not answer within {ANSWER_SECONDS:g} s.") from None
        if isinstance(told, PortFailed):
            raise told
        if isinstance(told, Exception):
            # Whatever it says is for those who run the store, not for who reads a context.
            logger.error("the rented store broke down", exc_info=told)
            raise PortFailed("It failed; see the log.") from told
        return told


def ask_store(*, project_id: UUID, goal: str, scopes: Sequence[str], limit: int) -> Pending | None:
    """None where no store is chosen, while it rests, or without a goal."""
    if settings.VEREL_MEMORY_STORE == "none" or not goal.strip() or why_store_rests():
        return None

    def ask() -> list[Near]:
        store = current_store()
        return store.search(owner_of(project_id), goal, scopes, limit) if store else []

    return Pending(ask)


def read_answer(pending: Pending | None) -> list[tuple[UUID, float]]:
    """(record, closeness) as the store ranks them, each once; nothing where it failed."""
    if pending is None:
        return []
    try:
        told = pending.answer()
    except PortFailed as error:
        logger.warning("recall goes on without the rented store: %s", error)
        if store_is_opening():
            let_rest(_port(), "It is being opened.", seconds=OPENING_SECONDS)
        else:
            let_rest(_port(), str(error))
        return []
    found: dict[UUID, float] = {}
    for near in told:
        # What bears no id of ours is none of ours.
        record = as_uuid(near.record)
        if record is not None:
            found.setdefault(record, near.closeness if 0 <= near.closeness <= 1 else 0.0)
    return list(found.items())


def why_store_rests() -> str:
    return why_resting(_port())


def _port() -> str:
    return f"store:{settings.VEREL_MEMORY_STORE}:{settings.VEREL_MEM0_CONFIG}"
