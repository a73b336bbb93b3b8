"""Transcripts that say how a trial ended: what they tell becomes a `test` report on its head."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from branches.intake.files import FollowFile, Outcome, TranscriptFile
from branches.intake.transcripts import AUTO, Summary, import_transcript
from verdicts.domain.terms import Grader, IssueKind, Severity
from verdicts.models import Report
from verdicts.reports import file_report
from verel_site.access.actors import Actor

REPORTER_ID: Final = "import"


def reporter_for(actor: Actor) -> Actor:
    """Who files the reports of an import: the system, under the importer's name.

    Whoever may import need not hold the right to report; and neither that person nor a grader of
    this installation saw the trial.
    """
    return Actor(kind="system", id=REPORTER_ID, name=actor.name)


def import_and_report(
    *,
    project_id: UUID,
    actor: Actor,
    files: Sequence[TranscriptFile],
    run_id: UUID | None = None,
    format: str = AUTO,
    progress: FollowFile | None = None,
    keep: bool = True,
) -> list[Summary]:
    """`import_transcript`, and one report for each trial that names a reward. Safe to repeat.

    A branch has one such report for ever, whoever imports it again; one that a crash kept from
    being filed is filed by the next import.
    """
    summaries = import_transcript(
        project_id=project_id,
        actor=actor,
        files=files,
        run_id=run_id,
        format=format,
        progress=progress,
        keep=keep,
    )
    for summary in summaries:
        _report_outcomes(summary.outcomes, reporter_for(actor))
    return summaries


def _report_outcomes(outcomes: Sequence[Outcome], reporter: Actor) -> None:
    mine = Report.objects.filter(by_kind=reporter.kind, by_id=REPORTER_ID)
    told = mine.filter(branch__in={outcome.branch for outcome in outcomes})
    reported = set(told.values_list("branch_id", flat=True))
    for outcome in outcomes:
        if outcome.branch not in reported:
            file_report(branch_id=outcome.branch, actor=reporter, report=read_outcome(outcome))
            reported.add(outcome.branch)


def read_outcome(outcome: Outcome) -> dict[str, Any]:
    """The report's body: clean at a full reward, else one failed test."""
    issue = {
        "kind": IssueKind.TEST_FAILURE.value,
        "severity": Severity.ERROR.value,
        "source": Grader.TEST.value,
        "message": outcome.message,
        "detail": {"test_id": outcome.test_id},
    }
    return {
        "grader": Grader.TEST.value,
        "head_digest": outcome.head_digest.hex(),
        "summary": f"Imported reward: {outcome.reward:g}",
        "issues": [issue] if outcome.message else [],
        "capabilities": [IssueKind.TEST_FAILURE.value],
    }
