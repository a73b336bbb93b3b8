"""JSON values of a file one after the other, in memory one at a time.

A list at the top is given element by element, so a document of any size is read like lines are.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from branches.intake.files import MAX_LINE_BYTES
from verel_site.kit.strict_json import MalformedJson, Unfinished, check, decode_next

READ_BYTES: Final = 64 * 1024
_SPACE: Final = " \t\r\n\ufeff"


class TopList:
    """One list at the top of a file: iterate over it for its elements, once and to its end."""

    def __init__(self, reader: "_Reader") -> None:
        self._reader = reader

    def __iter__(self) -> Iterator[Any]:
        reader = self._reader
        reader.take("[")
        if reader.peek() == "]":
            reader.take("]")
            return
        while True:
            yield reader.value()
            if reader.peek() == "]":
                reader.take("]")
                return
            reader.take(",")


def iter_top(path: Path, *, max_depth: int) -> Iterator[tuple[TopList | Any, "_Reader"]]:
    """Each value at the top of the file, a list as a TopList; the reader tells the bytes read.

    Raises MalformedJson, also for a value that is longer than MAX_LINE_BYTES.
    """
    with path.open("rb") as file:
        reader = _Reader(file, max_depth)
        while reader.peek():
            yield (TopList(reader) if reader.peek() == "[" else reader.value()), reader


class _Reader:
    def __init__(self, file: IO[bytes], max_depth: int) -> None:
        self._file, self._depth = file, max_depth
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._ended = "", 0, False
        self._count = 0

    @property
    def done(self) -> int:
        """Bytes of the file that were read."""
        return self._file.tell()

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if self._ended:
                return ""
            self._more()

    def take(self, wanted: str) -> None:
        found = self.peek()
        if found != wanted:
            shown = repr(found) if found else "the end of the file"
            raise MalformedJson(f"Expecting {wanted!r}, and there is {shown}, near {self._near()}.")
        self._at += 1

    def value(self) -> Any:
        self._count += 1
        self.peek()
        while True:
            try:
                value, end = decode_next(self._text, self._at)
            except Unfinished as error:
                self._check_length(error)
            else:
                if end < len(self._text) or self._ended:
                    break
            # A number may go on in what was not read yet.
            self._more()
        self._at = end
        check(value, max_depth=self._depth)
        return value

    def _check_length(self, error: Unfinished) -> None:
        if self._ended:
            raise MalformedJson(f"{error.detail} Near {self._near()}.") from error
        if len(self._text) - self._at > MAX_LINE_BYTES:
            most = MAX_LINE_BYTES // 1024 // 1024
            detail = f"Value {self._count} is broken, or longer than {most} MB: {error.detail}"
            raise MalformedJson(detail) from error

    def _near(self) -> str:
        return f"value {self._count}, before byte {self.done}"

    def _more(self) -> None:
        """Reads as much again as is waiting, so that a long value is not tried too often."""
        waiting = self._text[self._at :]
        raw = self._file.read(max(READ_BYTES, len(waiting)))
        self._ended = not raw
        try:
            self._text, self._at = waiting + self._decoder.decode(raw, final=not raw), 0
        except UnicodeDecodeError as error:
            raise MalformedJson(f"Not UTF-8, near {self._near()}.") from error
