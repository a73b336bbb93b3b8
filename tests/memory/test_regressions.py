"""A verified record falls back when what verified it fails, by whichever ledger tells of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from branches.merges import merge_branches, revert_merge
from branches.models import Branch, Event
from memory.domain.terms import Answer
from memory.evidence import Cited
from memory.models import Record
from memory.promotion import Said, decide_promotion
from memory.regressions import SETTLE_SECONDS, follow_regressions
from memory.requests import request_promotion
from tests.make import append, make_fork, make_message, make_run
from tests.memory.make import answer, cite, make_fact, make_source
from tests.verdicts.make import SUITE, make_issue, make_runner, push, push_proven
from verdicts.admission import admit_merge
from verdicts.models import GateDecision
from verdicts.suites import freeze_suite
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project
from verel_site.audit.models import AuditEntry

pytestmark = pytest.mark.django_db


def follow() -> None:
    later = timezone.now() + timedelta(seconds=SETTLE_SECONDS + 1)
    while follow_regressions(now=later):
        pass


def borne_out(project: Project, curator: Actor, *, verified: bool = True) -> tuple[Record, Branch]:
    """A record with one event behind it, beside which the test grader passed."""
    trunk = make_run(project)[1]
    append(trunk, make_message("assistant", "The cap held"))
    report = push(trunk)
    event = Event.objects.get(branch=trunk, seq=2)
    record = make_fact(
        project, "The cap holds", entailment=0.9, evidence=[Cited(event.event_id, report=report.pk)]
    )
    assert record.grounding == "precise"
    if verified:
        answer(record, curator, Answer.PROMOTE, scope="global")
    return record, trunk


def test_a_failure_of_the_grader_that_bore_it_out_takes_its_trust_and_its_reach(
    project: Project, curator: Actor
) -> None:
    record, trunk = borne_out(project, curator)
    follow()
    record.refresh_from_db()
    assert (record.trust, record.scope) == ("verified", "global")
    push(trunk, issues=[make_issue()])
    follow()
    record.refresh_from_db()
    assert (record.trust, record.scope) == ("unverified", "team")
    act = AuditEntry.objects.get(action="memory.regress")
    assert "test grader" in act.reason
    assert "assert 3 == 4" in act.reason
    follow()
    assert AuditEntry.objects.filter(action="memory.regress").count() == 1


def test_what_three_runs_support_falls_back_to_corroborated(
    project: Project, curator: Actor
) -> None:
    record, trunk = borne_out(project, curator, verified=False)
    make_fact(project, "The cap holds", evidence=cite(*(make_source(project) for _ in range(2))))
    answer(record, curator, Answer.PROMOTE)
    push(trunk, issues=[make_issue()])
    follow()
    record.refresh_from_db()
    assert record.trust == "corroborated"


@pytest.mark.parametrize("grader", ["lint", "test"])
def test_another_grader_or_another_branch_says_nothing_about_it(
    project: Project, curator: Actor, grader: str
) -> None:
    record, trunk = borne_out(project, curator)
    elsewhere = trunk if grader == "lint" else make_run(project)[1]
    push(
        elsewhere, grader, issues=[make_issue(kind="lint" if grader == "lint" else "test_failure")]
    )
    follow()
    record.refresh_from_db()
    assert record.trust == "verified"


def test_a_failure_counts_only_once_it_has_settled(project: Project, curator: Actor) -> None:
    record, trunk = borne_out(project, curator)
    push(trunk, issues=[make_issue()])
    follow_regressions(now=timezone.now())
    record.refresh_from_db()
    assert record.trust == "verified"
    follow()
    record.refresh_from_db()
    assert record.trust == "unverified"


def backed_by_a_gate(project: Project, curator: Actor) -> tuple[Record, Branch, Any]:
    """A record whose promotion the gate of a merged branch stands behind."""
    suite = freeze_suite(
        project_id=project.pk, actor=SYSTEM, grader="test", name="caps", digest=SUITE
    )
    assert suite.digest == SUITE
    trunk = make_run(project)[1]
    append(trunk, make_message("user", "Go"))
    winner = make_fork(trunk, 2).branch
    append(trunk, make_message("assistant", "A"))
    append(winner, make_message("assistant", "B"))
    push_proven(make_runner(project), winner)
    merge = merge_branches(
        winner_id=winner.pk,
        loser_ids=[trunk.pk],
        actor=SYSTEM,
        admission=admit_merge(winner=winner, actor=SYSTEM),
    )
    decision = GateDecision.objects.filter(branch=winner).latest("created_at")
    record = make_fact(project, "The cap holds", evidence=cite(make_source(project)))
    request = request_promotion(record_id=record.record_id, actor=SYSTEM, gate_decision=decision.pk)
    said = Said(Answer.PROMOTE, bytes(request.content_digest))
    decide_promotion(request_id=request.pk, actor=curator, said=said)
    return record, winner, merge


def test_a_merge_that_is_taken_back_takes_the_trust_of_what_its_gate_stood_behind(
    project: Project, curator: Actor
) -> None:
    record, _, merge = backed_by_a_gate(project, curator)
    follow()
    record.refresh_from_db()
    assert record.trust == "verified"
    revert_merge(merge_id=merge.pk, actor=curator, reason="It slows the pump")
    follow()
    record.refresh_from_db()
    assert record.trust == "unverified"
    reason = AuditEntry.objects.get(action="memory.regress").reason
    assert "It slows the pump" in reason


def test_what_other_branches_speak_for_too_outlives_a_reverted_merge(
    project: Project, curator: Actor
) -> None:
    trunk = make_run(project)[1]
    append(trunk, make_message("user", "Go"))
    winner = make_fork(trunk, 2).branch
    append(trunk, make_message("assistant", "A"))
    append(winner, make_message("assistant", "B"))
    push(winner)
    event = Event.objects.filter(branch=winner, type="data.message.assistant").get()
    alone = make_fact(project, "Only this branch says it", evidence=[Cited(event.event_id)])
    both = make_fact(
        project,
        "Two runs say this one",
        evidence=[Cited(event.event_id), *cite(make_source(project))],
    )
    for record in (alone, both):
        answer(record, curator, Answer.PROMOTE)
    merge = merge_branches(
        winner_id=winner.pk,
        loser_ids=[trunk.pk],
        actor=SYSTEM,
        admission=admit_merge(winner=winner, actor=SYSTEM),
    )
    revert_merge(merge_id=merge.pk, actor=curator, reason="Wrong")
    follow()
    alone.refresh_from_db()
    both.refresh_from_db()
    assert (alone.trust, both.trust) == ("unverified", "verified")
