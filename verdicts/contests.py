"""Contests: more than two continuations of a run, judged two by two, the winner against the next.

Each round is an ordinary comparison in the inbox: blind, its sides drawn once for each reviewer.
The order of the contenders is drawn once, when the contest is opened, and kept. What the contest
has come to is played anew from that order and from what stands of its pairs, after every word that
could move it, with the project locked: so no two rounds of it wait at once, and a judgement that is
undone takes back the rounds that followed from it.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count

from branches.domain.terms import ENDED, Granularity, Status
from branches.models import Branch, Merge
from verdicts.disagreements import ADJUDICATION, outcome_of, standing_words
from verdicts.domain.contest import MAX_CONTENDERS, MIN_CONTENDERS, Course, Neutral, play
from verdicts.domain.pairing import MAX_REVIEWERS, Cause
from verdicts.gated_merges import merge_through_gate
from verdicts.models import Comparison, Contender, Contest, Label
from verdicts.pairs import COMPARISON, open_comparison
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.projects import lock_project
from verel_site.access.rights import Right
from verel_site.audit.ledger import record_act
from verel_site.inbox.items import OPEN, close_item, reopen_item
from verel_site.inbox.models import Item
from verel_site.kit.refusals import NotFound, Refusal, Unprocessable

SWEPT_AT_ONCE: Final = 50


class ContestRefused(Unprocessable):
    code = "contest_refused"
    title = "These cannot be compared with one another"


class ContestOpen(Refusal):
    code = "contest_open"
    title = "The contest has no winner"


@transaction.atomic
def open_contest(*, branches: Sequence[UUID], actor: Actor, required: int = 1) -> Contest:
    """A contest of the branches' present heads; the one that there is, if there is one. Each round
    goes to `required` reviewers."""
    rows = Branch.objects.visible_to(actor).filter(pk__in=branches).order_by("pk")
    found = {row.pk: row for row in rows}
    for project_id in {row.project_id for row in found.values()}:
        actor.demand(project_id, Right.LABEL)
    _check_size(branches, required)
    for branch_id in branches:
        if branch_id not in found:
            raise NotFound(f"There is no branch {branch_id} that you may see.")
    heads = list(found.values())
    _check_heads(heads)
    lock_project(project_id=heads[0].project_id)
    digest = hashlib.sha256(b"".join(sorted(bytes(b.head_digest) for b in heads))).hexdigest()
    known = Contest.objects.filter(run_id=heads[0].run_id, digest=digest).first()
    return known or _make(heads, digest, actor, required)


def _check_size(branches: Sequence[UUID], required: int) -> None:
    if not MIN_CONTENDERS <= len(set(branches)) <= MAX_CONTENDERS or len(set(branches)) < len(
        branches
    ):
        raise ContestRefused(
            f"Name {MIN_CONTENDERS} to {MAX_CONTENDERS} branches, each once.", pointer="/branches"
        )
    if not 1 <= required <= MAX_REVIEWERS:
        raise ContestRefused(f"A round has 1 to {MAX_REVIEWERS} reviewers.", pointer="/reviewers")


def _check_heads(heads: Sequence[Branch]) -> None:
    if len({branch.run_id for branch in heads}) > 1:
        raise ContestRefused("They belong to different runs.", pointer="/branches")
    ended = [branch.label for branch in heads if Status(branch.status) in ENDED]
    if ended:
        raise ContestRefused(f"{' and '.join(ended)} ended.", pointer="/branches")
    if len({bytes(branch.head_digest) for branch in heads}) < len(heads):
        raise ContestRefused("Two of them have the same content.", pointer="/branches")


def _make(heads: Sequence[Branch], digest: str, actor: Actor, required: int) -> Contest:
    order = list(heads)
    secrets.SystemRandom().shuffle(order)
    first = _open_round(order[0], order[1], len(order), 1, required)
    contest = Contest.objects.create(
        project_id=heads[0].project_id,
        run_id=heads[0].run_id,
        digest=digest,
        required=required,
        current=first,
        created_by=actor.name,
    )
    Contender.objects.bulk_create(
        Contender(
            contest=contest,
            branch=branch,
            position=position,
            head_digest=bytes(branch.head_digest),
            head_seq=branch.head_seq,
        )
        for position, branch in enumerate(order)
    )
    record_act(
        project_id=contest.project_id,
        actor=actor,
        action="contest.open",
        subject=f"contest:{contest.pk}",
        after={"order": {str(one.pk): bytes(one.head_digest).hex() for one in order}},
    )
    # The first pair may have been judged before, as one of its own.
    advance_contest(contest.pk)
    contest.refresh_from_db()
    return contest


def _open_round(one: Branch, other: Branch, size: int, number: int, required: int) -> Comparison:
    comparison = open_comparison(
        left=one.pk,
        right=other.pk,
        actor=SYSTEM,
        required=required,
        cause=Cause.CONTEST,
        about=f"{size} siblings, round {number} of {size - 1}",
    )
    reopen_item(project_id=comparison.project_id, kind=COMPARISON, subject_id=comparison.pk)
    return comparison


# What it has come to


def live_contenders(contest: Contest) -> list[Contender]:
    """In their order, those that are as they were when the contest was opened and have not ended."""
    rows = contest.contenders.select_related("branch").order_by("position")
    return [
        row
        for row in rows
        if bytes(row.branch.head_digest) == bytes(row.head_digest)
        and Status(row.branch.status) not in ENDED
    ]


def play_contest(contest: Contest, contenders: Sequence[Contender]) -> Course[UUID]:
    """Four queries, whatever the number of rounds."""
    return play([row.branch_id for row in contenders], _read_said(contest, contenders))


def _read_said(
    contest: Contest, contenders: Sequence[Contender]
) -> Mapping[frozenset[UUID], UUID | Neutral]:
    """What is decided of pairs of contenders: what every reviewer said, none being asked any more,
    or what the adjudicator did."""
    heads = {row.branch_id: bytes(row.head_digest) for row in contenders}
    rows = Comparison.objects.filter(
        run_id=contest.run_id, first__in=list(heads), second__in=list(heads)
    )
    pairs = {
        row.pk: frozenset((row.first_id, row.second_id))
        for row in rows
        if heads[row.first_id] == bytes(row.first_digest)
        and heads[row.second_id] == bytes(row.second_digest)
    }
    asked = Item.objects.filter(kind=COMPARISON, subject__in=list(pairs), state=OPEN)
    still_asked = set(asked.values_list("subject", flat=True))
    outcomes: dict[UUID, set[UUID | str]] = {}
    for label in Label.objects.standing().filter(comparison__in=list(pairs)):
        outcomes.setdefault(label.comparison_id, set()).add(outcome_of(label))
    said: dict[frozenset[UUID], UUID | Neutral] = {}
    for pair, told in outcomes.items():
        if pair not in still_asked and len(told) == 1:
            (only,) = told
            said[pairs[pair]] = only if isinstance(only, UUID) else Neutral(only)
    for pair, word in standing_words(list(pairs)).items():
        said[pairs[pair]] = word.chosen or Neutral(word.answer)
    return said


@transaction.atomic
def advance_contest(contest_id: UUID) -> None:
    """Brings the contest to where its pairs stand: the next round waits in the inbox, or it has its
    end. Safe to run twice. A contest whose winner was merged is left as it is."""
    named = Contest.objects.only("project_id").get(pk=contest_id)
    lock_project(project_id=named.project_id)
    contest = Contest.objects.select_related("current", "merge").get(pk=contest_id)
    if contest.merge is not None and contest.merge.reverted_at is None:
        return
    contenders = live_contenders(contest)
    course = play_contest(contest, contenders)
    before = contest.current
    branches = {row.branch_id: row.branch for row in contenders}
    if course.pending is not None:
        one, other = (branches[branch_id] for branch_id in course.pending)
        number = len(course.rounds) + 1
        contest.current = _open_round(one, other, len(contenders), number, contest.required)
    else:
        contest.current = None
    contest.winner_id = course.winner
    contest.state = (Contest.State.OPEN if course.pending else Contest.State.DONE).value
    contest.save(update_fields=["current", "winner", "state"])
    if before is not None and before.pk != contest.current_id:
        _leave(before)


def _leave(pair: Comparison) -> None:
    """The pair is not the contest's next any more. Where its item is still open, another one is."""
    if pair.cause == Cause.CONTEST:
        close_item(
            project_id=pair.project_id,
            kind=COMPARISON,
            subject_id=pair.pk,
            because="Its contest went another way.",
        )


def follow_contests(pair: Comparison) -> None:
    """After a word on the pair that was given or taken back. Call it last in the transaction."""
    contests = Contest.objects.filter(run_id=pair.run_id, contenders__branch=pair.first_id)
    for contest_id in contests.filter(contenders__branch=pair.second_id).values_list(
        "pk", flat=True
    ):
        advance_contest(contest_id)


def advance_waiting(limit: int) -> int:
    """Moves on contests whose pair waits no more without a word on it: a contender has grown, or has
    ended. Says how many."""
    # A round over which reviewers disagree waits for its adjudicator.
    there = Item.objects.filter(kind__in=[COMPARISON, ADJUDICATION], state=OPEN)
    rows = Contest.objects.filter(state=Contest.State.OPEN.value)
    waiting = rows.exclude(current__in=there.values("subject")).order_by("pk")
    moved = 0
    for contest in waiting[: min(limit, SWEPT_AT_ONCE)]:
        before = contest.current_id
        advance_contest(contest.pk)
        contest.refresh_from_db()
        moved += int(contest.current_id != before)
    return moved


@transaction.atomic
def merge_contest(
    *,
    contest_id: UUID,
    actor: Actor,
    note: str = "",
    granularity: Granularity = Granularity.DECISION,
    bypass_reason: str | None = None,
) -> Merge:
    """The winner wins over every other contender that has not ended, at the heads that were judged.
    Raises ContestOpen, and what `merge_through_gate` raises."""
    contest = read_contest(actor=actor, contest_id=contest_id)
    actor.demand(contest.project_id, Right.MERGE)
    if contest.winner_id is None:
        raise ContestOpen("Judge its rounds first." if contest.current_id else "Nobody won it.")
    heads = {row.branch_id: bytes(row.head_digest) for row in live_contenders(contest)}
    losers = [branch_id for branch_id in heads if branch_id != contest.winner_id]
    merge = merge_through_gate(
        winner_id=contest.winner_id,
        loser_ids=losers,
        actor=actor,
        expected_heads=heads,
        note=note,
        granularity=granularity,
        bypass_reason=bypass_reason,
    )
    Contest.objects.filter(pk=contest_id).update(merge=merge)
    return merge


def list_contests(*, run_id: UUID, limit: int = 20) -> list[Contest]:
    """Of one run, the newest first; nothing of what is sealed is told of them."""
    rows = Contest.objects.filter(run_id=run_id).select_related("winner")
    return list(rows.annotate(size=Count("contenders")).order_by("-created_at")[:limit])


def read_contest(*, actor: Actor, contest_id: UUID) -> Contest:
    rows = Contest.objects.filter(project_id__in=actor.projects).select_related("run", "winner")
    contest = rows.filter(pk=contest_id).first()
    if contest is None:
        raise NotFound(f"There is no contest {contest_id} that you may see.")
    return contest
