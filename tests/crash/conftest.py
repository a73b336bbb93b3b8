"""The product on a database of its own: of the kind that the rest of the tests run on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

from tests.crash.served import Served
from tests.migrated import copy_static, make_installation
from tests.profile import throwaway_directory
from verel_site.servers.postgresql import PostgreSQL
from verel_site.servers.together import find_postgresql


@dataclass
class Place:
    """Where a test serves: `postgresql` is there in that profile, durable as in production."""

    home: Path
    postgresql: PostgreSQL | None

    def serve(self, **environment: str) -> Served:
        if self.postgresql is not None:
            environment.setdefault("VEREL_DATABASE_URL", self.postgresql.url)
        return Served(self.home, **environment)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One database a module; the tables are there already."""
    home = tmp_path_factory.mktemp("served") / "home"
    copy_static(home / "static")
    if connection.vendor != "postgresql":
        make_installation(home)
        yield Place(home, None)
        return
    server = PostgreSQL(throwaway_directory() / "postgresql", find_postgresql())
    server.start()
    yield Place(home, server)
    server.stop()


@pytest.fixture
def served(place: Place) -> Iterator[Served]:
    served = place.serve()
    yield served
    served.clear_away()
