"""Which servers the tests run on, chosen by environment only.

VEREL_TEST_PROFILE is `sqlite` (as without it) or `postgresql`. For the second, whatever the
environment does not name (VEREL_DATABASE_URL, VEREL_REDIS_URL) is started here, once for the whole
session: the workers of pytest-xdist inherit it, and each makes a database of its own on it.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from verel_site.servers.postgresql import PostgreSQL
from verel_site.servers.together import find_postgresql, find_valkey
from verel_site.servers.valkey import Valkey

PROFILE = "VEREL_TEST_PROFILE"
# What is made once for all workers stands there: see tests.migrated.
SHARED = "VEREL_TEST_SHARED"


def throwaway_directory() -> Path:
    """A directory that ends with this process, and that the account of a server can reach."""
    place = Path(tempfile.mkdtemp(prefix="verel-servers-"))
    place.chmod(0o755)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def start_profile() -> None:
    """Call before the settings are read. Does nothing in a process whose parent has done it."""
    asked = os.environ.get(PROFILE, "sqlite")
    if asked == "sqlite":
        return
    if asked != "postgresql":
        raise SystemExit(f"{PROFILE} is {asked!r}; it takes sqlite or postgresql.")
    home = throwaway_directory()
    if not os.environ.get("VEREL_DATABASE_URL"):
        database = PostgreSQL(home / "postgresql", find_postgresql(), throwaway=True)
        database.start()
        atexit.register(database.stop)
        os.environ["VEREL_DATABASE_URL"] = database.url
    if not os.environ.get("VEREL_REDIS_URL"):
        redis = Valkey(home / "valkey", find_valkey())
        redis.start()
        atexit.register(redis.stop)
        os.environ["VEREL_REDIS_URL"] = redis.url


def share_place() -> None:
    """Call before the settings are read. Workers inherit the place of whoever started them."""
    if SHARED not in os.environ:
        os.environ[SHARED] = str(throwaway_directory())
