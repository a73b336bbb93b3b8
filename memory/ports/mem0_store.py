"""mem0 as it runs on its own machine: its vector store and its embedder, and never its model.

Entries go in as they are (`infer=False`): no model rewrites, merges or drops what people verified.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from django.conf import settings

# Both are read when mem0 is imported: nothing of what it is used for leaves the machine, and what it
# keeps lies where everything else does.
os.environ["MEM0_TELEMETRY"] = "False"
os.environ.setdefault("MEM0_DIR", str(settings.VEREL_HOME / "mem0"))

from mem0 import Memory

from memory.ports.failures import PortFailed
from memory.ports.stores import ONE_PROCESS, Entry, Held, Near

RECORD: Final = "verel_record"
DIGEST: Final = "verel_digest"
VERSION: Final = "verel_version"
SCOPE: Final = "verel_scope"
SPELLING: Final = "verel_text"
# mem0 lists so many at most; it has no pages.
LISTED: Final = 1_000_000
DOUBLES: Final = 100
# Farther than this nothing is alike: two random texts lie about here.
LEAST_SCORE: Final = 0.25


class Mem0Store:
    def __init__(self, memory: Any) -> None:
        self._memory = memory
        # Its local vector stores and its history are not made for several threads.
        self._lock = threading.RLock()

    @classmethod
    def from_file(cls, path: str) -> Self:
        """Raises PortFailed for a file that mem0 does not take."""
        try:
            config = json.loads(Path(path).read_text())
            return cls(Memory.from_config(config))
        except Exception as error:
            # What Qdrant says of a folder that another process has open.
            if "already accessed" in str(error):
                raise PortFailed(ONE_PROCESS) from error
            raise PortFailed(f"mem0 does not start: {error}"[:300]) from error

    def find(self, owner: str, record: str) -> list[Held]:
        filters = {"user_id": owner, RECORD: record}
        told = self._call(self._memory.get_all, filters=filters, top_k=DOUBLES, show_expired=True)
        return [held for held in map(_read, told["results"]) if held and held.record == record]

    def add(self, owner: str, entry: Entry) -> None:
        told = self._call(
            self._memory.add, entry.text, user_id=owner, metadata=_tell(entry), infer=False
        )
        if len(told["results"]) != 1:
            raise PortFailed("mem0 did not take the entry.")

    def replace(self, owner: str, held: Held, entry: Entry) -> None:
        self._call(self._memory.update, held.id, text=entry.text, metadata=_tell(entry))

    def remove(self, owner: str, held: Held) -> None:
        with self._lock:
            if self._call(self._memory.get, held.id) is not None:
                self._call(self._memory.delete, held.id)

    def every(self, owner: str) -> Iterator[Held]:
        told = self._call(
            self._memory.get_all, filters={"user_id": owner}, top_k=LISTED, show_expired=True
        )
        yield from (held for held in map(_read, told["results"]) if held)

    def search(self, owner: str, goal: str, scopes: Sequence[str], limit: int) -> list[Near]:
        told = self._call(
            self._memory.search,
            goal,
            filters={"user_id": owner, SCOPE: {"in": list(scopes)}},
            top_k=limit,
            threshold=LEAST_SCORE,
            show_expired=True,
        )
        rows = told["results"]
        return [Near(held.record, float(row["score"])) for row in rows if (held := _read(row))]

    def _call(self, act: Callable[..., Any], *args: Any, **named: Any) -> Any:
        with self._lock:
            try:
                return act(*args, **named)
            # Whatever stands behind mem0 raises errors of its own.
            except Exception as error:
                raise PortFailed(f"mem0 did not answer: {error}"[:300]) from error


def _tell(entry: Entry) -> dict[str, Any]:
    return {
        **{f"verel_{name}": value for name, value in entry.about.items()},
        RECORD: entry.record,
        VERSION: entry.version,
        DIGEST: entry.digest,
        SPELLING: _spelling(entry.text),
    }


def _spelling(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(row: dict[str, Any]) -> Held | None:
    about = row.get("metadata") or {}
    if RECORD not in about:
        return None
    # Somebody else may have written over what it says: then it is no entry of ours any more.
    ours = about.get(SPELLING) == _spelling(str(row.get("memory", "")))
    return Held(str(row["id"]), str(about[RECORD]), str(about.get(DIGEST, "")) if ours else "")
