"""Real servers: found as the product finds them; without one a loud skip, and under CI a failure."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.migrated import copy_cluster
from tests.profile import throwaway_directory
from verel_site.servers.places import ServerUnavailable
from verel_site.servers.postgresql import PostgreSQL
from verel_site.servers.seaweedfs import SeaweedFS
from verel_site.servers.together import find_postgresql, find_seaweedfs, find_valkey
from verel_site.servers.valkey import Valkey

# What `/readyz` tells of each part where nothing of memory's is rented.
ALL_UP: Final = {
    **dict.fromkeys(("database", "migrations", "redis", "archive"), "up"),
    **dict.fromkeys(("embedder", "memory_store"), "absent"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder starts its own servers, and is marked so."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.own_servers)


def found(find: Callable[[], Path]) -> Path:
    try:
        return find()
    except ServerUnavailable as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must not skip a server: {error}")
        pytest.skip(f"NOT TESTED ON A REAL SERVER: {error}")


# For the whole session; its database has every table. Who stops a server starts it again.
@pytest.fixture(scope="session")
def home() -> Path:
    return throwaway_directory()


@pytest.fixture(scope="session")
def postgresql(home: Path) -> Iterator[PostgreSQL]:
    place = home / "postgresql"
    copy_cluster(place, found(find_postgresql))
    server = PostgreSQL(place, found(find_postgresql))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(home: Path) -> Iterator[Valkey]:
    server = Valkey(home / "valkey", found(find_valkey))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def seaweedfs(home: Path) -> Iterator[SeaweedFS]:
    server = SeaweedFS(home / "seaweedfs", found(find_seaweedfs))
    server.start()
    yield server
    server.stop()
