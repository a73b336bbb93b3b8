"""Escalations: what graders and rules cannot settle, put before a person."""

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from branches.models import Branch
from verel_site.access.actors import SYSTEM, Actor
from verel_site.audit.ledger import record_act
from verel_site.inbox.items import post_item
from verel_site.inbox.models import Item
from verel_site.kit import strict_json
from verel_site.kit.refusals import Unprocessable

ESCALATION: Final = "escalation"
ESCALATION_PRIORITY: Final = 5
MAX_TEXT: Final = 20_000


class Cause(StrEnum):
    """Why a person is asked."""

    DISAGREEMENT = "disagreement"
    STUCK = "stuck"
    CANARY = "canary"


FLAGS: Final = {
    Cause.DISAGREEMENT: "graders disagree",
    Cause.STUCK: "stuck",
    Cause.CANARY: "leakage",
}


class BadResolution(Unprocessable):
    code = "bad_resolution"
    title = "The answer is not well-formed"


def escalate(
    *,
    project_id: UUID,
    subject_id: UUID,
    cause: Cause,
    digest: bytes,
    title: str,
    reasons: Sequence[str],
    branch: Branch | None = None,
    actor: Actor = SYSTEM,
) -> Item:
    """Asks a person about `subject_id` as it was at `digest`; again for the same cause is no harm.

    `reasons` are sentences that the person reads; `branch` is where to look, if it is about one.
    """
    where: dict[str, Any] = {}
    about = ""
    if branch is not None:
        where = {"branch": str(branch.pk), "run": str(branch.run_id)}
        about = f"{branch.label}, run {branch.run.number}"
    return post_item(
        project_id=project_id,
        kind=ESCALATION,
        subject_id=subject_id,
        # One subject may be asked about for several causes at one digest.
        subject_digest=hashlib.sha256(cause.encode() + b"\n" + digest).digest(),
        title=title,
        about=about,
        flag=FLAGS[cause],
        body={"cause": cause.value, "reasons": list(reasons), **where},
        priority=ESCALATION_PRIORITY,
        actor=actor,
    )


def resolve(*, item: Item, actor: Actor, answer: str, text: object = "") -> Mapping[str, Any]:
    """A person's answer. Nothing follows from it by itself: it stands in the audit log."""
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise BadResolution(f"text has at most {MAX_TEXT:,} characters.", pointer="/fields/text")
    strict_json.check(text, at="/fields/text")
    if answer == "respond" and not text.strip():
        raise BadResolution("Say what you found.", pointer="/fields/text")
    record_act(
        project_id=item.project_id,
        actor=actor,
        action="escalation.resolve",
        subject=f"item:{item.pk}",
        digest=bytes.fromhex(item.digest),
        after={"answer": answer, "cause": item.body.get("cause")},
        reason=text.strip(),
    )
    return {}
