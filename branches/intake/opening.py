"""Compressed transcripts: unpacked to temporary files, under limits, before anything reads them."""

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from branches.intake.files import TranscriptFile, Unreadable
from verel_site.kit.unpacking import FILE_WINDOW, GZIP, ZSTD, Damaged, iter_unpacked

MAX_UNPACKED: Final = 2 * 1024 * 1024 * 1024
MAX_MEMBERS: Final = 1000
MAX_DIRECTORY: Final = 1024 * 1024
READ_BYTES: Final = 1024 * 1024
SUFFIXES: Final = (".json", ".jsonl", ".ndjson")
METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZIP: Final = b"PK\x03\x04"
_END_OF_ZIP: Final = b"PK\x05\x06"
_END_BYTES: Final = 22 + 65_535


def iter_opened(file: TranscriptFile) -> Iterator[TranscriptFile]:
    """The file itself, or what it holds compressed; each lies there until the next is asked for.

    Raises Unreadable for what is damaged or too large, and OSError.
    """
    with file.path.open("rb") as source:
        magic = source.read(4)
        source.seek(0)
        if magic == _ZIP:
            yield from _iter_members(file, source)
        elif magic == _ZSTD or magic.startswith(_GZIP):
            packing = ZSTD if magic == _ZSTD else GZIP
            with _written(iter_unpacked(source, packing, window=FILE_WINDOW), MAX_UNPACKED) as path:
                yield TranscriptFile(file.name, path)
        else:
            yield file


def _iter_members(file: TranscriptFile, source: IO[bytes]) -> Iterator[TranscriptFile]:
    _check_directory(source)
    left = MAX_UNPACKED
    try:
        with zipfile.ZipFile(source) as archive:
            for member in _wanted(archive):
                with archive.open(member) as packed, _written(_pieces(packed), left) as path:
                    left -= path.stat().st_size
                    yield TranscriptFile(f"{file.name}: {member.filename}", path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise Unreadable(f"The zip archive is damaged: {error}.") from error


def _check_directory(source: IO[bytes]) -> None:
    """Its directory is read whole, so a large one is refused before that."""
    size = source.seek(0, 2)
    source.seek(max(0, size - _END_BYTES))
    tail = source.read()
    at = tail.rfind(_END_OF_ZIP)
    if at < 0 or len(tail) < at + 22:
        raise Unreadable("The zip archive is damaged: it has no end.")
    if int.from_bytes(tail[at + 12 : at + 16], "little") > MAX_DIRECTORY:
        raise Unreadable("The zip archive holds too many files. Split it.")
    source.seek(0)


def _wanted(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The transcripts, by name: nothing is ever written under the name that an archive gives."""
    members = [one for one in archive.infolist() if _is_transcript(one)]
    if not members:
        raise Unreadable(f"The zip archive holds no file that ends in {', '.join(SUFFIXES)}.")
    if len(members) > MAX_MEMBERS:
        raise Unreadable(f"The zip archive holds more than {MAX_MEMBERS:,} files. Split it.")
    for member in members:
        if member.flag_bits & 1:
            raise Unreadable("The zip archive is encrypted. Unpack it first.")
        if member.compress_type not in METHODS:
            raise Unreadable("The zip archive is packed in a way that is not read; use deflate.")
    return members


def _is_transcript(member: zipfile.ZipInfo) -> bool:
    folders, _, name = member.filename.rpartition("/")
    hidden = name.startswith(".") or folders.startswith("__MACOSX")
    return not hidden and name.lower().endswith(SUFFIXES)


def _pieces(packed: IO[bytes]) -> Iterator[bytes]:
    while piece := packed.read(READ_BYTES):
        yield piece


@contextmanager
def _written(pieces: Iterator[bytes], limit: int) -> Iterator[Path]:
    """A temporary file of the pieces, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="verel-") as folder:
        path = Path(folder) / "transcript"
        size = 0
        with path.open("wb") as out:
            try:
                for piece in pieces:
                    size += len(piece)
                    if size > limit:
                        most = MAX_UNPACKED // 1024**3
                        raise Unreadable(f"Unpacked it takes more than {most} GB.")
                    out.write(piece)
            except Damaged as error:
                raise Unreadable(error.detail) from error
        yield path
