"""What every test may use."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

from tests.migrated import database_of_worker

# A busy machine draws slowly; that says nothing about the code.
hypothesis_settings.register_profile(
    "verel", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("verel")


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[None]:
    """As pytest-django has it, but migrated once for all workers."""
    with django_db_blocker.unblock(), database_of_worker():
        yield


@pytest.fixture(autouse=True)
def own_archive(tmp_path: Path, settings: Settings) -> None:
    """Each test writes cold objects into a directory of its own."""
    settings.VEREL_ARCHIVE_URL = f"file://{tmp_path}/archive"


# What a test asks for where its outcome may depend on the database.
DATABASE_FIXTURES = frozenset({"db", "transactional_db", "django_db_setup", "place"})


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail("Browser tests need Chromium on the PATH, and CI must not skip them.")
    if found is None:
        pytest.skip("NOT TESTED IN A BROWSER: there is no chromium on the PATH.")
    return found


# Files that take long alone. Begun last, one would run on by itself with a worker idle beside it.
LONG_FILES = (
    "tests/servers/",
    "tests/crash/",
    "tests/bench/",
    "tests/verdicts/api/test_fuzz.py",
    "tests/browser/",
    "tests/access/",
)


def _begin_with_long_files(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        path = item.nodeid
        return next((n for n, long in enumerate(LONG_FILES) if path.startswith(long)), 99)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Spares the cycle collector what lives as long as the session: Django, and thousands of items."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """VEREL_TEST_ONLY=database leaves out what the profile cannot change: tests without a database,
    those that bring their own servers, and those of a browser, whose pages are read without one as
    well. For a second run on the other profile."""
    _begin_with_long_files(items)
    if os.environ.get("VEREL_TEST_ONLY") != "database":
        return
    kept = [item for item in items if _depends_on_the_database(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def _depends_on_the_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("own_servers") or item.get_closest_marker("browser"):
        return False
    asked = DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ()))
    return bool(asked) or item.get_closest_marker("django_db") is not None
