"""API keys: made once, shown once, checked in constant time."""

import hashlib
import hmac
import secrets
import string
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from verel_site.access.actors import Actor, key_actor
from verel_site.access.models import ApiKey, Project
from verel_site.access.rights import JUDGING_SCOPES, PUSHING_SCOPES, Scope
from verel_site.kit.refusals import Unprocessable

ID_LENGTH = 12
MAX_DAYS = 36_500
# A key's last use is written at most this often, so that reading does not become writing.
LAST_USED_SECONDS = 60
_ALPHABET = string.ascii_letters + string.digits


class ScopesRefused(Unprocessable):
    code = "scopes_refused"


class DaysRefused(Unprocessable):
    code = "days_refused"


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def check_scopes(scopes: list[str]) -> list[Scope]:
    known = [scope.value for scope in Scope]
    unknown = [scope for scope in scopes if scope not in known]
    if not scopes:
        raise ScopesRefused(f"A key has at least one scope of {', '.join(known)}.")
    if unknown:
        raise ScopesRefused(f"Unknown scopes {unknown}; there are {', '.join(known)}.")
    wanted = {Scope(scope) for scope in scopes}
    if wanted & PUSHING_SCOPES and wanted & JUDGING_SCOPES:
        raise ScopesRefused(
            "A key that pushes events or runs branches cannot judge them: make two keys, "
            f"one of {sorted(PUSHING_SCOPES)} and one of {sorted(JUDGING_SCOPES)}."
        )
    return sorted(wanted)


@transaction.atomic
def create_key(
    *, project: Project, scopes: list[str], name: str, days: int | None = None, by: str = ""
) -> tuple[ApiKey, str]:
    """The row, and the key itself, which is not kept and cannot be shown again."""
    wanted = check_scopes(scopes)
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise DaysRefused(f"A key lasts from 1 to {MAX_DAYS} days, or for ever without a number.")
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH))
    secret = secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        id=key_id,
        project=project,
        name=name,
        secret_sha256=_sha256(secret),
        scopes=[scope.value for scope in wanted],
        created_by=by,
        expires_at=timezone.now() + timedelta(days=days) if days is not None else None,
    )
    return key, f"vk_{key_id}_{secret}"


def read_key(text: str) -> tuple[ApiKey, Actor] | None:
    """The live key of a presented text, or None: unknown, wrong, expired and revoked look alike."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != "vk" or not (key_id.isascii() and key_id.isalnum()) or not secret:
        return None
    key = ApiKey.objects.filter(pk=key_id).first()
    expected = key.secret_sha256 if key else _sha256("")
    if not hmac.compare_digest(expected, _sha256(secret)) or key is None:
        return None
    now = timezone.now()
    if key.revoked_at or (key.expires_at and key.expires_at <= now):
        return None
    if key.last_used_at is None or (now - key.last_used_at).total_seconds() > LAST_USED_SECONDS:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    actor = key_actor(
        key_id=key.pk, name=key.name, project_id=key.project_id, scopes=list(key.scopes)
    )
    return key, actor
