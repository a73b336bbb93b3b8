"""Signatures on promoted skills: whoever takes one elsewhere can tell that it was let in here.

The installation's Ed25519 key comes from its secret (HKDF-SHA256), so that every process has the
same one and none is stored; another secret is another key. Signed is

    "verel skill 1" ‖ content_digest("seal", content digest, record id, who promoted it, when)

with `domain.content.content_digest`, in which each part stands behind its length.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from memory.domain.content import content_digest
from memory.models import Record

_PURPOSE: Final = b"verel skill signing 1"


def public_key() -> str:
    """The installation's, in hex."""
    return _private_key().public_key().public_bytes_raw().hex()


def make_seal(record: Record, *, by: str, at: datetime) -> dict[str, Any]:
    moment = at.isoformat()
    signed = _signed(bytes(record.digest), record.record_id, by, moment)
    return {
        "key": public_key(),
        "signature": _private_key().sign(signed).hex(),
        "by": by,
        "at": moment,
    }


def holds(record: Record) -> bool:
    """Whether the record is signed, with this installation's key and as it is now."""
    told = record.seal
    if not told or told.get("key") != public_key():
        return False
    signed = _signed(bytes(record.digest), record.record_id, told["by"], told["at"])
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(told["key"]))
        key.verify(bytes.fromhex(told["signature"]), signed)
    except (InvalidSignature, ValueError, KeyError):
        return False
    return True


def _signed(digest: bytes, record_id: UUID, by: str, at: str) -> bytes:
    return b"verel skill 1" + content_digest(
        "seal", (("content", digest), ("record", str(record_id)), ("by", by), ("at", at))
    )


def _private_key() -> Ed25519PrivateKey:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE)
    return Ed25519PrivateKey.from_private_bytes(derive.derive(settings.SECRET_KEY.encode()))
