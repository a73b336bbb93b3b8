"""Whether a project's audit chain is whole."""

import json
from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from verel_site.audit.ledger import FIRST_SEAL, seal_entry
from verel_site.audit.models import AuditEntry
from verel_site.kit.faults import Fault


def find_faults(*, project_id: UUID, counts: Counter[str]) -> Iterator[Fault]:
    """Every break of a project's chain, and every column that says something else than the body.

    A tail that was cut off leaves a whole chain; it shows against a head that was signed before.
    """
    previous, expected = FIRST_SEAL, 1
    for entry in AuditEntry.objects.filter(project_id=project_id).order_by("number").iterator():
        counts["audit entries"] += 1
        named, body = f"audit entry {entry.number} ({entry.action})", bytes(entry.body)
        if entry.number != expected:
            lost = entry.number - expected
            yield Fault(
                "missing", f"audit entry {expected}", f"{lost} missing before {entry.number}"
            )
        elif seal_entry(previous, body) != bytes(entry.seal):
            yield Fault("changed", named, "its body or its seal is not what was stored")
        elif not _repeats(entry, body):
            yield Fault("changed", named, "its columns say something else than its sealed body")
        previous, expected = bytes(entry.seal), entry.number + 1


def _repeats(entry: AuditEntry, body: bytes) -> bool:
    """Whether the columns say what the sealed body says."""
    try:
        told = json.loads(body)
        names = ("number", "at", "action", "subject", "reason", "actor")
        said = [told[name] for name in names]
    except (ValueError, KeyError, TypeError):
        return False
    actor = {"kind": entry.actor_kind, "id": entry.actor_id, "name": entry.actor_name}
    at = entry.at.isoformat()
    return said == [entry.number, at, entry.action, entry.subject, entry.reason, actor]
