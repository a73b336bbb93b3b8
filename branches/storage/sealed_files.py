"""What the archive keeps of triplets: in the clear, or sealed where payloads are encrypted.

A sealed object's key ends with SUFFIX. It holds frames, each an envelope (see
`branches.storage.codec`) after its length in four bytes. A frame is bound to the object's key, its
number, and whether it is the last: none can be moved, changed, left out or cut off unseen.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from branches.storage.codec import Unreadable, bind, codec
from branches.storage.cold import ColdStore
from verel_site.kit.refusals import Refusal

SUFFIX: Final = ".sealed"
FRAME_BYTES: Final = 256 * 1024
# A frame's envelope is little longer than what it holds.
MAX_FRAME_BYTES: Final = 2 * FRAME_BYTES
_LABEL: Final = b"verel.file/1"
_LENGTH: Final = 4


class UnreadableFile(Refusal):
    """A sealed object cannot be opened: a fault of the store, told with its key."""

    code = "unreadable_file"
    title = "A file in the archive cannot be read"


def name_key(key: str) -> str:
    """The key under which an object is stored at present."""
    return key + SUFFIX if codec().encrypts else key


def put_bytes(store: ColdStore, key: str, data: bytes) -> None:
    """Under a key of `name_key`; raises AlreadyStored."""
    if key.endswith(SUFFIX):
        pieces = [data[at : at + FRAME_BYTES] for at in range(0, len(data), FRAME_BYTES)]
        data = b"".join(_seal(key, pieces or [b""]))
    store.put(key, data)


def put_file(store: ColdStore, key: str, path: Path) -> None:
    """As `put_bytes`, from a file that is never in memory as a whole."""
    if not key.endswith(SUFFIX):
        store.put_file(key, path)
        return
    sealed = path.with_name(f"{path.name}{SUFFIX}")
    try:
        with path.open("rb") as plain, sealed.open("xb") as out:
            out.writelines(_seal(key, _pieces(plain)))
        store.put_file(key, sealed)
    finally:
        sealed.unlink(missing_ok=True)


def read_file(store: ColdStore, key: str) -> Iterator[bytes]:
    """What was put, in pieces. NotStored is raised at once, UnreadableFile at the faulty piece."""
    pieces = store.read(key)
    return _open(key, pieces) if key.endswith(SUFFIX) else pieces


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    yield file.read(FRAME_BYTES)
    while piece := file.read(FRAME_BYTES):
        yield piece


def _seal(key: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for number, piece, last in _with_last(pieces):
        envelope = codec().seal(piece, _bound(key, number, last))
        yield len(envelope).to_bytes(_LENGTH) + envelope


def _open(key: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    number = -1
    for number, envelope, last in _with_last(_frames(key, pieces)):
        try:
            yield codec().open(envelope, _bound(key, number, last))
        except Unreadable as error:
            raise UnreadableFile(f"Piece {number} of {key}: {error}.", key=key) from error
    if number < 0:
        raise UnreadableFile(f"{key} is empty.", key=key)


def _frames(key: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for piece in pieces:
        held += piece
        while len(held) >= _LENGTH:
            size = int.from_bytes(held[:_LENGTH])
            if size > MAX_FRAME_BYTES:
                raise UnreadableFile(f"{key} is no sealed file: a piece is too long.", key=key)
            if len(held) < _LENGTH + size:
                break
            yield held[_LENGTH : _LENGTH + size]
            held = held[_LENGTH + size :]
    if held:
        raise UnreadableFile(f"{key} is cut off.", key=key)


def _with_last(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    number, waiting = 0, None
    for piece in pieces:
        if waiting is not None:
            yield number, waiting, False
            number += 1
        waiting = piece
    if waiting is not None:
        yield number, waiting, True


def _bound(key: str, number: int, last: bool) -> bytes:
    return bind(_LABEL, key.encode(), number.to_bytes(8), bytes((last,)))
