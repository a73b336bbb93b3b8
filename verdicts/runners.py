"""Runners: the public keys whose signature on a receipt counts."""

import hashlib
from datetime import datetime
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import transaction
from django.utils import timezone

from verdicts.models import Runner
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable

RAW_KEY_BYTES = 32
MAX_NAME = 120


class BadPublicKey(Unprocessable):
    code = "bad_public_key"
    title = "This is no Ed25519 public key"


class RunnerExists(Refusal):
    code = "runner_exists"
    title = "This key is registered already"


class NameMissing(Unprocessable):
    code = "name_missing"
    title = "A runner needs a name"


class RevokeReasonMissing(Unprocessable):
    code = "reason_missing"
    title = "Revoking needs a reason"


class BadValidity(Unprocessable):
    code = "bad_validity"
    title = "A runner's validity ends after it begins"


def read_public_key(text: bytes) -> bytes:
    """The 32 raw bytes of an Ed25519 public key given as PEM or as those bytes."""
    if len(text) == RAW_KEY_BYTES:
        return text
    try:
        key = serialization.load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadPublicKey("Give the key as PEM.", pointer="/public_key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadPublicKey("The key is of another kind.", pointer="/public_key")
    return key.public_bytes_raw()


@transaction.atomic
def register_runner(
    *,
    project_id: UUID,
    actor: Actor,
    name: str,
    public_key: bytes,
    key_id: str = "",
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> Runner:
    """`public_key` is PEM or 32 raw bytes. `key_id` is by default the SHA-256 of the raw key."""
    actor.demand(project_id, Right.CURATE)
    if not 1 <= len(name) <= MAX_NAME:
        raise NameMissing(f"Give it 1 to {MAX_NAME} characters.", pointer="/name")
    raw = read_public_key(public_key)
    key_id = key_id or hashlib.sha256(raw).hexdigest()
    valid_from = valid_from or timezone.now()
    if valid_until is not None and valid_until <= valid_from:
        raise BadValidity("Choose a later end.", pointer="/valid_until")
    lock_project(project_id=project_id)
    same = Runner.objects.filter(project_id=project_id)
    if same.filter(key_id=key_id).exists() or same.filter(public_key=raw).exists():
        raise RunnerExists("A revoked key stays revoked: make a new one.", pointer="/public_key")
    runner = Runner.objects.create(
        project_id=project_id,
        name=name,
        key_id=key_id,
        public_key=raw,
        valid_from=valid_from,
        valid_until=valid_until,
        registered_by=actor.name,
    )
    record_act(
        project_id=project_id,
        actor=actor,
        action="runner.register",
        subject=f"runner:{runner.pk}",
        after={"name": name, "key_id": key_id},
    )
    return runner


@transaction.atomic
def revoke_runner(*, runner_id: UUID, actor: Actor, reason: str) -> Runner:
    """From now on no receipt of this runner counts, those already filed included."""
    runner = Runner.objects.filter(pk=runner_id).first()
    if runner is None or not actor.may(runner.project_id, Right.READ):
        raise NotFound(f"There is no runner {runner_id} that you may see.")
    actor.demand(runner.project_id, Right.CURATE)
    if not reason.strip():
        raise RevokeReasonMissing("Say why its receipts stop counting.", pointer="/reason")
    if Runner.objects.filter(pk=runner_id, revoked_at=None).update(revoked_at=timezone.now()):
        record_act(
            project_id=runner.project_id,
            actor=actor,
            action="runner.revoke",
            subject=f"runner:{runner.pk}",
            reason=reason,
        )
    runner.refresh_from_db()
    return runner
