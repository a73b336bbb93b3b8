"""Binary content parts over 8 KiB are kept out of line, addressed by their bytes.

What is stored is an envelope (see `branches.storage.codec`), never compressed, since images and
sounds are. Under encryption it is bound to its project and SHA-256, so that a ciphertext opens in
the row it was written for alone; and what opens is held against that SHA-256, encrypted or not.
"""

import base64
import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import BinaryField
from django.db.models.functions import Length, Substr

from branches.domain.media import HEAD_BYTES, MAX_SHOWN_BYTES
from branches.models import Blob
from branches.storage.codec import PLAIN, Unreadable, bind, codec
from verel_site.kit.refusals import Refusal, Unprocessable

INLINE_BYTES = 8 * 1024


class BadPart(Unprocessable):
    code = "bad_part"
    title = "A content part cannot be read"


class UnreadableBlob(Refusal):
    """A stored part cannot be opened: a fault of the store, told with the row's name."""

    code = "unreadable_blob"
    title = "A stored content part cannot be read"


class ChangedBlob(UnreadableBlob):
    """What opened is not what its SHA-256 names."""


def blob_bytes(blob: Blob) -> bytes:
    """The part as it was sent; raises UnreadableBlob."""
    try:
        data = codec().open(blob.data, _bound(blob.project_id, blob.sha256))
    except Unreadable as error:
        raise UnreadableBlob(f"Part {blob.sha256}: {error}.", sha256=blob.sha256) from error
    if hashlib.sha256(data).hexdigest() != blob.sha256:
        raise ChangedBlob(f"Part {blob.sha256}: its bytes were changed.", sha256=blob.sha256)
    return data


def _bound(project_id: UUID, sha256: str) -> bytes:
    return bind(b"verel.blob/1", project_id.bytes, bytes.fromhex(sha256))


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
    if not Blob.objects.filter(project_id=project_id, sha256=sha256).exists():
        sealed = codec().seal(data, _bound(project_id, sha256), compressible=False)
        Blob.objects.get_or_create(
            project_id=project_id, sha256=sha256, defaults={"mime": mime, "data": sealed}
        )
    kept = {name: value for name, value in part.items() if name != "data"}
    return {**kept, "blob": sha256, "size": len(data)}


def inline_blobs(project_id: UUID, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload as it was sent, for a model: each `blob` is `data` again."""
    return inline_many(project_id, [payload])[0]


def inline_many(project_id: UUID, payloads: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Payloads as they were sent: one query for all that they name, none where they name none."""
    lists = [payload.get("content") for payload in payloads]
    names = {
        part["blob"]
        for content in lists
        if isinstance(content, list)
        for part in content
        if _names_blob(part)
    }
    if not names:
        return list(payloads)
    rows = Blob.objects.filter(project_id=project_id, sha256__in=names)
    found = {blob.sha256: base64.b64encode(blob_bytes(blob)).decode() for blob in rows}
    return [_inline(payload, found) for payload in payloads]


def _inline(payload: dict[str, Any], found: Mapping[str, str]) -> dict[str, Any]:
    content = payload.get("content")
    if not isinstance(content, list) or not any(map(_names_blob, content)):
        return payload
    return {**payload, "content": [_inline_part(part, found) for part in content]}


def _inline_part(part: Any, found: Mapping[str, str]) -> Any:
    if not _names_blob(part) or part["blob"] not in found:
        return part
    kept = {name: value for name, value in part.items() if name not in {"blob", "size"}}
    return {**kept, "data": found[part["blob"]]}


def read_heads(project_id: UUID, names: Collection[str]) -> dict[str, tuple[int, bytes]]:
    """The size and the first HEAD_BYTES of each blob that is here and opens.

    One query, no blob whole; those under encryption take a second one, and are opened one at a
    time while they are small enough to be shown.
    """
    rows = Blob.objects.filter(project_id=project_id, sha256__in=names)
    sizes = rows.annotate(
        stored=Length("data"),
        start=Substr("data", 1, HEAD_BYTES + 1, output_field=BinaryField()),
    )
    heads, sealed = {}, []
    for sha256, stored, start in sizes.values_list("sha256", "stored", "start"):
        if bytes(start)[:1] == bytes((PLAIN,)):
            heads[sha256] = stored - 1, bytes(start)[1:]
        elif stored <= MAX_SHOWN_BYTES:
            sealed.append(sha256)
        else:
            heads[sha256] = stored, b""
    for blob in rows.filter(sha256__in=sealed).iterator(1) if sealed else ():
        with suppress(UnreadableBlob):
            data = blob_bytes(blob)
            heads[blob.sha256] = len(data), data[:HEAD_BYTES]
    return heads


def read_blob(project_id: UUID, sha256: str) -> bytes | None:
    """The part as it was sent, None where it is not here; raises UnreadableBlob."""
    blob = Blob.objects.filter(project_id=project_id, sha256=sha256).first()
    return blob_bytes(blob) if blob is not None else None
