"""API keys as an admin makes and revokes them, audited. The key's text is in no record."""

from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from verel_site.access.actors import Actor
from verel_site.access.keys import create_key
from verel_site.access.models import ApiKey, Project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable

MAX_KEY_NAME: Final = 120


class KeyNameRefused(Unprocessable):
    code = "key_name_refused"
    title = "A key has a name"


class KeyReasonMissing(Unprocessable):
    code = "reason_missing"
    title = "A reason is needed"


class AlreadyRevoked(Refusal):
    code = "already_revoked"
    title = "The key was revoked before"


@transaction.atomic
def issue_key(
    *, project_id: UUID, actor: Actor, name: str, scopes: list[str], days: int | None
) -> tuple[ApiKey, str]:
    """The row, and the key itself, which cannot be shown again. Raises what `create_key` raises."""
    actor.demand(project_id, Right.ADMINISTER)
    named = name.strip()
    if not 0 < len(named) <= MAX_KEY_NAME:
        raise KeyNameRefused(
            f"Say in up to {MAX_KEY_NAME} characters who will use it.", pointer="/name"
        )
    project = Project.objects.get(pk=project_id)
    key, text = create_key(project=project, scopes=scopes, name=named, days=days, by=actor.name)
    record_act(
        project_id=project_id,
        actor=actor,
        action="key.create",
        subject=f"key:{key.pk}",
        after={
            "name": key.name,
            "scopes": key.scopes,
            "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        },
    )
    return key, text


@transaction.atomic
def revoke_key(*, key_id: str, actor: Actor, reason: str) -> ApiKey:
    """From the next request on the key opens nothing. Raises NotFound, AlreadyRevoked."""
    key = ApiKey.objects.select_related("project").filter(pk=key_id).first()
    if key is None or not actor.may(key.project_id, Right.READ):
        raise NotFound("There is no such key that you may see.")
    actor.demand(key.project_id, Right.ADMINISTER)
    if not reason.strip():
        raise KeyReasonMissing("Say why the key is revoked.", pointer="/reason")
    now = timezone.now()
    revoked = ApiKey.objects.filter(pk=key_id, revoked_at=None).update(
        revoked_at=now, revoked_by=actor.name, revoke_reason=reason.strip()
    )
    if revoked != 1:
        raise AlreadyRevoked(f"{key.revoked_by or 'Somebody'} revoked it: {key.revoke_reason}")
    record_act(
        project_id=key.project_id,
        actor=actor,
        action="key.revoke",
        subject=f"key:{key.pk}",
        before={"name": key.name, "scopes": key.scopes},
        reason=reason.strip(),
    )
    key.refresh_from_db()
    return key
