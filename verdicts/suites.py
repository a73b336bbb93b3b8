"""Frozen suites: which eval definitions a required grader's receipt may name."""

import re
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from verdicts.domain.terms import Grader
from verdicts.models import Suite
from verel_site.access.actors import Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import NotFound, Unprocessable

DIGEST = re.compile(r"[0-9a-f]{64}")


class BadSuite(Unprocessable):
    code = "bad_suite"
    title = "The suite cannot be frozen so"


@transaction.atomic
def freeze_suite(
    *, project_id: UUID, actor: Actor, grader: str, name: str, digest: str, owner: str = ""
) -> Suite:
    """Registers a suite by its SHA-256 (lower-case hex) and freezes it. Doing it twice is one."""
    actor.demand(project_id, Right.CURATE)
    if grader not in {known.value for known in Grader}:
        raise BadSuite(f"There is no grader {grader!r}.", pointer="/grader")
    if not DIGEST.fullmatch(digest):
        raise BadSuite("A digest is 64 lower-case hex digits.", pointer="/digest")
    lock_project(project_id=project_id)
    suite, made = Suite.objects.get_or_create(
        project_id=project_id,
        grader=grader,
        digest=digest,
        defaults={"name": name, "owner": owner or actor.name, "frozen_at": timezone.now()},
    )
    if made:
        record_act(
            project_id=project_id,
            actor=actor,
            action="suite.freeze",
            subject=f"suite:{suite.pk}",
            digest=bytes.fromhex(digest),
            after={"name": name, "grader": grader},
        )
    return suite


@transaction.atomic
def retire_suite(*, suite_id: UUID, actor: Actor, reason: str) -> Suite:
    """A retired suite proves nothing any more; receipts that name it fail the gate."""
    suite = Suite.objects.filter(pk=suite_id).first()
    if suite is None:
        raise NotFound(f"There is no suite {suite_id} that you may see.")
    actor.demand(suite.project_id, Right.CURATE)
    if Suite.objects.filter(pk=suite_id, retired_at=None).update(retired_at=timezone.now()):
        record_act(
            project_id=suite.project_id,
            actor=actor,
            action="suite.retire",
            subject=f"suite:{suite.pk}",
            digest=bytes.fromhex(suite.digest),
            reason=reason,
        )
    suite.refresh_from_db()
    return suite
