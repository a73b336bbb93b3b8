"""Queries with a name. Every one that answers a reader starts at what that reader may see."""

from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import connection, connections, models
from django.db.models import Count, Q, Sum

from branches.domain.terms import INTERVENTIONS, SERVER_SOURCE
from verel_site.access.querysets import Visible

if TYPE_CHECKING:
    from branches.models import Branch, Event, Run  # noqa: F401 -- a base class names it

# The ancestors of a branch, root last, each cut at its child's fork point. `upto` counts events of
# the branch's own suffix. One statement, whatever the depth: a thousand nested forks do not recurse
# in Python, and cost one query. Ancestors that end before a given step are left out.
LINEAGE = """
WITH RECURSIVE lineage(id, parent_id, fork_seq, base, upto, height) AS (
    SELECT id, parent_id, fork_seq, base, CAST(%s AS BIGINT), 0
    FROM branches_branch WHERE id = %s
    UNION ALL
    SELECT b.id, b.parent_id, b.fork_seq, b.base, l.fork_seq, l.height + 1
    FROM branches_branch b JOIN lineage l ON b.id = l.parent_id WHERE l.base > %s
)
"""


class RunQuerySet(Visible["Run"]):
    def with_counts(self) -> Self:
        return self.annotate(
            branch_count=Count("branches"),
            event_count=Sum("branches__head_seq", default=0),
            token_count=Sum("branches__tokens", default=0),
        )


def waits_at(now: datetime) -> Q:
    """Of approvals: neither answered nor expired."""
    return Q(Q(expires_at=None) | Q(expires_at__gt=now), answered_at=None)


class BranchQuerySet(Visible["Branch"]):
    pass


class EventQuerySet(Visible["Event"]):
    def in_run(self, run_id: UUID) -> Self:
        """For who names branches of that run, or places in them, in a filter of his own.

        PostgreSQL then looks into one partition of eight. SQLite finds a branch by itself, and would
        be led astray: by its index of the run it reads the whole of it.
        """
        return self.filter(run_id=run_id) if connections[self.db].vendor == "postgresql" else self

    def of_branch(self, branch: "Branch") -> Self:
        """The events of its own suffix."""
        return self.in_run(branch.run_id).filter(branch_id=branch.pk)


# The join is spelled out for the planner, which knows nothing of how long a lineage is: for each
# branch of it one range of the index by branch and seq, in one partition. (The plus keeps SQLite
# from the index by run, which would read the whole run once for each branch.)
_JOIN = {
    "postgresql": """
SELECT {columns} FROM lineage l CROSS JOIN LATERAL (
    SELECT * FROM branches_event e WHERE e.run_id = %s AND e.branch_id = l.id
    AND e.seq <= l.upto AND e.seq > CAST(%s AS BIGINT) - l.base AND {genuine} OFFSET 0
) e""",
    "sqlite": """
SELECT {columns} FROM lineage l CROSS JOIN branches_event e ON +e.run_id = %s
AND e.branch_id = l.id AND e.seq <= l.upto AND e.seq > CAST(%s AS BIGINT) - l.base AND {genuine}""",
}
# An intervention (override, patch, answer) that a client wrote is none: only Verel tells those, and
# an agent that could tell them would speak with a person's authority.
_GENUINE = "(e.type NOT IN ({}) OR e.source = '{}')".format(
    ", ".join(f"'{told}'" for told in sorted(INTERVENTIONS)), SERVER_SOURCE
)


def read_lineage_rows(
    branch: "Branch", *, upto: int, after_step: int, columns: tuple[str, ...]
) -> list[tuple[Any, ...]]:
    """The lineage's events in order, those of step > `after_step` only, as the database gives them,
    without interventions that a client wrote.

    One query. Its first column is the position, by which a lineage is ordered: a fork is made after
    the event that it begins at.
    """
    listed = ", ".join(("e.position", *columns))
    sql = LINEAGE + _JOIN[connection.vendor].format(columns=listed, genuine=_GENUINE)
    run = _as_stored(branch, branch.run_id)
    with connection.cursor() as cursor:
        cursor.execute(sql, [upto, _as_stored(branch, branch.pk), after_step, run, after_step])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    rows.sort(key=itemgetter(0))
    return rows


def _as_stored(model: models.Model, value: UUID) -> Any:
    return model._meta.pk.get_db_prep_value(value, connection)


def read_segments(branch: "Branch", *, upto: int) -> list[tuple[UUID, int, int]]:
    """`(branch id, base, upto)` of the lineage, root first: one query."""
    sql = LINEAGE + "SELECT id, base, upto FROM lineage ORDER BY height DESC"
    with connection.cursor() as cursor:
        cursor.execute(sql, [upto, _as_stored(branch, branch.pk), 0])
        rows = cursor.fetchall()
    return [(UUID(str(row[0])), int(row[1]), int(row[2])) for row in rows]
