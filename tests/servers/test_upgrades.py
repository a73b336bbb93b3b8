"""From the first release to this one, over the rows that the first release recorded."""

from pathlib import Path

import psycopg
import pytest

from tests.crash.served import Served
from verel_site.servers.postgresql import PostgreSQL

DATABASE = "upgraded"
# One process for all, since starting one costs more than what it does.
LOOK = """
from django.core.management import call_command
from branches.models import Branch, Event, Merge, Triplet
from verel_site.demo.load import load_demo
def count(): print(*(model.objects.count() for model in (Event, Branch, Merge, Triplet)))
count()
call_command("verify")
load_demo()
count()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Served:
    if request.param == "sqlite":
        return Served(tmp_path)
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{DATABASE}"')
    return Served(tmp_path, VEREL_DATABASE_URL=server.url.rpartition("/")[0] + f"/{DATABASE}")


def test_rows_of_the_first_release_are_whole_after_every_migration(installed: Served) -> None:
    installed.run("-m", "tests.upgrades.fill")
    installed.manage("migrate", "-v0")
    # It fails, with what was found, unless every digest, count and chain of the rows holds.
    before, *_, after = installed.manage("shell", "-v0", "-c", LOOK).splitlines()
    assert before == "88 8 1 1"
    # The demo was there: loading it again has changed nothing.
    assert after == before
