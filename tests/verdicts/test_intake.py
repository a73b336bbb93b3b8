import json
from pathlib import Path
from typing import Any

import pytest

from branches.intake.files import TranscriptFile
from branches.intake.transcripts import Summary
from branches.models import Branch
from branches.steering import abandon_branch
from tests.make import make_person, make_project
from verdicts.admission import read_gate
from verdicts.intake import import_and_report
from verdicts.models import Report
from verdicts.reports import file_report
from verel_site.access.actors import SYSTEM, Actor
from verel_site.access.models import Project

pytestmark = pytest.mark.django_db


def write_trials(tmp_path: Path) -> TranscriptFile:
    path = tmp_path / "trials.json"
    path.write_text(
        json.dumps([_trial(0, "Yes.", 1.0), _trial(1, "No.", 0.0), _trial(2, "Perhaps.", None)])
    )
    return TranscriptFile(path.name, path)


def _trial(number: int, answer: str, reward: float | None) -> dict[str, Any]:
    traj = [{"role": "user", "content": "Is it on?"}, {"role": "assistant", "content": answer}]
    return {"task_id": 4, "trial": number, "traj": traj, "info": {}, "reward": reward}


def import_trials(project: Project, file: TranscriptFile, actor: Actor = SYSTEM) -> Summary:
    [summary] = import_and_report(project_id=project.pk, actor=actor, files=[file])
    return summary


def branch_named(project: Project, name: str) -> Branch:
    return Branch.objects.get(project=project, name=name)


def test_a_full_reward_opens_the_gate_and_none_shuts_it(tmp_path: Path) -> None:
    project = make_project()

    import_trials(project, write_trials(tmp_path))

    won, lost = (read_gate(branch_named(project, f"trial {n}")) for n in (0, 1))
    assert (won.verdict, won.open, won.stale) == ("pass", True, False)
    assert (lost.verdict, lost.open) == ("fail", False)
    [issue] = Report.objects.get(branch=lost.branch).issues.all()
    assert (issue.kind, issue.severity, issue.message) == (
        "test_failure",
        "error",
        "The trial earned a reward of 0 of 1.",
    )
    assert not Report.objects.filter(branch=branch_named(project, "trial 2")).exists()


def test_reports_are_filed_once_however_often_the_file_is_read(tmp_path: Path) -> None:
    project, file = make_project(), write_trials(tmp_path)
    import_trials(project, file)
    lost = branch_named(project, "trial 1")
    # Another grader's later word must not make the imported one look new.
    rerun = {"grader": "test", "head_digest": bytes(lost.head_digest).hex(), "issues": []}
    file_report(branch_id=lost.pk, actor=SYSTEM, report=rerun)
    abandon_branch(branch_id=lost.pk, actor=SYSTEM, reason="It lost.")

    summary = import_trials(project, file)

    assert (summary.events, summary.fault) == (0, "")
    assert Report.objects.filter(branch__project=project).count() == 3


def test_a_reviewer_may_import_though_a_reviewer_cannot_report(tmp_path: Path) -> None:
    project = make_project()

    person = make_person(project)

    import_trials(project, write_trials(tmp_path), person)

    reports = Report.objects.filter(branch__project=project)
    assert set(reports.values_list("by_kind", "by_name")) == {("system", person.name)}
