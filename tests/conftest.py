"""What every test may use."""

from pathlib import Path

import pytest
from pytest_django.fixtures import Settings


@pytest.fixture(autouse=True)
def own_archive(tmp_path: Path, settings: Settings) -> None:
    """Each test writes cold objects into a directory of its own."""
    settings.VEREL_ARCHIVE_URL = f"file://{tmp_path}/archive"
