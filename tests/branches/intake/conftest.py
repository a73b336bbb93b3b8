"""What tests of intake share: a project, files, and the folder of samples beside the checkout."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from branches.intake.files import TranscriptFile
from branches.intake.transcripts import Summary, import_transcript
from tests.make import make_project
from verel_site.access.actors import SYSTEM
from verel_site.access.models import Project

CHECKOUT = Path(__file__).resolve().parents[3]
FIXTURES = CHECKOUT / "tests" / "samples"

type Import = Callable[..., Summary]
type WriteFile = Callable[[str, str | bytes], Path]


@pytest.fixture
def project(db: None) -> Project:
    return make_project()


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def run_import(project: Project) -> Import:
    """Imports one file and gives its summary."""

    def run(path: Path, run_id: UUID | None = None, format: str = "auto") -> Summary:
        [summary] = import_transcript(
            project_id=project.pk,
            actor=SYSTEM,
            files=[TranscriptFile(path.name, path)],
            run_id=run_id,
            format=format,
        )
        return summary

    return run


@pytest.fixture
def samples() -> Path:
    """The folder of samples; a test that needs it skips without it, but not in CI."""
    named = os.environ.get("VEREL_SAMPLES")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "samples"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"There are no samples in {folder}; name them in VEREL_SAMPLES.")
        pytest.skip(f"no samples in {folder}")
    return folder
