"""Message content of other programs as the canonical one: a text, or a list of parts."""

import base64
import re
from typing import Any, Final

from branches.domain.events import compact_json
from branches.intake.batches import MAX_EVENT_BYTES
from verel_site.kit.strict_json import encode

MAX_MIME: Final = 120
_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)


def read_content(value: Any) -> str | list[dict[str, Any]]:
    """OpenAI or Anthropic content. A part of an unknown kind is kept as its JSON text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if not isinstance(value, list):
        return compact_json(value)
    parts = [read_part(part) for part in value]
    if len(parts) == 1 and parts[0]["kind"] == "text":
        return str(parts[0]["text"])
    return parts


def read_part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"kind": "text", "text": part}
    if isinstance(part, dict):
        if part.get("type") in {"text", "input_text", "output_text"}:
            text = part.get("text")
            return {"kind": "text", "text": text if isinstance(text, str) else compact_json(text)}
        found = _binary(part)
        if found and _is_base64(found["data"]):
            return found
    return {"kind": "text", "text": compact_json(part)}


def _binary(part: dict[str, Any]) -> dict[str, Any] | None:
    """An image or a sound that carries its bytes; an address of one is no content."""
    kind = part.get("type")
    if kind == "image":
        source = part.get("source")
        source = source if isinstance(source, dict) else {}
        return _made("image", source.get("media_type"), source.get("data"))
    if kind == "image_url":
        named = part.get("image_url")
        url = named.get("url") if isinstance(named, dict) else named
        match = _DATA_URL.match(url) if isinstance(url, str) else None
        return _made("image", match[1], match.string[match.end() :]) if match else None
    if kind == "input_audio":
        sound = part.get("input_audio")
        sound = sound if isinstance(sound, dict) else {}
        return _made("audio", f"audio/{sound.get('format', 'wav')}", sound.get("data"))
    return None


def _made(kind: str, mime: Any, data: Any) -> dict[str, Any] | None:
    if not isinstance(data, str) or not isinstance(mime, str) or not 0 < len(mime) <= MAX_MIME:
        return None
    return {"kind": kind, "mime": mime, "data": data}


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data, validate=True)
    except ValueError:
        return False
    return True


def fits(payload: dict[str, Any]) -> bool:
    """Whether an event may carry it. Ask after large parts were put out of line."""
    return len(encode(payload)) <= MAX_EVENT_BYTES
