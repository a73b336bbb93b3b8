"""Directives: what an agent must know. The row is the message; its id is the cursor."""

from typing import Any
from uuid import UUID

from branches.domain.terms import DirectiveKind
from branches.models import Branch, Directive


def post_directive(
    *, branch: Branch, kind: DirectiveKind, body: dict[str, Any] | None = None
) -> Directive:
    """Call inside the transaction of what it tells."""
    return Directive.objects.create(
        project_id=branch.project_id, branch=branch, kind=kind.value, body=body or {}
    )


def read_directives(*, project_id: UUID, after: int, limit: int) -> list[Directive]:
    rows = Directive.objects.filter(project_id=project_id, id__gt=after)
    return list(rows.order_by("id")[:limit])
