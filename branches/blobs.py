"""Binary content parts over 8 KiB are kept out of line, addressed by their bytes."""

import base64
import hashlib
from typing import Any
from uuid import UUID

from branches.models import Blob
from verel_site.kit.refusals import Unprocessable

INLINE_BYTES = 8 * 1024


class BadPart(Unprocessable):
    code = "bad_part"
    title = "A content part cannot be read"


def keep_blobs(project_id: UUID, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload with large `data` replaced by `blob`; the same object when there is none."""
    content = payload.get("content")
    if not isinstance(content, list) or not any(_is_large(part) for part in content):
        return payload
    parts = [
        _keep(project_id, part, f"/payload/content/{index}") if _is_large(part) else part
        for index, part in enumerate(content)
    ]
    return {**payload, "content": parts}


def _is_large(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    data = part.get("data")
    return isinstance(data, str) and len(data) * 3 // 4 > INLINE_BYTES


def _names_blob(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("blob"), str)


def _keep(project_id: UUID, part: dict[str, Any], at: str) -> dict[str, Any]:
    mime = part.get("mime")
    if not isinstance(mime, str) or not 0 < len(mime) <= 120:
        raise BadPart("A binary part names its MIME type.", pointer=f"{at}/mime")
    try:
        data = base64.b64decode(part["data"], validate=True)
    except ValueError as error:  # binascii.Error is one, and so is text beyond ASCII
        raise BadPart("A binary part carries base64.", pointer=f"{at}/data") from error
    sha256 = hashlib.sha256(data).hexdigest()
    Blob.objects.get_or_create(
        project_id=project_id, sha256=sha256, defaults={"mime": mime, "data": data}
    )
    kept = {name: value for name, value in part.items() if name != "data"}
    return {**kept, "blob": sha256, "size": len(data)}


def inline_blobs(project_id: UUID, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload as it was sent, for a model: each `blob` is `data` again."""
    content = payload.get("content")
    if not isinstance(content, list):
        return payload
    names = [part["blob"] for part in content if _names_blob(part)]
    if not names:
        return payload
    found = {b.sha256: b for b in Blob.objects.filter(project_id=project_id, sha256__in=names)}
    parts = [
        {
            **{name: value for name, value in part.items() if name not in {"blob", "size"}},
            "data": base64.b64encode(bytes(found[part["blob"]].data)).decode(),
        }
        if _names_blob(part) and part["blob"] in found
        else part
        for part in content
    ]
    return {**payload, "content": parts}
