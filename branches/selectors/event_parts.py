"""The binary parts of an event: what a page shows of them, and their bytes."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse

from branches.blobs import read_blob, read_heads
from branches.domain.events import text_of
from branches.domain.media import HEAD_BYTES, shown_type, why_hidden
from branches.models import Event
from branches.selectors.events import payload_of
from verel_site.kit.refusals import NotFound

SHOWN_PARTS: Final = 50
MAX_MIME: Final = 120


@dataclass(frozen=True)
class ContentPart:
    """`shown` is "image", "audio" or empty; then `why` says why not. `size` is in bytes, None where
    the part cannot be read at all and there is nothing to download."""

    number: int
    kind: str
    mime: str
    size: int | None
    url: str
    shown: str
    why: str = ""


@dataclass(frozen=True)
class PartFile:
    """`mime` is empty where the bytes may only be downloaded."""

    data: bytes
    mime: str
    name: str


def read_parts(event: Event, payload: Mapping[str, Any]) -> tuple[ContentPart, ...]:
    """The parts that are not text, in at most one query."""
    content = payload.get("content")
    found = [
        (index, part)
        for index, part in enumerate(content if isinstance(content, list) else ())
        if isinstance(part, Mapping) and _is_binary(part)
    ][:SHOWN_PARTS]
    names = [part["blob"] for _, part in found if isinstance(part.get("blob"), str)]
    heads = read_heads(event.project_id, names) if names else {}
    return tuple(
        _part(event, number, index, part, heads)
        for number, (index, part) in enumerate(found, start=1)
    )


def _is_binary(part: Mapping[str, Any]) -> bool:
    return any(isinstance(part.get(name), str) for name in ("data", "blob"))


def _part(
    event: Event,
    number: int,
    index: int,
    part: Mapping[str, Any],
    heads: Mapping[str, tuple[int, bytes]],
) -> ContentPart:
    kind, mime = text_of(part.get("kind"))[:20], text_of(part.get("mime"))[:MAX_MIME]
    size, head = heads.get(part.get("blob", ""), (None, b""))
    if "blob" not in part:
        data = _decode(part.get("data"))
        size, head = (len(data), data[:HEAD_BYTES]) if data is not None else (None, b"")
    if size is None:
        why = "Its bytes cannot be read"
        return ContentPart(number, kind or "part", mime, None, "", "", why)
    shown = kind if shown_type(kind, mime, head, size) else ""
    why = "" if shown else why_hidden(kind, mime, head, size)
    url = reverse("event-part", args=[event.event_id, index])
    return ContentPart(number, kind or "part", mime, size, url, shown, why)


def _decode(data: object) -> bytes | None:
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except ValueError:
        return None


def read_part_file(event: Event, index: int) -> PartFile:
    """The bytes of one part; raises NotFound."""
    content = payload_of(event).get("content")
    part = content[index] if isinstance(content, list) and index < len(content) else None
    if not isinstance(part, dict) or not _is_binary(part):
        raise NotFound("The event has no such part.")
    data = (
        read_blob(event.project_id, part["blob"])
        if isinstance(part.get("blob"), str)
        else _decode(part.get("data"))
    )
    if data is None:
        raise NotFound("The bytes of this part cannot be read.")
    kind, mime = text_of(part.get("kind")), text_of(part.get("mime"))
    shown = shown_type(kind, mime, data[:HEAD_BYTES], len(data))
    ending = shown.rpartition("/")[2] or "bin"
    return PartFile(data, shown, f"event-{event.event_id}-{index + 1}.{ending}")
