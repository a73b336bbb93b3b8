"""Queries with a name. Every one that answers a reader starts at what that reader may see."""

from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import models
from django.db.models import Count, Sum

from verel_site.access.querysets import Visible

if TYPE_CHECKING:
    from branches.models import Branch, Event, Run  # noqa: F401 -- a base class names it

# The ancestors of a branch, root last, each cut at its child's fork point. `upto` counts events of
# the branch's own suffix. One statement, whatever the depth: a thousand nested forks do not recurse
# in Python, and cost one query.
LINEAGE = """
WITH RECURSIVE lineage(id, parent_id, fork_seq, base, upto, height) AS (
    SELECT id, parent_id, fork_seq, base, CAST(%s AS BIGINT), 0
    FROM branches_branch WHERE id = %s
    UNION ALL
    SELECT b.id, b.parent_id, b.fork_seq, b.base, l.fork_seq, l.height + 1
    FROM branches_branch b JOIN lineage l ON b.id = l.parent_id
)
"""


class RunQuerySet(Visible["Run"]):
    def with_counts(self) -> Self:
        return self.annotate(
            branch_count=Count("branches"),
            event_count=Sum("branches__head_seq", default=0),
            token_count=Sum("branches__tokens", default=0),
        )


class BranchQuerySet(Visible["Branch"]):
    pass


class EventQuerySet(Visible["Event"]):
    def of_lineage(
        self, branch: "Branch", *, upto: int, after_step: int = 0
    ) -> "models.query.RawQuerySet[Event]":
        """The lineage's events in order, those of step > `after_step` only.

        The run is named beside the branches, so that PostgreSQL looks into its partition alone.
        """
        sql = (
            LINEAGE
            + """
SELECT e.* FROM lineage l JOIN branches_event e ON e.branch_id = l.id AND e.seq <= l.upto
    AND e.run_id = %s
WHERE l.base + e.seq > %s ORDER BY l.height DESC, e.seq
"""
        )
        keys = [_as_stored(branch, key) for key in (branch.pk, branch.run_id)]
        return self.raw(sql, [upto, *keys, after_step])


def _as_stored(model: models.Model, value: UUID) -> Any:
    from django.db import connection

    return model._meta.pk.get_db_prep_value(value, connection)


def read_segments(branch: "Branch", *, upto: int) -> list[tuple[UUID, int, int]]:
    """`(branch id, base, upto)` of the lineage, root first: one query."""
    from django.db import connection

    sql = LINEAGE + "SELECT id, base, upto FROM lineage ORDER BY height DESC"
    with connection.cursor() as cursor:
        cursor.execute(sql, [upto, _as_stored(branch, branch.pk)])
        rows = cursor.fetchall()
    return [(UUID(str(row[0])), int(row[1]), int(row[2])) for row in rows]
