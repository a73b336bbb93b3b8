"""The audit log: append-only, hash-chained over stored bytes, one chain a project."""

import hashlib
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.audit.models import AuditEntry
from verel_site.kit.strict_json import encode_sorted

FIRST_SEAL = bytes(32)


def seal_entry(previous: bytes, body: bytes) -> bytes:
    return hashlib.sha256(previous + body).digest()


@transaction.atomic
def record_act(
    *,
    project_id: UUID,
    actor: Actor,
    action: str,
    subject: str,
    digest: bytes | None = None,
    before: Any = None,
    after: Any = None,
    reason: str = "",
) -> AuditEntry:
    """Who did what to which subject, on which digest, why. Call inside the act's transaction."""
    # Two acts at once would share a number.
    lock_project(project_id=project_id)
    last = AuditEntry.objects.filter(project_id=project_id).order_by("-number").first()
    at = timezone.now()
    number = last.number + 1 if last else 1
    body = encode_sorted(
        {
            "number": number,
            "at": at.isoformat(),
            "actor": actor.as_json(),
            "action": action,
            "subject": subject,
            "digest": digest.hex() if digest is not None else None,
            "before": before,
            "after": after,
            "reason": reason,
        }
    )
    return AuditEntry.objects.create(
        project_id=project_id,
        number=number,
        at=at,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        action=action,
        subject=subject,
        reason=reason,
        body=body,
        seal=seal_entry(bytes(last.seal) if last else FIRST_SEAL, body),
    )
