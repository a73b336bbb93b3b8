"""Stores that recall elsewhere. VEREL_MEMORY_STORE chooses one, or none; ours stays the truth."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it is to be there. `record` and `version` are its identity, and `digest` is of all
    that it says: two entries of one digest are the same."""

    record: str
    version: int
    digest: str
    text: str
    about: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """What a store holds: its own id, and what it was given with the entry."""

    id: str
    record: str
    digest: str


@dataclass(frozen=True, slots=True)
class Near:
    """A record that a store finds near a goal; `closeness` is its word for how near, from 0 to 1."""

    record: str
    closeness: float


def owner_of(project_id: UUID) -> str:
    return f"verel-{project_id}"


class Store(Protocol):
    """All of it raises PortFailed. An owner is a project; what somebody else put there under it, and
    so bears no record's id, is never told and never touched."""

    def find(self, owner: str, record: str) -> list[Held]:
        """Every entry of a record: one, none, or after an accident several."""
        ...

    def add(self, owner: str, entry: Entry) -> None: ...

    def replace(self, owner: str, held: Held, entry: Entry) -> None:
        """The entry, in the place of one that is held."""
        ...

    def remove(self, owner: str, held: Held) -> None:
        """Nothing happens if it is gone already."""
        ...

    def every(self, owner: str) -> Iterator[Held]:
        """All that is held of an owner's records."""
        ...

    def search(self, owner: str, goal: str, scopes: Sequence[str], limit: int) -> list[Near]:
        """What is near the goal among an owner's records of these scopes, the nearest first."""
        ...


def _make_mem0() -> Store:
    try:
        from memory.ports.mem0_store import Mem0Store
    except ImportError as error:
        raise ImproperlyConfigured(
            "VEREL_MEMORY_STORE=mem0 takes the packages of the extra `mem0`: pip install '.[mem0]'."
        ) from error
    if not settings.VEREL_MEM0_CONFIG:
        raise ImproperlyConfigured(
            "VEREL_MEMORY_STORE=mem0 takes VEREL_MEM0_CONFIG, the path of a JSON file for mem0."
        )
    return Mem0Store.from_file(settings.VEREL_MEM0_CONFIG)


_makers: dict[str, Callable[[], Store]] = {"mem0": _make_mem0}
# A local store has one owner: two threads that come first together open it once.
_making = threading.Lock()


def register_store(name: str, make: Callable[[], Store]) -> None:
    """Makes VEREL_MEMORY_STORE take `name`, for a store that an installation brings along."""
    _makers[name] = make
    _made.cache_clear()


def current_store() -> Store | None:
    """The one that is chosen; None where none is. Raises ImproperlyConfigured, or PortFailed."""
    if settings.VEREL_MEMORY_STORE == "none":
        return None
    with _making:
        return _made(settings.VEREL_MEMORY_STORE, settings.VEREL_MEM0_CONFIG)


@lru_cache(maxsize=4)
def _made(name: str, config: str) -> Store:
    # The configuration is in the key: another one makes another store.
    if name not in _makers:
        raise ImproperlyConfigured(
            f"VEREL_MEMORY_STORE is {name!r}; it takes none, {', '.join(sorted(_makers))}."
        )
    return _makers[name]()
