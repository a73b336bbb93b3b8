"""The vectors of one project in this process, searched by one product."""

import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

_FIRST_ROWS: Final = 1_024
_GONE: Final = -1


class Matrix:
    """Rows of length 1 with a position and a scope each. It holds `most` rows: the one that came
    first makes room for the next. `high` is for whoever fills it, to say how far that is."""

    def __init__(self, width: int, *, most: int) -> None:
        self.width, self.most, self.high = width, max(1, most), 0
        self.lock = threading.Lock()
        self._rows: np.ndarray[Any, np.dtype[np.float32]] = np.empty((0, width), dtype=np.float32)
        self._positions = np.empty(0, dtype=np.int64)
        self._scopes = np.empty(0, dtype=np.int32)
        self._codes: dict[str, int] = {}
        self._at: dict[int, int] = {}
        self._free: list[int] = []
        self._used = 0
        self._next = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return int(self._rows.nbytes)

    def __len__(self) -> int:
        return len(self._at)

    def put(self, position: int, scope: str, data: bytes) -> None:
        """A record's vector as float32 in little-endian bytes; empty, or of another width, it is
        taken out."""
        slot = self._at.pop(position, None)
        if len(data) != 4 * self.width:
            if slot is not None:
                self._scopes[slot] = _GONE
                self._free.append(slot)
            return
        slot = self._take_slot() if slot is None else slot
        self._rows[slot] = np.frombuffer(data, dtype="<f4")
        self._positions[slot] = position
        self._scopes[slot] = self._codes.setdefault(scope, len(self._codes))
        self._at[position] = slot

    def nearest(
        self, vector: np.ndarray[Any, Any], scopes: Sequence[str], limit: int
    ) -> list[tuple[int, float]]:
        """(position, cosine) of the nearest of these scopes, the nearest first."""
        codes = [self._codes[scope] for scope in scopes if scope in self._codes]
        if not codes or not self._used or vector.shape != (self.width,):
            return []
        cosines = self._rows[: self._used] @ vector
        told = np.where(np.isin(self._scopes[: self._used], codes), cosines, -np.inf)
        count = min(limit, self._used)
        best = np.argpartition(-told, count - 1)[:count]
        best = best[np.lexsort((self._positions[best], -told[best]))]
        return [(int(self._positions[i]), float(told[i])) for i in best if told[i] > -np.inf]

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        if self._used < self.most:
            if self._used == len(self._rows):
                self._grow()
            self._used += 1
            return self._used - 1
        slot = self._next
        self._next = (slot + 1) % self.most
        del self._at[int(self._positions[slot])]
        return slot

    def _grow(self) -> None:
        size = min(self.most, max(_FIRST_ROWS, 2 * len(self._rows)))
        more = size - len(self._rows)
        self._rows = np.concatenate([self._rows, np.zeros((more, self.width), dtype=np.float32)])
        self._positions = np.concatenate([self._positions, np.zeros(more, dtype=np.int64)])
        self._scopes = np.concatenate([self._scopes, np.full(more, _GONE, dtype=np.int32)])
