"""The kit's tests render its templates alone, without any app's context processor."""

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings


@pytest.fixture(autouse=True)
def templates(settings: Settings, tmp_path: Path) -> Path:
    """A folder for templates of the test's own, beside the real ones."""
    folder = tmp_path / "templates"
    folder.mkdir()
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [folder, django_settings.BASE_DIR / "templates"],
            "OPTIONS": {
                "context_processors": ["django.template.context_processors.request"],
                "builtins": ["verel_site.kit.templatetags.verel"],
            },
        }
    ]
    return folder
