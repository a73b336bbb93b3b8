"""What an import keeps: the bytes under their digest, and what verify says where they are not."""

from pathlib import Path

import pytest

from branches.models import Branch
from tests.api_client import Api, problem
from tests.make import append, make_key, make_message, make_run
from tests.sound import faults_of
from tests.verdicts.graders.printouts import sample
from tests.verdicts.make import push
from verdicts.imports import import_reports
from verdicts.models import Report
from verel_site.access.actors import SYSTEM

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api_urls")]


@pytest.fixture
def branch() -> Branch:
    branch = make_run()[1]
    append(branch, make_message("assistant", "Done."))
    return branch


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "archive" / "reports").rglob("*.zst"))


def test_the_same_output_is_kept_once_and_reports_share_it(branch: Branch, tmp_path: Path) -> None:
    raw = sample("agentvision/4_broken.json")
    first = import_reports(branch_id=branch.pk, actor=SYSTEM, raw=raw)
    again = import_reports(branch_id=branch.pk, actor=SYSTEM, raw=raw)
    assert [report.pk for report in first] == [report.pk for report in again]
    assert len({report.raw_sha256 for report in first}) == 1
    [path] = kept(tmp_path)
    assert path.stem == first[0].raw_sha256
    assert path.stat().st_size < len(raw)
    assert faults_of(branch.project_id) == []


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_output_that_is_damaged_is_found_and_never_given_out(
    damage: str, branch: Branch, tmp_path: Path
) -> None:
    [report] = import_reports(branch_id=branch.pk, actor=SYSTEM, raw=sample("junit.xml"))
    [path] = kept(tmp_path)
    import_reports(branch_id=branch.pk, actor=SYSTEM, raw=sample("ctrf.json"))
    other = next(each for each in kept(tmp_path) if each != path)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(other.read_bytes() if damage == "other" else path.read_bytes()[:40])
    told = faults_of(branch.project_id)
    assert len(told) == 1
    assert "the output that it was read from" in told[0].detail
    reader = Api(make_key(branch.project, "context:read"))
    answer = reader.get(f"reports/{report.pk}/raw")
    problem(answer, *((404, "not_found") if damage == "gone" else (409, "raw_damaged")))


def test_a_report_that_was_pushed_has_no_other_bytes(branch: Branch) -> None:
    report = push(branch)
    reader = Api(make_key(branch.project, "context:read"))
    problem(reader.get(f"reports/{report.pk}/raw"), 404, "not_found")
    assert Report.objects.count() == 1
