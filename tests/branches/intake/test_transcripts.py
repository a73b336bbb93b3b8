import json
from pathlib import Path

import pytest

from branches.intake.files import TranscriptFile
from branches.intake.transcripts import detect_format, import_transcript
from branches.models import Import, Run
from tests.branches.intake.conftest import FIXTURES, WriteFile
from tests.branches.intake.conftest import Import as RunImport
from tests.make import make_person, make_project
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import BadInput, Forbidden, NotFound

HI = json.dumps([{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty."),
        (b" \n\n", "The file is empty."),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x1f\x8b\x08rest", "a gzip file"),
        (b'[{"role": "user\x00"}]', "NUL bytes"),
        (b"# Notes\n", "not JSON"),
        (b"{not json\n}", "not JSON"),
        (b'{"role": "user"}', 'neither "messages" nor "traj"'),
        (b'{"a": 1}\n{"a": 2}\n', "neither a list of OpenAI-chat trajectories nor"),
        (b'{"type":"session_meta","payload":{}}\n{}\n', "names its thread"),
        (b'{"type":"system","session_id":"x"}\n{}\n', "stream that Claude Code prints"),
        (b"[]", "holds no trial"),
        (b"[1, 2]", "nothing that can be read: trial 1 has no list of messages"),
        (b'[{"role": "user", "content": "a\\u0000b"}]', "NUL"),
        (b'[{"role": "user", "content": NaN}]', "NaN"),
        (b"[" * 3000 + b"]" * 3000, "Nested deeper"),
        (b'[{"role": "user"', "not JSON"),
        (b'{"type": "mode", "sessionId": ""}\n{"type": "x"}\n', "sessionId"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    run_import: RunImport, write_file: WriteFile, content: bytes, said: str
) -> None:
    summary = run_import(write_file("some.json", content))

    assert said in summary.fault
    assert (summary.events, Run.objects.count(), Import.objects.count()) == (0, 0, 0)
    assert summary.told().startswith("some.json: ")


def test_a_missing_file_and_a_folder_are_refused_in_words(
    run_import: RunImport, tmp_path: Path
) -> None:
    assert "No such file" in run_import(tmp_path / "gone.json").fault
    assert "directory" in run_import(tmp_path).fault


def test_a_name_that_is_no_text_and_one_that_is_long_are_kept_as_far_as_they_go(
    project: Project, write_file: WriteFile
) -> None:
    path = write_file("a.json", HI)
    files = [TranscriptFile("caf\udce9.json", path), TranscriptFile("x" * 300, path)]

    odd, long = import_transcript(project_id=project.pk, actor=make_person(project), files=files)

    assert (odd.name, odd.fault, Import.objects.get().name) == ("caf?.json", "", "caf?.json")
    assert (len(long.name), long.duplicates) == (200, 1)


def test_formats_are_told_from_the_content(write_file: WriteFile) -> None:
    assert detect_format(FIXTURES / "claude_code.fork.jsonl") == "claude-code"
    assert detect_format(FIXTURES / "codex_rollout.fork.jsonl") == "codex"
    assert detect_format(FIXTURES / "codex_exec_events.jsonl") == "codex-exec"
    assert detect_format(write_file("a.txt", "\ufeff" + HI)) == "trajectory"
    line = json.dumps({"messages": []})
    assert detect_format(write_file("b.jsonl", f"{line}\n{line}\n")) == "trajectory"


def test_one_bad_file_does_not_stop_the_others(project: Project, write_file: WriteFile) -> None:
    files = [
        TranscriptFile("bad.json", write_file("bad.json", "")),
        TranscriptFile("good.json", write_file("good.json", HI)),
    ]

    bad, good = import_transcript(project_id=project.pk, actor=make_person(project), files=files)

    assert bad.fault
    assert (good.fault, good.events) == ("", 1)
    row = Import.objects.get()
    assert (row.name, row.format, row.summary["events"]) == ("good.json", "trajectory", 1)
    entry = AuditEntry.objects.get(action="transcript.import")
    assert entry.subject == f"import:{row.pk}"


def test_a_viewer_may_not_import_and_a_stranger_sees_no_project(
    project: Project, write_file: WriteFile
) -> None:
    files = [TranscriptFile("a.json", write_file("a.json", HI))]

    with pytest.raises(Forbidden):
        import_transcript(
            project_id=project.pk, actor=make_person(project, Role.VIEWER), files=files
        )
    with pytest.raises(NotFound):
        import_transcript(project_id=project.pk, actor=make_person(make_project()), files=files)
    assert not Run.objects.exists()


def test_an_unknown_format_is_refused(run_import: RunImport, write_file: WriteFile) -> None:
    with pytest.raises(BadInput, match="format is one of"):
        run_import(write_file("a.json", HI), format="csv")


def test_a_forced_format_that_is_wrong_stops_in_words(
    run_import: RunImport, write_file: WriteFile
) -> None:
    assert "sessionId" in run_import(write_file("a.json", HI), format="claude-code").fault


def test_progress_rises_to_its_total(project: Project) -> None:
    seen: list[tuple[int, int]] = []
    path = FIXTURES / "claude_code.jsonl"

    import_transcript(
        project_id=project.pk,
        actor=make_person(project),
        files=[TranscriptFile(path.name, path)],
        progress=lambda file: lambda done, total: seen.append((done, total)),
    )

    size = path.stat().st_size
    assert seen[-1] == (size, size)
