"""Which binary parts a page may show: raster images and sounds that are what they say they are.

Decided by the first bytes and the declared type together. SVG and HTML are texts that can run, so
no spelling of them is ever on the list.
"""

from typing import Final

# The first bytes that decide: a RIFF or MP4 brand ends at 12, a PNG's or GIF's measures before 24.
HEAD_BYTES: Final = 32
MAX_SHOWN_BYTES: Final = 16 * 1024 * 1024
MAX_PIXELS: Final = 40_000_000

_IMAGES: Final = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
_SOUNDS: Final = {
    "audio/wav": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/mpeg": "audio/mpeg",
    "audio/mp3": "audio/mpeg",
    "audio/ogg": "audio/ogg",
    "audio/flac": "audio/flac",
    "audio/mp4": "audio/mp4",
    "audio/m4a": "audio/mp4",
}
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
)


def sniff(head: bytes) -> str:
    """The type that the first bytes tell, or nothing."""
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], "")
    if head[4:11] == b"ftypM4A":
        return "audio/mp4"
    return next((mime for magic, mime in _MAGIC if head.startswith(magic)), "")


def shown_type(kind: str, declared: str, head: bytes, size: int) -> str:
    """The type under which a page may show the part; empty where it may not."""
    known = {"image": _IMAGES, "audio": _SOUNDS}.get(kind, {})
    wanted = known.get(declared.strip().lower(), "")
    if not wanted or size > MAX_SHOWN_BYTES or sniff(head) != wanted:
        return ""
    return wanted if _pixels(wanted, head) <= MAX_PIXELS else ""


def why_hidden(kind: str, declared: str, head: bytes, size: int) -> str:
    """Why `shown_type` is empty, in words."""
    known = {"image": _IMAGES, "audio": _SOUNDS}.get(kind, {})
    wanted = known.get(declared.strip().lower(), "")
    if not wanted:
        return "This type is not shown here"
    if size > MAX_SHOWN_BYTES:
        return "It is too large to be shown"
    if sniff(head) != wanted:
        return "Its bytes are not what its type says"
    return "It has too many pixels to be shown"


def _pixels(mime: str, head: bytes) -> int:
    """Width by height where the head tells it; a small file can stand for a huge picture."""
    if mime == "image/png" and len(head) >= 24:
        return int.from_bytes(head[16:20], "big") * int.from_bytes(head[20:24], "big")
    if mime == "image/gif" and len(head) >= 10:
        return int.from_bytes(head[6:8], "little") * int.from_bytes(head[8:10], "little")
    return 0
