"""Transcripts that say how a trial ended: what they tell becomes a `test` report on its head."""

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from branches.intake.files import Outcome, Progress, TranscriptFile
from branches.intake.transcripts import AUTO, Summary, import_transcript
from verdicts.domain.terms import Grader, IssueKind, Severity
from verdicts.models import Report
from verdicts.reports import file_report
from verel_site.access.actors import Actor

# Who reports: neither the person who imported it nor a grader of this installation saw the trial.
REPORTER: Final = Actor(kind="system", id="import", name="Imported reward")


def import_and_report(
    *,
    project_id: UUID,
    actor: Actor,
    files: Sequence[TranscriptFile],
    run_id: UUID | None = None,
    format: str = AUTO,
    progress: Callable[[TranscriptFile], Progress] | None = None,
) -> list[Summary]:
    """`import_transcript`, and one report for each trial that names a reward. Safe to repeat."""
    summaries = import_transcript(
        project_id=project_id,
        actor=actor,
        files=files,
        run_id=run_id,
        format=format,
        progress=progress,
    )
    for summary in summaries:
        _report_outcomes(summary.outcomes)
    return summaries


def _report_outcomes(outcomes: Sequence[Outcome]) -> None:
    mine = Report.objects.filter(by_kind=REPORTER.kind, by_id=REPORTER.id)
    told = mine.filter(branch__in={outcome.branch for outcome in outcomes})
    reported = set(told.values_list("branch_id", flat=True))
    for outcome in outcomes:
        if outcome.branch not in reported:
            file_report(branch_id=outcome.branch, actor=REPORTER, report=read_outcome(outcome))
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
