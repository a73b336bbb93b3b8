"""What a runner and its installation type: make a key, sign, import; and the runner of the README."""

import hashlib
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from branches.models import Branch
from tests.make import append, make_key, make_message, make_run
from tests.verdicts.graders.printouts import SAMPLES
from tests.verdicts.make import SUITE, make_issue, make_report, require
from verdicts.admission import read_gate
from verdicts.coverage import read_named
from verdicts.models import Report, Runner
from verdicts.receipts import owed_nonce
from verdicts.reports import file_report
from verdicts.suites import freeze_suite
from verel_site.access.actors import SYSTEM

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.django_db


@pytest.fixture
def branch() -> Branch:
    branch = make_run()[1]
    append(branch, make_message("assistant", "Done."))
    return branch


def run(name: str, *args: object, **options: Any) -> str:
    out = StringIO()
    call_command(name, *(str(arg) for arg in args), stdout=out, **options)
    return out.getvalue().strip()


@pytest.fixture
def key(branch: Branch, tmp_path: Path) -> Path:
    path = tmp_path / "ci.pem"
    run("create_runner_key", "ci", "--project", branch.project.slug, "--out", path)
    return path


def test_a_runner_s_key_is_registered_and_its_private_half_is_its_owner_s(
    branch: Branch, tmp_path: Path
) -> None:
    path = tmp_path / "ci.pem"
    args = ("create_runner_key", "ci", "--project", branch.project.slug, "--out", path)
    told = run(*args, "--days", 30)
    runner = Runner.objects.get()
    assert (runner.name, runner.key_id) == ("ci", told)
    assert hashlib.sha256(bytes(runner.public_key)).hexdigest() == told
    assert runner.valid_until is not None
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with pytest.raises(CommandError, match="exists"):
        run(*args)
    assert path.read_bytes() == before


@pytest.mark.parametrize("days", [-1, 0, 10**9])
def test_a_key_that_can_not_be_registered_leaves_no_file(
    days: int, branch: Branch, tmp_path: Path
) -> None:
    path = tmp_path / "ci.pem"
    with pytest.raises(CommandError):
        run("create_runner_key", "ci", "--project", branch.project.slug, "--out", path,
            f"--days={days}")  # fmt: skip
    assert not path.exists()
    assert not Runner.objects.exists()


def test_a_report_that_is_signed_so_proves_itself(
    branch: Branch, key: Path, tmp_path: Path
) -> None:
    freeze_suite(
        project_id=branch.project_id, actor=SYSTEM, grader="test", name="unit", digest=SUITE
    )
    require(branch.project, "test")
    names = {"tests": ["unit::drei", "unit::vier"]}
    body = make_report(branch, issues=[make_issue("warning", message="drei ≠ vier")], covered=names)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(body))
    asked = ("sign_report", path, "--key", key, "--branch", branch.pk, "--suite", SUITE,
             "--nonce", owed_nonce(branch=branch, grader="test"), "--files", "a.py", "b.py")  # fmt: skip
    whole = json.loads(run(*asked, "--whole"))
    assert {**whole, "receipt": None} == {**body, "receipt": None}
    report = file_report(branch_id=branch.pk, actor=SYSTEM, report=whole)
    assert (report.receipt_standing, report.receipt_fault) == ("valid", "")
    assert report.receipt_claims["covered_files"] == ["a.py", "b.py"]
    assert read_gate(branch).open
    alone = json.loads(run(*asked))
    assert alone.keys() == whole["receipt"].keys()


@pytest.mark.parametrize("broken", ["report", "json", "key", "other key"])
def test_what_can_not_be_signed_is_told_in_one_line(
    broken: str, branch: Branch, key: Path, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    body = make_report(branch) | ({"isues": []} if broken == "report" else {})
    path.write_text("{" if broken == "json" else json.dumps(body))
    if broken == "key":
        key.write_text("no key")
    elif broken == "other key":
        key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nMC4CAQA=\n-----END PRIVATE KEY-----\n")
    with pytest.raises(CommandError):
        run("sign_report", path, "--key", key, "--branch", branch.pk, "--nonce", "00")


def test_importing_tells_one_line_a_report(branch: Branch) -> None:
    paths = [SAMPLES / "agentvision/4_broken.json", SAMPLES / "junit.xml"]
    told = run("import_report", *paths, "--branch", branch.pk).splitlines()
    assert [line.partition(": ")[2].partition(";")[0] for line in told] == [
        "dom (agentvision) fail, 3 issues",
        "ocr (agentvision) warn, 2 issues",
        "test (pytest tests) fail, 2 issues",
    ]
    with pytest.raises(CommandError, match="older head"):
        run("import_report", paths[1], "--branch", branch.pk, "--head", "00" * 32)
    with pytest.raises(CommandError, match="no branch"):
        run("import_report", paths[1], "--branch", uuid4())
    assert Report.objects.count() == 3


RUFF = b'[{"code":"W1","filename":"a.py","message":"m","severity":"warning"}]'
JUNIT = b'<testsuite name="unit" tests="1"><testcase classname="a" name="b" time="1"/></testsuite>'


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("grader", "printed", "tool", "tests"),
    [("lint", RUFF, "ruff", None), ("test", JUNIT, "unit", frozenset({"a::b"}))],
)
def test_the_runner_of_the_readme_signs_what_a_server_takes(
    grader: str,
    printed: bytes,
    tool: str,
    tests: frozenset[str] | None,
    live_server: LiveServer,
    tmp_path: Path,
) -> None:
    branch = make_run()[1]
    append(branch, make_message("assistant", "Done."))
    require(branch.project, grader)
    key = tmp_path / "ci.pem"
    run("create_runner_key", "ci", "--project", branch.project.slug, "--out", key)
    output = tmp_path / "printed"
    output.write_bytes(printed)
    runner = ROOT / "tests/verdicts/runner_example.txt"
    asked = (live_server.url, branch.pk, grader, output, key, "a.py")
    command = [sys.executable, str(runner), *(str(arg) for arg in asked)]
    env = {**os.environ, "VEREL_KEY": make_key(branch.project, "reports:write")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "'standing': 'valid'" in done.stdout
    assert read_gate(branch).open
    report = Report.objects.get()
    assert (report.tool, report.receipt_claims["covered_files"]) == (tool, ["a.py"])
    assert read_named(report).tests == tests


def test_the_runner_of_the_readme_is_ten_lines() -> None:
    text = (ROOT / "tests/verdicts/runner_example.txt").read_text()
    code = text.partition("load_pem_private_key\n")[2].strip().splitlines()
    assert len(code) <= 10
