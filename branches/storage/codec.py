"""The envelope of stored payload bytes: one version byte, then what that version says.

    0  plain UTF-8            [00][payload]

Versions 1 (zstd), 2 (AES-256-GCM) and 3 (both) are reserved by the format; a row is always read
by the version that it names, so rows under different codecs stand side by side.
"""

from typing import Final

PLAIN: Final = 0


class UnknownCodec(Exception):
    """A stored row names a version that this release cannot read. Never caused by input."""


def seal_payload(payload: bytes) -> bytes:
    return b"\x00" + payload


def open_payload(envelope: bytes | memoryview) -> bytes:
    stored = bytes(envelope)
    if not stored or stored[0] != PLAIN:
        version = stored[0] if stored else None
        raise UnknownCodec(f"payload codec {version} cannot be read")
    return stored[1:]
