import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from branches.intake import opening
from branches.intake.files import TranscriptFile
from branches.intake.transcripts import detect_format, import_transcript
from branches.models import Import, Run
from tests.branches.intake.conftest import FIXTURES, WriteFile
from tests.branches.intake.conftest import Import as RunImport
from tests.make import make_person, make_project
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project
from verel_site.access.rights import Role
from verel_site.audit.models import AuditEntry
from verel_site.kit.refusals import BadInput, Forbidden, NotFound

HI = json.dumps([{"role": "user", "content": "Hi"}])


def make_zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def pack(data: bytes) -> bytes:
    """The same bytes in every process: test workers must collect the same cases."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty."),
        (b" \n\n", "The file is empty."),
        (b"PK\x03\x04rest", "zip archive is damaged"),
        (b"\x1f\x8b\x08rest", "compressed bytes"),
        (pack(pack(b"[]")), "packed twice"),
        (pack(b"[1, 2, 3]" * 9)[:-9], "end too early"),
        (zstandard.compress(b"[]" * 100)[:-3], "compressed bytes"),
        (make_zip({"a.txt": b"{}"}), "holds no file that ends in"),
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
        progress=lambda file, tally: lambda done, total: seen.append((done, total)),
    )

    size = path.stat().st_size
    assert seen[-1] == (size, size)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_packed_file_is_read_as_what_it_holds(
    run_import: RunImport, write_file: WriteFile, pack: Callable[[bytes], bytes]
) -> None:
    plain = (FIXTURES / "claude_code.jsonl").read_bytes()

    summary = run_import(write_file("one.jsonl.packed", pack(plain[:900]) + pack(plain[900:])))

    assert (summary.fault, summary.events, summary.branches) == ("", 10, 1)
    assert run_import(FIXTURES / "claude_code.jsonl").events == 0


def test_each_transcript_of_a_zip_has_its_own_summary(
    project: Project, write_file: WriteFile
) -> None:
    members = {
        "../../claude.jsonl": (FIXTURES / "claude_code.jsonl").read_bytes(),
        "deep/codex.JSONL": (FIXTURES / "codex_rollout.jsonl").read_bytes(),
        "bad.json": b"{",
        "__MACOSX/codex.jsonl": b"x",
        "deep/.hidden.json": b"x",
        "notes.txt": b"x",
    }
    path = write_file("all.zip", make_zip(members))

    summaries = import_transcript(
        project_id=project.pk, actor=SYSTEM, files=[TranscriptFile("all.zip", path)]
    )

    assert [(one.name, bool(one.fault)) for one in summaries] == [
        ("all.zip: ../../claude.jsonl", False),
        ("all.zip: deep/codex.JSONL", False),
        ("all.zip: bad.json", True),
    ]
    assert [one.format for one in summaries[:2]] == ["claude-code", "codex"]


@pytest.mark.parametrize(
    "pack", [gzip.compress, zstandard.compress, lambda raw: make_zip({"a.json": raw})]
)
def test_a_bomb_is_refused_before_it_fills_the_disk(
    run_import: RunImport,
    write_file: WriteFile,
    monkeypatch: pytest.MonkeyPatch,
    pack: Callable[[bytes], bytes],
) -> None:
    monkeypatch.setattr(opening, "MAX_UNPACKED", 100_000)

    summary = run_import(write_file("bomb", pack(b"[" + b" " * 40_000_000)))

    assert summary.fault.startswith("Unpacked it takes more than")
    assert not Run.objects.exists()


def test_an_archive_of_too_many_files_is_refused(
    run_import: RunImport, write_file: WriteFile
) -> None:
    many = make_zip({f"{number}.json": b"[]" for number in range(opening.MAX_MEMBERS + 1)})

    assert "more than 1,000 files" in run_import(write_file("many.zip", many)).fault
