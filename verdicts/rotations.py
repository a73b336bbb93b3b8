"""What befalls suites by themselves: canaries that are watched, and a fifth that is minted anew.

A suite's row is the promise: `rotate_at` says when, `scanned_position` how far the journal was
looked through. Every step is safe to run twice and in several processes at once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from branches.selectors.search import newer_events
from branches.storage.codec import Unreadable
from branches.storage.payloads import UnreadableEvent, payload_bytes
from verdicts.domain.leakage import (
    Tally,
    add_up,
    count_retiring,
    has_leaked,
    pick_retiring,
)
from verdicts.domain.terms import Part
from verdicts.escalations import Cause, escalate
from verdicts.models import Issue, Suite, SuiteCase
from verdicts.policies import follow_suite
from verdicts.suites import (
    SuiteNotLive,
    demand_owner,
    digest_of,
    find_suite,
    fresh_token,
    keep_cases,
    last_position,
    next_rotation,
    retire_suite,
)
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.projects import lock_project
from verel_site.audit.ledger import record_act
from verel_site.kit.refusals import Refusal

SCAN_ROWS: Final = 500
SETTLE_SECONDS: Final = 30
# The runs over which suite and hold-out are compared.
RECENT_RESULTS: Final = 50

type TextSearch = Callable[[UUID, str], str]

_searches: dict[str, TextSearch] = {}


class NoFreshCases(Refusal):
    code = "no_fresh_cases"
    title = "There is no fresh case to mint from"


@dataclass(frozen=True, slots=True)
class Tended:
    """What one step did; `more` says that there is more to look through right away."""

    tripped: int = 0
    rotated: int = 0
    more: bool = False


def register_search(name: str, search: TextSearch) -> None:
    """`search(project_id, token)` says where a canary stands in texts that this app does not know
    (memory's), or nothing."""
    _searches[name] = search


def tend_suites(*, now: datetime | None = None) -> bool:
    """One step of the standing job; says whether there may be more right away."""
    return tend(now=now).more


def tend(*, now: datetime | None = None) -> Tended:
    live = list(Suite.objects.frozen().exclude(token="").order_by("pk"))
    tripped, more = 0, False
    for suite in live:
        found, behind = _watch(suite)
        tripped += bool(found) and _trip(suite, found)
        more = more or behind
    at = now or timezone.now()
    Suite.objects.filter(pk__in=[suite.pk for suite in live]).update(watched_at=at)
    due = Suite.objects.frozen().exclude(token="").filter(rotate_at__lte=at)
    rotated = sum(_rotate_due(suite_id) for suite_id in due.values_list("pk", flat=True))
    return Tended(tripped, rotated, more)


def _watch(suite: Suite) -> tuple[str, bool]:
    """Why the suite's canary trips, or nothing; and whether the journal goes on behind this batch.

    A suite that has tripped is looked at no more: its rotation is due.
    """
    if suite.tripped_at is not None:
        return "", False
    gap = _gap(suite)
    if gap:
        return gap, False
    for search in _searches.values():
        where = search(suite.project_id, suite.token)
        if where:
            return f"Its canary stands in {where}", False
    told, more = _scan_issues(suite)
    if told:
        return told, False
    told, behind = _scan_events(suite)
    return told, more or behind


def _gap(suite: Suite) -> str:
    rows = suite.results.order_by("-pk")[:RECENT_RESULTS]
    tally = add_up(
        Tally(row.passed, row.total, row.holdout_passed, row.holdout_total) for row in rows
    )
    if not has_leaked(tally):
        return ""
    return (
        f"{tally.passed} of {tally.total} cases pass, and of the hold-out that nobody has seen "
        f"{tally.holdout_passed} of {tally.holdout_total}"
    )


def _scan_issues(suite: Suite) -> tuple[str, bool]:
    """An issue that quotes the token tells it to every agent that reads its verdict."""
    # Younger ones may yet be overtaken by rows with lower numbers that commit later.
    settled = timezone.now() - timedelta(seconds=SETTLE_SECONDS)
    rows = list(
        Issue.objects.filter(
            report__project_id=suite.project_id,
            pk__gt=suite.scanned_issue,
            report__received_at__lt=settled,
        )
        .order_by("pk")
        .only("pk", "message", "report_id")[:SCAN_ROWS]
    )
    found = next((row for row in rows if suite.token in row.message), None)
    if found is not None:
        return f"Its canary stands in an issue of report {found.report_id}", False
    if rows:
        moved = Suite.objects.filter(pk=suite.pk, scanned_issue=suite.scanned_issue)
        moved.update(scanned_issue=rows[-1].pk)
    return "", len(rows) == SCAN_ROWS


def _scan_events(suite: Suite) -> tuple[str, bool]:
    rows = list(
        newer_events(suite.project_id, suite.scanned_position).order_by("position")[:SCAN_ROWS]
    )
    needle = suite.token.encode()
    for row in rows:
        try:
            found = needle in payload_bytes(row)
        except (Unreadable, UnreadableEvent):
            # It can not be read by an agent either; `verify` tells of it.
            found = False
        if found:
            return f"Its canary stands in event {row.event_id}", False
    if rows:
        # By its old value: another worker that was faster has moved it further.
        moved = Suite.objects.filter(pk=suite.pk, scanned_position=suite.scanned_position)
        moved.update(scanned_position=rows[-1].position)
    return "", len(rows) == SCAN_ROWS


@transaction.atomic
def _trip(suite: Suite, reason: str) -> bool:
    """Records why, and makes the rotation due; once."""
    now = timezone.now()
    rows = Suite.objects.frozen().filter(pk=suite.pk, tripped_at=None)
    if not rows.update(tripped_at=now, tripped_reason=reason, rotate_at=now):
        return False
    record_act(
        project_id=suite.project_id,
        actor=SYSTEM,
        action="suite.canary",
        subject=f"suite:{suite.pk}",
        digest=bytes.fromhex(suite.digest),
        after={"name": suite.name, "grader": suite.grader},
        reason=reason,
    )
    escalate(
        project_id=suite.project_id,
        subject_id=suite.pk,
        cause=Cause.CANARY,
        digest=bytes.fromhex(suite.digest),
        title=f"The canary of {suite.name} tripped",
        reasons=[reason],
        href=reverse("suite", args=[suite.pk]),
    )
    return True


def _rotate_due(suite_id: UUID) -> bool:
    """A suite without fresh cases waits, and its list says so: nobody can mint but people."""
    suite = Suite.objects.get(pk=suite_id)
    reason = suite.tripped_reason or f"{suite.rotate_days} days have passed"
    try:
        rotate_suite(suite_id=suite_id, actor=SYSTEM, reason=reason)
    except (NoFreshCases, SuiteNotLive):
        return False
    return True


@transaction.atomic
def rotate_suite(*, suite_id: UUID, actor: Actor, reason: str) -> Suite:
    """Retires the suite for a new one, frozen at once, in which the fifth of the cases that were
    in use longest is replaced by fresh ones, with a new canary; answers that one.

    Where the policy names the old suite its next version names the new one. Where fewer fresh
    cases are kept than a fifth, as many are replaced as there are; with none, NoFreshCases.
    """
    suite = find_suite(actor=actor, suite_id=suite_id)
    demand_owner(actor, suite.project_id)
    lock_project(project_id=suite.project_id)
    suite.refresh_from_db()
    if suite.frozen_at is None or suite.retired_at is not None or not suite.token:
        raise SuiteNotLive("Only a frozen suite whose cases are kept here is rotated.")
    rows, minted = _minted(suite)
    if not minted:
        raise NoFreshCases("Add fresh cases to the suite first.")
    new = _follow(suite, rows)
    retire_suite(suite_id=suite.pk, actor=actor, reason=reason)
    follow_suite(
        project_id=suite.project_id,
        grader=suite.grader,
        old=suite.digest,
        new=new.digest,
        reason=f"{actor.name} rotated the suite {suite.name}",
    )
    record_act(
        project_id=suite.project_id,
        actor=actor,
        action="suite.rotate",
        subject=f"suite:{new.pk}",
        digest=bytes.fromhex(new.digest),
        before={"suite": str(suite.pk), "digest": suite.digest},
        after={"name": new.name, "grader": new.grader, "minted": minted},
        reason=reason,
    )
    return new


def _minted(suite: Suite) -> tuple[list[SuiteCase], int]:
    """The cases of the suite that follows, and how many of those in use are fresh."""
    parts: dict[str, list[SuiteCase]] = {part.value: [] for part in Part}
    for row in suite.cases.order_by("part", "position"):
        parts[row.part].append(row)
    used, reserve = parts[Part.CASE], parts[Part.RESERVE]
    count = min(count_retiring(len(used)), len(reserve))
    gone = set(pick_retiring([(row.since.timestamp(), row.pk) for row in used], count))
    kept = [row for row in used if row.pk not in gone]
    fresh, now = reserve[:count], timezone.now()
    listed = (
        (Part.CASE, [*((row, row.since) for row in kept), *((row, now) for row in fresh)]),
        (Part.HOLDOUT, [(row, row.since) for row in parts[Part.HOLDOUT]]),
        (Part.RESERVE, [(row, row.since) for row in reserve[count:]]),
    )
    rows = [
        SuiteCase(part=part.value, position=position, name=row.name, body=row.body, since=since)
        for part, told in listed
        for position, (row, since) in enumerate(told)
    ]
    return rows, count


def _follow(suite: Suite, rows: Iterable[SuiteCase]) -> Suite:
    told = list(rows)
    new = Suite.objects.create(
        project_id=suite.project_id,
        grader=suite.grader,
        name=suite.name,
        digest=digest_of(suite.grader, told),
        owner=suite.owner,
        follows=suite,
        frozen_at=timezone.now(),
        rotate_days=suite.rotate_days,
        rotate_at=next_rotation(suite.rotate_days),
        token=fresh_token(),
        scanned_position=last_position(suite.project_id),
    )
    keep_cases(new, told)
    return new
