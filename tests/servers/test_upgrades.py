"""From the first release to this one, over the rows that the first release recorded."""

from pathlib import Path

import psycopg
import pytest

from tests.crash.served import Served
from tests.upgrades.fill import FIRST
from verel_site.servers.postgresql import PostgreSQL

DATABASE = "upgraded"
COUNTS = (
    "from branches.models import Branch, Event, Merge, Triplet; "
    "print(Event.objects.count(), Branch.objects.count(), Merge.objects.count(), "
    "Triplet.objects.count())"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Served:
    if request.param == "sqlite":
        return Served(tmp_path)
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{DATABASE}"')
    return Served(tmp_path, VEREL_DATABASE_URL=server.url.rpartition("/")[0] + f"/{DATABASE}")


def test_rows_of_the_first_release_are_whole_after_every_migration(installed: Served) -> None:
    for app, name in [*FIRST, ("auth", "0012")]:
        installed.manage("migrate", "-v0", app, name)
    installed.run("-m", "tests.upgrades.fill")
    installed.manage("migrate", "-v0")
    assert installed.manage("shell", "-v0", "-c", COUNTS) == "88 8 1 1"
    # Raises, with what it found, unless every digest, count and chain of them holds.
    installed.manage("verify")
    # The demo is there: loading it again changes nothing.
    installed.manage(
        "shell", "-v0", "-c", "from verel_site.demo.load import load_demo; load_demo()"
    )
    assert installed.manage("shell", "-v0", "-c", COUNTS) == "88 8 1 1"
