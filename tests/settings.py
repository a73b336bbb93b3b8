"""The product's settings on a throwaway data directory, with a file database as in production."""

import os
from pathlib import Path

from tests.profile import share_place, start_profile, throwaway_directory

start_profile()
share_place()
if "VEREL_HOME" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    # One for each worker: what one collects or clears away, the server of another would be serving.
    os.environ["VEREL_HOME"] = str(throwaway_directory())
# Browser tests run an event loop in the test's own thread.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

from verel_site.kit.env import SQLITE  # noqa: E402 -- after the environment is set
from verel_site.settings import *  # noqa: E402, F403 -- after the environment is set
from verel_site.settings import DATABASES, STORAGES, VEREL_HOME  # noqa: E402 -- likewise

DATABASES["default"].setdefault("TEST", {})
if DATABASES["default"]["ENGINE"] == SQLITE:
    # In memory, threads would share one connection and see other locks than on disk.
    DATABASES["default"]["TEST"] = {"NAME": str(Path(VEREL_HOME) / "test.sqlite3")}
else:
    # Ledgers refuse TRUNCATE too; a test that commits empties its database with it.
    options = DATABASES["default"]["OPTIONS"]
    DATABASES["default"]["OPTIONS"] = {**options, "options": "-c verel.truncating=on"}  # type: ignore[dict-item]  # read as objects
# The hashed storage needs collected files; the tests that serve a browser collect them.
STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_ROOT.mkdir(exist_ok=True)  # noqa: F405
