"""Files of a snapshot on their way to the archive: hashed while they are written, never held."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from branches.storage.cold import AlreadyStored, ColdStore
from branches.storage.sealed_files import name_key, put_file
from verel_site.kit.strict_json import encode

CHUNK_BYTES: Final = 1024 * 1024


class RowFile:
    """Rows as JSON lines, or as one JSON array. Nothing is left of a file without rows."""

    def __init__(self, root: Path, name: str, *, array: bool = False) -> None:
        self.name, self.rows, self.sha256 = name, 0, hashlib.sha256()
        self._array = array
        self._path = root / name
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self._path.open("xb")

    def write(self, row: object) -> None:
        lead = (b",\n" if self.rows else b"[\n") if self._array else b""
        self._put(lead + encode(row) + (b"" if self._array else b"\n"))
        self.rows += 1

    def close(self) -> bool:
        """Whether there is a file."""
        if self._array and self.rows:
            self._put(b"\n]\n")
        self._file.close()
        if not self.rows:
            self._path.unlink()
        return bool(self.rows)

    def remove(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _put(self, data: bytes) -> None:
        self.sha256.update(data)
        self._file.write(data)


def write_file(root: Path, name: str, data: bytes) -> str:
    """A whole file; answers its SHA-256."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def store_files(store: ColdStore, root: Path, names: Iterable[str], prefix: str) -> dict[str, str]:
    """Archive keys by name. A key has the content's hash in it, so that a second writer of the
    same content finds it there, and one of other content does not meet it. Where payloads are
    encrypted the files are sealed (see `branches.storage.sealed_files`)."""
    keys = {}
    for name in names:
        key = name_key(f"{prefix}/{hash_file(root / name)[:16]}/{name}")
        with suppress(AlreadyStored):
            put_file(store, key, root / name)
        keys[name] = key
    return keys
