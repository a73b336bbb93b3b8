"""Pairs that rules put before people: found by a cursor over finished branches, and at reports.

A pair is one comparison, whoever proposes it and how often: the comparison's own uniqueness settles
races, and the cursor moves by a conditional update in the transaction that opens the pairs.
"""

from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from branches.domain.terms import Status
from branches.models import Branch
from branches.selectors.compare import offer_pairs
from verdicts.comparisons import open_comparison
from verdicts.domain.pairing import Cause, PairRule, count_reviewers, find_split, is_drawn
from verdicts.models import PairCursor, Report
from verdicts.pair_rules import current_rules
from verdicts.preferences import read_weights
from verel_site.access.actors import SYSTEM
from verel_site.access.projects import lock_project

FINISHED_AT_ONCE: Final = 50
RELATIVES_READ: Final = 100


def propose_finished(limit: int) -> int:
    """Looks at branches that have finished since, of every project whose rules propose something,
    and says at how many. Safe to run twice, and in several processes."""
    cursors = list(PairCursor.objects.order_by("pk").values_list("pk", flat=True))
    return sum(_follow(cursor, min(limit, FINISHED_AT_ONCE)) for cursor in cursors)


@transaction.atomic
def _follow(cursor_id: int, limit: int) -> int:
    cursor = PairCursor.objects.filter(pk=cursor_id).first()
    if cursor is None:
        return 0
    # A finished branch's last event is the one that finished it, or came after: positions rise in
    # the order of commits, so that none is passed over.
    finished = Branch.objects.filter(
        project_id=cursor.project_id,
        status=Status.COMPLETED.value,
        head_position__gt=cursor.position,
    )
    branches = list(finished.order_by("head_position")[:limit])
    if not branches:
        return 0
    # Before the cursor's row, as whoever changes the rules does.
    lock_project(project_id=cursor.project_id)
    moved = PairCursor.objects.filter(pk=cursor_id, position=cursor.position)
    if moved.update(position=branches[-1].head_position) != 1:
        return 0
    version, rule = current_rules(cursor.project_id)
    for branch in branches:
        _propose(branch, version, rule, at_report=False)
    return len(branches)


def propose_disputed(*, branch: Branch, disputed: bool) -> None:
    """For a branch that was reported on: proposes its pair where graders disagree about it, or, as
    `disputed` says, about the branch itself. Call it before anything that locks an item."""
    if branch.status != Status.COMPLETED:
        return
    version, rule = current_rules(branch.project_id)
    if rule.on_disputed:
        _propose(branch, version, rule, at_report=True, disputed=disputed)


def _propose(
    branch: Branch, version: int, rule: PairRule, *, at_report: bool, disputed: bool = False
) -> None:
    partner = find_partner(branch)
    if partner is None:
        return
    heads = (bytes(branch.head_digest), bytes(partner.head_digest))
    cause = None
    if rule.on_disputed and (disputed or _split(branch, partner)):
        cause = Cause.DISPUTED
    elif not at_report and rule.on_finished:
        drawn = is_drawn(*heads, percent=rule.sample_percent, lot="sample")
        cause = Cause.FINISHED if drawn else None
    if cause is not None:
        open_comparison(
            left=branch.pk,
            right=partner.pk,
            actor=SYSTEM,
            required=count_reviewers(rule, *heads),
            cause=cause,
            rules_version=version,
        )


def find_partner(branch: Branch) -> Branch | None:
    """What a finished branch is best compared with among its finished relatives: what its parent
    went on to do, or else a sibling of the same fork point. A person's correction is none."""
    near = Q(pk=branch.parent_id) | Q(parent=branch)
    if branch.parent_id is not None:
        near |= Q(parent_id=branch.parent_id, fork_seq=branch.fork_seq)
    rows = Branch.objects.filter(near, run_id=branch.run_id, status=Status.COMPLETED.value)
    relatives = list(rows.exclude(corrects__isnull=False).order_by("number")[:RELATIVES_READ])
    if _is_correction(branch.pk):
        return None
    known = {row.pk: row for row in [*relatives, branch]}
    offers = offer_pairs(list(known.values()), about=branch.pk, limit=1)
    if not offers:
        return None
    return offers[0].right if offers[0].left.pk == branch.pk else offers[0].left


def _is_correction(branch_id: UUID) -> bool:
    return Branch.objects.filter(pk=branch_id, corrects__isnull=False).exists()


def _split(branch: Branch, partner: Branch) -> bool:
    first, second = ((one.pk, bytes(one.head_digest)) for one in (branch, partner))
    weights = read_weights(Report.objects.all(), {first, second})
    return find_split(weights.get(first, {}), weights.get(second, {})) is not None
