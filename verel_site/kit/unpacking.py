"""Compressed bytes, unpacked piece by piece: what comes out at once is bounded, bombs included."""

import zlib
from collections.abc import Iterator
from typing import IO, Any, Final

import zstandard

from verel_site.kit.strict_json import MalformedJson

GZIP: Final = "gzip"
DEFLATE: Final = "deflate"
ZSTD: Final = "zstd"

CHUNK_BYTES: Final = 64 * 1024
MAX_PIECE: Final = 1024 * 1024
# Four bytes of zstd can stand for a block of 128 KiB, and its object takes no limit: what is fed
# to it at once is what bounds a piece.
ZSTD_FED: Final = 256
# What RFC 9659 allows a content encoding, and what `zstd` itself unpacks without being told to.
CONTENT_WINDOW: Final = 8 * 1024 * 1024
FILE_WINDOW: Final = 128 * 1024 * 1024


class Damaged(MalformedJson):
    """The compressed bytes break off or break their format."""


def iter_unpacked(
    stream: IO[bytes], packing: str, *, window: int = CONTENT_WINDOW
) -> Iterator[bytes]:
    """The unpacked bytes in pieces of at most MAX_PIECE; several members in a row are one text.

    `packing` is GZIP, DEFLATE or ZSTD. A zstd frame that wants a larger window than `window` is
    refused. Raises Damaged.
    """
    unpacker = _Zstd(window) if packing == ZSTD else _Deflate(31 if packing == GZIP else 15)
    try:
        while chunk := stream.read(CHUNK_BYTES):
            yield from unpacker.feed(chunk)
    except (zlib.error, zstandard.ZstdError) as error:
        raise Damaged("The compressed bytes are damaged.") from error
    if not unpacker.whole:
        raise Damaged("The compressed bytes end too early.")


class _Deflate:
    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._object = zlib.decompressobj(wbits)
        self.whole = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self.whole:
                self._object, self.whole = zlib.decompressobj(self._wbits), False
            yield self._object.decompress(chunk, MAX_PIECE)
            while self._object.unconsumed_tail:
                yield self._object.decompress(self._object.unconsumed_tail, MAX_PIECE)
            self.whole = self._object.eof
            chunk = self._object.unused_data


class _Zstd:
    def __init__(self, window: int) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=window)
        self._object: Any = self._context.decompressobj()
        self.whole = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        for start in range(0, len(chunk), ZSTD_FED):
            piece = chunk[start : start + ZSTD_FED]
            while piece:
                if self.whole:
                    self._object, self.whole = self._context.decompressobj(), False
                yield self._object.decompress(piece)
                self.whole = self._object.eof
                piece = self._object.unused_data if self.whole else b""
