"""What a record says, and its identity: keys, scopes, and the digest that decisions are bound to."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from memory.domain.terms import NAMED_SCOPES, SHARED_SCOPES, Tier

_SPACE: Final = re.compile(r"\s+")
_NAMED: Final = re.compile(r"(?:agent|repo):[^\s:|]{1,110}")
MAX_PART: Final = 200


class BadKey(ValueError):
    """A subject or predicate that is no part of a key."""


def fold(text: str) -> str:
    """The form in which texts are compared: one case, one spelling, single spaces."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip().casefold()


def make_key(subject: str, predicate: str) -> str:
    """`subject|predicate`, folded; empty where the fact has neither. Raises BadKey."""
    parts = fold(subject), fold(predicate)
    if not any(parts):
        return ""
    if not all(parts):
        raise BadKey("A subject and a predicate stand together, or not at all.")
    if any("|" in part or len(part) > MAX_PART for part in parts):
        raise BadKey(f"A subject or predicate has at most {MAX_PART} characters, and no bar.")
    return "|".join(parts)


def is_scope(text: str) -> bool:
    return text in SHARED_SCOPES or _NAMED.fullmatch(text) is not None


def narrowness(scope: str) -> int:
    """The narrower of two scopes wins where both speak: agent, repository, team, global."""
    order = (*NAMED_SCOPES, *SHARED_SCOPES)
    return len(order) - order.index(scope.partition(":")[0])


def tier_of(scope: str) -> Tier:
    """How far a scope reaches: one agent or repository, the team, or everybody."""
    return {"global": Tier.GLOBAL, "team": Tier.TEAM}.get(scope, Tier.PRIVATE)


def content_digest(kind: str, parts: Iterable[tuple[str, str | bytes]]) -> bytes:
    """SHA-256 over the kind and each (name, value) in order, every text behind its length in 8
    big-endian bytes: no two contents share one by moving a boundary."""
    hashed = hashlib.sha256(b"verel memory 1")
    for text in (kind, *(piece for part in parts for piece in part)):
        raw = text if isinstance(text, bytes) else text.encode()
        hashed.update(len(raw).to_bytes(8, "big") + raw)
    return hashed.digest()
