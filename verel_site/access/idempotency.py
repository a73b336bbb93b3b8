"""`Idempotency-Key`: the first answer is replayed, another request under the same key is a 409.

What is remembered is the SHA-256 of the request and the text of the answer, never the body. It is
written in the transaction of the action itself: an action that was undone leaves no memory, and a
refusal is not remembered, so a client may correct its request and keep the key.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from rest_framework.request import Request
from rest_framework.response import Response

from verel_site.access.actors import Actor
from verel_site.access.models import RememberedAnswer
from verel_site.kit.refusals import BadInput, Refusal
from verel_site.kit.strict_json import encode

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_KEY = 255

type Answer = tuple[int, dict[str, Any]]


class IdempotencyMismatch(Refusal):
    code = "idempotency_mismatch"
    title = "This Idempotency-Key stands for another request"


def answer_once(
    request: Request, *, project_id: UUID, actor: Actor, act: Callable[[], Answer]
) -> Response:
    """The answer `(status, body)` of `act`, or the first one under the request's key.

    Keys are told apart by project and actor. `act` runs inside a transaction that also holds the
    remembered answer; of two at once under one key one acts, and the other replays. Raises
    IdempotencyMismatch, or BadInput for a key that is empty, too long or not printable ASCII.
    """
    key = request.headers.get(HEADER)
    if key is None:
        status, body = act()
        return Response(body, status=status)
    _check_key(key)
    mine = {"project_id": project_id, "actor": f"{actor.kind}:{actor.id}", "key": key}
    digest = _hash_request(request)
    try:
        with transaction.atomic():
            return _replay(mine, digest) or _act(mine, digest, act)
    except IntegrityError:
        # Another request with this key was committed in between. Where it was something else
        # that collided, there is nothing to replay, and the fault is told as it is.
        replayed = _replay(mine, digest)
        if replayed is None:
            raise
        return replayed


def _act(mine: dict[str, Any], digest: str, act: Callable[[], Answer]) -> Response:
    # The row comes first: a second request waits here for the first one's end, not after its work.
    row = RememberedAnswer.objects.create(**mine, request_sha256=digest, status=0, body="")
    row.status, body = act()
    # As text, since a JSON column may keep neither the order of keys nor every number.
    row.body = encode(body).decode()
    row.save(update_fields=["status", "body"])
    return Response(body, status=row.status)


def _replay(mine: dict[str, Any], digest: str) -> Response | None:
    row = RememberedAnswer.objects.filter(**mine).first()
    if row is None:
        return None
    if row.request_sha256 != digest:
        raise IdempotencyMismatch("Use a new key for a new request.", key=row.key)
    return Response(json.loads(row.body), status=row.status, headers={REPLAYED: "true"})


def _check_key(key: str) -> None:
    if not 0 < len(key) <= MAX_KEY or not key.isascii() or not key.isprintable():
        raise BadInput(
            f"{HEADER} takes 1 to {MAX_KEY} printable ASCII characters.", parameter=HEADER
        )


def _hash_request(request: Request) -> str:
    """Of the address and the body's value, so that compression and spaces make no difference."""
    data: Any = request.data
    body = data if isinstance(data, bytes) else encode(data)
    told = f"{request.method or ''}\n{request.get_full_path()}\n".encode()
    return hashlib.sha256(told + body).hexdigest()
