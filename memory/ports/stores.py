"""Stores that recall elsewhere. VEREL_MEMORY_STORE chooses one, or none; ours stays the truth."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol
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


# Vector stores that mem0 opens as a folder, unless it is told of a server; the first is its default.
FOLDERS: Final = ("qdrant", "chroma", "faiss")
ONE_PROCESS: Final = (
    "mem0 keeps its vectors in a folder, which serves one process at a time: set VEREL_PROCESSES to "
    "1 and run no worker beside it, or name a vector store with a server in VEREL_MEM0_CONFIG."
)


def check_store() -> None:
    """Raises ImproperlyConfigured for a choice that can never work. It opens nothing: what another
    process has open is no command's business."""
    name = settings.VEREL_MEMORY_STORE
    if name == "none":
        return
    if name not in _makers:
        raise ImproperlyConfigured(
            f"VEREL_MEMORY_STORE is {name!r}; it takes none, {', '.join(sorted(_makers))}."
        )
    if name == "mem0":
        _read_mem0_config()


def serves_one_process() -> bool:
    """Whether the chosen store keeps a folder open. Raises ImproperlyConfigured."""
    if settings.VEREL_MEMORY_STORE != "mem0":
        return False
    vectors = _read_mem0_config().get("vector_store") or {}
    config = vectors.get("config") or {}
    served = any(config.get(name) for name in ("url", "host", "client"))
    return vectors.get("provider", FOLDERS[0]) in FOLDERS and not served


def _read_mem0_config() -> dict[str, Any]:
    if find_spec("mem0") is None:
        raise ImproperlyConfigured(
            "VEREL_MEMORY_STORE=mem0 takes the packages of the extra `mem0`: pip install '.[mem0]'."
        )
    if not settings.VEREL_MEM0_CONFIG:
        raise ImproperlyConfigured(
            "VEREL_MEMORY_STORE=mem0 takes VEREL_MEM0_CONFIG, the path of a JSON file for mem0."
        )
    try:
        told = json.loads(Path(settings.VEREL_MEM0_CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"VEREL_MEM0_CONFIG cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise ImproperlyConfigured("VEREL_MEM0_CONFIG holds no JSON object.")
    return told


def _make_mem0() -> Store:
    _read_mem0_config()
    from memory.ports.mem0_store import Mem0Store

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


def store_is_opening() -> bool:
    """Whether a thread of this process is at it: a local store takes seconds."""
    return _making.locked()


@lru_cache(maxsize=4)
def _made(name: str, config: str) -> Store:
    # The configuration is in the key: another one makes another store.
    check_store()
    return _makers[name]()
