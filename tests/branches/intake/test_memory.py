"""A transcript of any size is read in memory that does not grow with it.

Each is read by a process of its own, whose high-water mark the kernel keeps. The files are as large
as VEREL_TRANSCRIPT_MB says, 12 by default; the bound is the same for 100.
"""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.migrated import make_installation

CHECKOUT = Path(__file__).resolve().parents[3]
SIZE = int(os.environ.get("VEREL_TRANSCRIPT_MB", "12")) * 1024 * 1024
BOUND = 8 * 1024 * 1024
TEXT = "The pump hums, and the valve is open. " * 500

SCRIPT = """
import json, sys
from pathlib import Path
import django
django.setup()
from branches.intake.files import TranscriptFile
from branches.intake.transcripts import import_transcript
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project

def high_water():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

def read(path):
    files = [TranscriptFile(path, Path(path))]
    [summary] = import_transcript(project_id=project.pk, actor=SYSTEM, files=files)
    assert not summary.fault, summary.fault
    return summary.events

project, _ = Project.objects.get_or_create(slug=sys.argv[1])
read(sys.argv[2])
before = high_water()
events = read(sys.argv[3])
print(json.dumps({"grown": high_water() - before, "events": events}))
"""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_installation(tmp_path_factory.mktemp("home"))


def claude_lines(count: int) -> Iterator[str]:
    for number in range(count):
        kind = "assistant" if number % 2 else "user"
        record = {
            "type": kind,
            "uuid": f"{count:08d}-0000-4000-8000-{number:012d}",
            "parentUuid": f"{count:08d}-0000-4000-8000-{number - 1:012d}" if number else None,
            "sessionId": f"s-{count}",
            "timestamp": "2026-11-20T12:00:00.000Z",
            "message": {"role": kind, "id": f"m-{number}", "content": f"{number} {TEXT}"},
        }
        yield json.dumps(record) + "\n"


def codex_lines(count: int) -> Iterator[str]:
    yield json.dumps({"type": "session_meta", "ordinal": 0, "payload": {"id": f"t-{count}"}}) + "\n"
    for number in range(1, count):
        role = "assistant" if number % 2 else "user"
        text = {"type": "input_text", "text": f"{number} {TEXT}"}
        payload = {"type": "message", "role": role, "content": [text]}
        yield json.dumps({"type": "response_item", "ordinal": number, "payload": payload}) + "\n"


def trial_document(count: int) -> Iterator[str]:
    """One JSON list, on one line."""
    for number in range(0, count, 10):
        said = [{"role": "user", "content": f"Task {count} {number // 40}"}]
        said += [{"role": "assistant", "content": f"{number + n} {TEXT}"} for n in range(10)]
        trial = {"task_id": number // 40, "trial": number % 40, "traj": said, "reward": 1.0}
        yield ("[" if number == 0 else ", ") + json.dumps(trial)
    yield "]"


@pytest.mark.parametrize(
    ("name", "tell"),
    [
        ("claude.jsonl", claude_lines),
        ("codex.jsonl", codex_lines),
        ("trials.json", trial_document),
        ("packed.jsonl.gz", claude_lines),
    ],
)
def test_memory_does_not_grow_with_the_file(
    installation: dict[str, str], tmp_path: Path, name: str, tell: Callable[[int], Iterator[str]]
) -> None:
    small, large = tmp_path / f"small-{name}", tmp_path / name
    count = SIZE // len(TEXT)
    for path, many in ((small, 200), (large, count)):
        with gzip.open(path, "wt", 1) if name.endswith(".gz") else path.open("w") as out:
            out.writelines(tell(many))
    command = [sys.executable, "-c", SCRIPT, name.split(".")[0], str(small), str(large)]

    done = subprocess.run(
        command, cwd=CHECKOUT, env=installation, check=True, capture_output=True, text=True
    )

    told = json.loads(done.stdout)
    assert told["events"] >= count
    assert told["grown"] < BOUND
