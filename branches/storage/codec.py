"""The envelope of stored bytes: one version byte, then what that version says.

    0  plain                   [00][payload]
    1  zstd                    [01][frame]
    2  AES-256-GCM             [02][len(kid)][kid][nonce 12][ciphertext + tag 16]
    3  zstd, then AES-256-GCM  [03][len(kid)][kid][nonce 12][ciphertext + tag 16]

Bytes are always read by the version, the key and the dictionary that they themselves name, so that
what was stored under different settings stands side by side. Which version is written is settled
by VEREL_EVENT_CODEC and VEREL_EVENT_KEYS; bytes that compression does not make shorter are kept
as they are.

A single event is short, and most of what repeats in it repeats between events. So frames are
written with a shipped dictionary (`dictionaries/ID.zdict`, trained on this project's own sources and
prose cut into events: 0.44 bytes a byte where zstd alone needs 0.56, at no more time), and name it
by its id. A better one, made by `manage.py train_dictionary`, is added under a new id; the old ones
stay, since rows name them.

A ciphertext is bound to its row and to its own head: the associated data names both (see `bind`),
and under another row, version or key id the tag does not fit. Frames carry their size, and nothing larger than MAX_OPENED_BYTES is inflated.
"""

import os
import threading
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

PLAIN: Final = 0
ZSTD: Final = 1
AES: Final = 2
ZSTD_AES: Final = 3

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
# The largest event is 1 MiB; Verel's own may carry a report, which is bounded by a request's body.
MAX_OPENED_BYTES: Final = 64 * 1024 * 1024
# With the dictionary, a level more saves 0.2 % of the bytes for a third more of the time.
LEVEL: Final = 2
FRAMES_AT_ONCE: Final = 500
DICTIONARIES: Final = Path(__file__).parent / "dictionaries"
NEWEST: Final = 1
# How an envelope begins whose frame tells a size below 66 KB and names the newest dictionary, each
# in the shortest form: version, magic number, descriptor and the dictionary's id.
_SMALL: Final = tuple(
    bytes((ZSTD, 0x28, 0xB5, 0x2F, 0xFD, descriptor, NEWEST)) for descriptor in (0x21, 0x61)
)


class Unreadable(Exception):
    """Stored bytes cannot be opened; the text says why. Never caused by input."""


class KeyUnknown(Unreadable):
    """Nothing is wrong with the bytes: their key is not there, and may be again."""


class KeyProvider(Protocol):
    """Where keys come from. A key is 32 bytes; an id is at most 255 bytes of UTF-8."""

    def current(self) -> tuple[str, bytes] | None:
        """The id and key that new bytes are sealed with; None writes without encryption."""

    def find(self, key_id: str) -> bytes | None:
        """The key of an id that once was current."""


class ListedKeys:
    """Keys from a list, the current one first. To rotate, put a new key before the others."""

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        self._current = keys[0] if keys else None
        self._keys = dict(reversed(keys))

    def current(self) -> tuple[str, bytes] | None:
        return self._current

    def find(self, key_id: str) -> bytes | None:
        return self._keys.get(key_id)


@cache
def shipped_dictionary(dictionary_id: int) -> zstandard.ZstdCompressionDict | None:
    """None for 0, which names none; raises Unreadable for one that was never shipped."""
    if dictionary_id == 0:
        return None
    path = DICTIONARIES / f"{dictionary_id}.zdict"
    if not path.exists():
        raise Unreadable(f"its dictionary {dictionary_id} is unknown to this release")
    dictionary = zstandard.ZstdCompressionDict(path.read_bytes())
    dictionary.precompute_compress(level=LEVEL)
    return dictionary


class _Zstd(threading.local):
    """Contexts are not safe to share between threads, and dear to make."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(
            level=LEVEL, dict_data=shipped_dictionary(NEWEST)
        )
        self._decompressors: dict[int, zstandard.ZstdDecompressor] = {}

    def decompressor(self, dictionary_id: int) -> zstandard.ZstdDecompressor:
        made = self._decompressors.get(dictionary_id)
        if made is None:
            made = zstandard.ZstdDecompressor(dict_data=shipped_dictionary(dictionary_id))
            self._decompressors[dictionary_id] = made
        return made


_zstd: Final = _Zstd()


class Codec:
    """Seals under one setting, opens under any."""

    def __init__(self, keys: KeyProvider, *, compresses: bool) -> None:
        self._keys = keys
        self._compresses = compresses

    @property
    def encrypts(self) -> bool:
        """Without it, what is sealed is bound to nothing."""
        return self._keys.current() is not None

    def seal(self, plain: bytes, bound: bytes, *, compressible: bool = True) -> bytes:
        """The envelope. `bound` is the associated data that opening must repeat."""
        version, body = PLAIN, plain
        if compressible and self._compresses:
            frame = _zstd.compressor.compress(plain)
            if len(frame) < len(plain):
                version, body = ZSTD, frame
        key = self._keys.current()
        if key is None:
            return bytes((version,)) + body
        kid, nonce = key[0].encode(), os.urandom(NONCE_BYTES)
        head = bytes((version + AES, len(kid))) + kid
        return head + nonce + _cipher(key[1]).encrypt(nonce, body, bound + bind(head))

    def seal_all_unbound(self, plains: Sequence[bytes]) -> list[bytes]:
        """As `seal` of each, bound to nothing, compressed together; for who does not encrypt."""
        if not self._compresses or not all(plains):
            return [self.seal(plain, b"") for plain in plains]
        envelopes: list[bytes] = []
        for start in range(0, len(plains), FRAMES_AT_ONCE):
            some: Any = list(plains[start : start + FRAMES_AT_ONCE])
            frames: Any = _zstd.compressor.multi_compress_to_buffer(some)
            for plain, frame in zip(some, frames, strict=True):
                shorter = len(frame) < len(plain)
                envelopes.append(b"\x01" + frame.tobytes() if shorter else b"\x00" + plain)
        return envelopes

    def open(self, envelope: bytes | memoryview, bound: bytes) -> bytes:
        """The plain bytes; raises Unreadable."""
        stored = bytes(envelope)
        version = stored[0] if stored else None
        match version:
            case 0:
                return stored[1:]
            case 1:
                return _inflate(stored[1:])
            case 2:
                return self._decrypt(stored, bound)
            case 3:
                return _inflate(self._decrypt(stored, bound))
        raise Unreadable(f"codec version {version} is unknown to this release")

    def _decrypt(self, stored: bytes, bound: bytes) -> bytes:
        size = stored[1] if len(stored) > 1 else 0
        start = 2 + size
        if len(stored) < start + NONCE_BYTES + TAG_BYTES:
            raise Unreadable("the envelope is cut short")
        kid = stored[2:start].decode(errors="replace")
        key = self._keys.find(kid)
        if key is None:
            raise KeyUnknown(f"its key {kid!r} is not among VEREL_EVENT_KEYS")
        nonce = stored[start : start + NONCE_BYTES]
        try:
            sealed = stored[start + NONCE_BYTES :]
            return _cipher(key).decrypt(nonce, sealed, bound + bind(stored[:start]))
        except InvalidTag as error:
            raise Unreadable(
                f"it does not fit its row under key {kid!r}: it was changed, moved, or sealed "
                "with another key of this name"
            ) from error


def is_bound(envelope: bytes | memoryview) -> bool:
    """Whether only its row opens the envelope; what is not encrypted opens without."""
    return bool(envelope) and envelope[0] in {AES, ZSTD_AES}


def open_unbound(envelope: bytes | memoryview) -> bytes:
    """What is not encrypted, under any setting; raises Unreadable. For who reads many rows."""
    version = envelope[0] if envelope else None
    if version == PLAIN:
        return bytes(envelope[1:])
    if version == ZSTD:
        return _inflate(bytes(envelope[1:]))
    raise Unreadable(f"codec version {version} is unknown to this release")


def open_all_unbound(envelopes: Sequence[bytes]) -> list[bytes]:
    """As `open_unbound`, for many at once: small frames of the newest dictionary go together."""
    small = [envelope for envelope in envelopes if envelope.startswith(_SMALL)]
    opened: list[bytes] = []
    for start in range(0, len(small), FRAMES_AT_ONCE):
        opened += _inflate_all([envelope[1:] for envelope in small[start : start + FRAMES_AT_ONCE]])
    if len(small) == len(envelopes):
        return opened
    together = iter(opened)
    return [
        next(together) if envelope.startswith(_SMALL) else open_unbound(envelope)
        for envelope in envelopes
    ]


def _inflate_all(frames: list[Any]) -> list[bytes]:
    try:
        plain: Any = _zstd.decompressor(NEWEST).multi_decompress_to_buffer(frames)
    except zstandard.ZstdError:
        # One by one, the damaged one is told.
        return [_inflate(frame) for frame in frames]
    return [segment.tobytes() for segment in plain]


def codec() -> Codec:
    """The codec of the settings."""
    return _codec(tuple(settings.VEREL_EVENT_KEYS), settings.VEREL_EVENT_CODEC == "zstd")


@lru_cache(maxsize=8)
def _codec(keys: tuple[tuple[str, bytes], ...], compresses: bool) -> Codec:
    return Codec(ListedKeys(keys), compresses=compresses)


@lru_cache(maxsize=64)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def _inflate(frame: bytes) -> bytes:
    try:
        frame_parameters = zstandard.get_frame_parameters(frame)
        told = frame_parameters.content_size
        if told == zstandard.CONTENTSIZE_UNKNOWN or told > MAX_OPENED_BYTES:
            raise Unreadable(f"it does not tell a size up to {MAX_OPENED_BYTES} bytes")
        return _zstd.decompressor(frame_parameters.dict_id).decompress(frame)
    except zstandard.ZstdError as error:
        raise Unreadable("its compressed frame is damaged") from error


def bind(*fields: bytes) -> bytes:
    """Associated data of these fields, each after its length, so that no two lists share it."""
    return b"".join(len(field).to_bytes(4) + field for field in fields)
