import json
import sys
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from branches.models import Run
from tests.make import make_project, make_run

pytestmark = pytest.mark.django_db


def write(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def test_one_line_a_file_says_what_came_of_it(tmp_path: Path) -> None:
    project, out = make_project(), StringIO()
    one = write(tmp_path, "one.json", json.dumps([{"role": "user", "content": "Hi"}]))
    two = write(tmp_path, "two.json", json.dumps([{"role": "user", "content": "Ho"}]))

    call_command("import_transcript", one, two, project=project.slug, stdout=out)

    assert out.getvalue().splitlines() == [
        "one.json: 1 event, 1 branch, in 1 run, 0 duplicates",
        "two.json: 1 event, 1 branch, in 1 run, 0 duplicates",
    ]


def test_a_file_that_cannot_be_read_makes_the_exit_code_1_after_the_others(tmp_path: Path) -> None:
    project, out, err = make_project(), StringIO(), StringIO()
    bad = write(tmp_path, "bad.txt", "# Notes")
    good = write(tmp_path, "good.json", json.dumps([{"role": "user", "content": "Hi"}]))

    with pytest.raises(SystemExit) as exit:
        call_command("import_transcript", bad, good, project=project.slug, stdout=out, stderr=err)

    assert exit.value.code == 1
    assert "good.json: 1 event" in out.getvalue()
    assert "bad.txt: It is not JSON" in err.getvalue()


def test_a_run_can_be_named(tmp_path: Path) -> None:
    project, run_id = make_project(), uuid4()
    path = write(tmp_path, "one.json", json.dumps([{"role": "user", "content": "Hi"}]))

    call_command(
        "import_transcript", path, "--run", str(run_id), project=project.slug, stdout=StringIO()
    )

    assert Run.objects.get(project=project).pk == run_id


def test_an_unknown_project_and_a_foreign_run_are_refused(tmp_path: Path) -> None:
    project, (foreign, _) = make_project(), make_run()
    path = write(tmp_path, "one.json", json.dumps([{"role": "user", "content": "Hi"}]))

    with pytest.raises(CommandError, match="no project 'nowhere'"):
        call_command("import_transcript", path, project="nowhere")
    with pytest.raises(CommandError, match="in this project"):
        call_command("import_transcript", path, project=project.slug, run=foreign.pk)


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_drawn_a_bar_and_a_pipe_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{"messages": [{"role": "user", "content": f"Task {n}"}]} for n in range(4)]
    path = write(tmp_path, "many.jsonl", "\n".join(map(json.dumps, lines)))
    project = make_project()

    for err, drawn in ((Terminal(), True), (StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", err)
        call_command("import_transcript", path, project=project.slug, stdout=StringIO())
        told = err.getvalue()
        assert ("many.jsonl ██████" in told) is drawn
        assert ("0.0 of 0.0 MB, 1 event" in told) is drawn
        # A full bar is wiped away: what stays is the line of the summary.
        assert told.endswith("\r\x1b[K") is drawn
