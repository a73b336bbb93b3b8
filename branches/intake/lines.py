"""Transcript files as bytes and lines: what is no text is refused, what is too long is cut."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verel_site.kit.refusals import BadInput

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
MAX_RAW_CHARACTERS: Final = 4_000
_HEAD_BYTES: Final = 64 * 1024
_MAGIC: Final = {
    b"PK\x03\x04": "a zip archive; unpack it, and import the files in it",
    b"PK\x05\x06": "a zip archive with nothing in it",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it first",
}


class UnreadableTranscript(BadInput):
    """The whole file cannot be read. Nothing of it is stored."""

    code = "unreadable_transcript"
    title = "The file cannot be read as a transcript"


@dataclass(frozen=True, slots=True)
class Line:
    """`number` counts from 1, `offset` is in bytes, `cut` says that the line was longer."""

    number: int
    offset: int
    raw: bytes
    cut: bool = False


def check_text(path: Path) -> None:
    """Raises UnreadableTranscript for a file that is missing, empty, packed or binary."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        reason = error.strerror or "it cannot be opened"
        raise UnreadableTranscript(f"The file cannot be opened: {reason}.") from error
    for magic, said in _MAGIC.items():
        if head.startswith(magic):
            raise UnreadableTranscript(f"The file is {said}.")
    if b"\x00" in head:
        raise UnreadableTranscript("The file has NUL bytes in it: it is no JSON text.")
    if not head.strip() and path.stat().st_size <= _HEAD_BYTES:
        raise UnreadableTranscript("The file is empty.")


def read_lines(path: Path, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """The lines that are not blank, one at a time, whatever the file's size."""
    with path.open("rb") as file:
        number, offset = 0, 0
        while raw := file.readline(max_bytes + 1):
            number, start = number + 1, offset
            offset += len(raw)
            cut = len(raw) > max_bytes
            while cut and not raw.endswith(b"\n"):
                rest = file.readline(max_bytes)
                offset += len(rest)
                if not rest or rest.endswith(b"\n"):
                    break
            if raw.strip():
                yield Line(number, start, raw[:max_bytes].strip(), cut)


def raw_text(raw: bytes) -> str:
    """The beginning of a record that was not understood, as text that every store takes."""
    text = raw[: MAX_RAW_CHARACTERS * 4].decode("utf-8", "replace").replace("\x00", "\ufffd")
    return text[:MAX_RAW_CHARACTERS]
